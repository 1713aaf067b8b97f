package key

import (
	"crypto/subtle"

	circl "github.com/cloudflare/circl/dh/x25519"
)

// The seam behind which X25519 lies. circl is used on every architecture: with its amd64 assembly a shared secret costs
// two thirds of crypto/ecdh's, in portable Go still a little less, and it works on our arrays alone. crypto/ecdh computes
// the public key each time it is handed raw private bytes, which doubles that, and leaves copies of them on the heap.
// The package's benchmarks measure both; run them with and without the build tag purego.

// x25519 writes scalar times point to out, and reports whether the result is good. out must not overlap the others.
func x25519(out, scalar, point *[Size]byte) bool {
	ok := circl.Shared((*circl.Key)(out), (*circl.Key)(scalar), (*circl.Key)(point))
	// circl compares the point with a list of low-order ones; the result being zero is what must not happen.
	var acc byte
	for _, b := range out {
		acc |= b
	}
	if !ok || subtle.ConstantTimeByteEq(acc, 0) == 1 {
		clear(out[:])
		return false
	}
	return true
}

// x25519Base writes scalar times the generator to out.
func x25519Base(out, scalar *[Size]byte) {
	circl.KeyGen((*circl.Key)(out), (*circl.Key)(scalar))
}
