// Package floor keeps on disk how far the timestamps of initiations have gone,
// for each public key of this host. Peers take from us only ever greater
// timestamps (TAI64N), so after a restart with the clock set back they would
// reject all that we send until the clock has caught up.
package floor

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vpn/noise"
	"vpn/noise/key"
)

// Default is where the files are.
const Default = "/var/lib/vpn/floor"

const (
	// ahead is how far a range goes beyond the time of day: each needs a write.
	ahead = 10 * time.Second
	// behindAhead is how far one goes beyond the floor where the clock is behind
	// that: little, so that a process that starts again and again doesn't run
	// away from the clock; an initiation takes 16.8 ms of it.
	behindAhead = 500 * time.Millisecond
)

// Store is a directory with a file for each public key. It may be used
// concurrently, also by several processes.
type Store struct{ dir string }

// New returns the store in dir, which is made when there is something to keep.
func New(dir string) *Store { return &Store{dir: dir} }

// Reserve returns a range of timestamps that begins at from, or where the ranges
// before it end, and that no later call will give out again: it is on disk by
// then. See tunnel.Floor.
func (s *Store) Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error) {
	dir, err := s.lock()
	if err != nil {
		return first, last, fmt.Errorf("keep timestamps: %w", err)
	}
	defer dir.Close() // which unlocks it
	path := filepath.Join(s.dir, name(public))
	floor, err := read(path)
	if err != nil {
		return first, last, fmt.Errorf("keep timestamps: %w", err)
	}
	first, last = from, from.Add(ahead)
	if !from.After(floor) {
		first, last = floor.Next(), floor.Add(behindAhead)
	}
	if err := write(dir, path, last); err != nil {
		return first, last, fmt.Errorf("keep timestamps: %w", err)
	}
	return first, last, nil
}

// name is a public key as a file's name.
func name(public key.Public) string { return base64.RawURLEncoding.EncodeToString(public[:]) }

// lock opens the directory for one process at a time.
func (s *Store) lock() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return nil, err
	}
	if err := flock(dir); err != nil {
		dir.Close()
		return nil, &os.PathError{Op: "lock", Path: s.dir, Err: err}
	}
	return dir, nil
}

// read returns what a file keeps; zero if there is none.
func read(path string) (floor noise.TAI64N, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return floor, nil
	}
	if err != nil {
		return floor, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return floor, err
	}
	b, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(b) != len(floor) {
		return floor, fmt.Errorf("%s: not a timestamp of %d hexadecimal digits (without the file peers may reject us for a while)", path, 2*len(floor))
	}
	return noise.TAI64N(b), nil
}

// write puts a floor in place of the one before, or leaves that whole.
func write(dir *os.File, path string, floor noise.TAI64N) error {
	temporary := path + ".new"
	err := writeNew(temporary, hex.EncodeToString(floor[:])+"\n")
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	return syncDir(dir)
}

func writeNew(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of a process that died
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
