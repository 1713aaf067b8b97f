package lookup

import "net/netip"

// Cached returns what a Scheduler's file says: the addresses of names, those that
// worked first, by [Key]. A file that isn't there says nothing.
func Cached(path string) (map[string][]netip.Addr, error) {
	entries, err := readCache(path)
	if err != nil {
		return nil, err
	}
	known := make(map[string][]netip.Addr, len(entries))
	for host, entry := range entries {
		known[host] = entry.all()
	}
	return known, nil
}

// Key is what names that mean the same have in common.
func Key(host string) string { return hostKey(host) }
