// Command gen writes the vector code of package aead. See the go:generate lines there.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

var set = flag.String("set", "", "which instructions to write the code for: avx512 or avx2")

func main() {
	flag.Parse()
	switch *set {
	case "avx512":
		constants512()
		chacha512()
		abreast512()
		keys512()
		lanes512()
		single512()
		apply512()
	case "avx2":
		constants256()
		chacha256()
		single256()
		apply256()
	default:
		log.Fatalf("-set %q: want avx512 or avx2", *set)
	}
	Generate()
}
