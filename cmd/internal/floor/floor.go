// Package floor keeps on disk how far the timestamps of initiations have gone,
// for each public key of this host. Peers take from us only ever greater
// timestamps (TAI64N), so after a restart with the clock set back they would
// reject all that we send until the clock has caught up.
package floor

import (
	"vpn/noise"
	"vpn/noise/key"
)

// Default is where the files are.
const Default = "/var/lib/vpn/floor"

// Store is a directory with a file for each public key. It may be used
// concurrently, also by several processes.
type Store struct{ dir string }

// New returns the store in dir, which is made when there is something to keep.
func New(dir string) *Store { return &Store{dir: dir} }

// Reserve implements tunnel.Floor.
func (s *Store) Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error) {
	panic("floor: being built")
}
