// Command gen writes the vector code of package offload. See the go:generate line there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	for _, set := range []set{avx2, avx512} {
		set.sum("sum", false)
		set.sum("copySum", true)
	}
	Generate()
}
