package lookup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// maxCacheSize is the size of a file that is no longer read: thousands of names
// fit into it.
const maxCacheSize = 8 << 20

// cached is what the file says of one name.
type cached struct {
	Worked    netip.Addr   `json:"worked,omitzero"` // the one with which a handshake succeeded last
	Addresses []netip.Addr `json:"addresses"`       // the last answer
}

// all returns the addresses to try, the one that worked first. It outlives
// answers without it: those may have come from a portal that lies.
func (c cached) all() []netip.Addr {
	if !c.Worked.IsValid() {
		return c.Addresses
	}
	list := []netip.Addr{c.Worked}
	for _, a := range c.Addresses {
		if a != c.Worked {
			list = append(list, a)
		}
	}
	return list
}

// readCache reads the file. Where it can't be read, or isn't what saveCache
// writes, there is an error and no entry; a file that isn't there is empty.
func readCache(path string) (map[string]cached, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxCacheSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCacheSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxCacheSize)
	}
	var entries map[string]cached
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for host, entry := range entries {
		entry.Addresses = slices.DeleteFunc(entry.Addresses, func(a netip.Addr) bool { return !a.IsValid() })
		entry.Addresses = entry.Addresses[:min(len(entry.Addresses), maxAddrs)]
		entries[host] = entry
	}
	return entries, nil
}

// saveCache replaces the file as a whole, so that a full disk or a crash leaves
// the old one. It is for root's eyes only: it says whom this host talks to.
func saveCache(path string, entries map[string]cached) error {
	text, err := json.MarshalIndent(entries, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}
