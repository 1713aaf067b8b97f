//go:build !amd64

package offload

// kernel is the code that sums are made with.
type kernel uint8

const portable kernel = 0

func kernels() (fastestFirst []kernel) { return []kernel{portable} }

func (kernel) sum(b []byte, initial uint64) uint64 { return sumPortable(b, initial) }

func (kernel) copySum(dst, src []byte, initial uint64) uint64 {
	return copySumPortable(dst, src, initial)
}
