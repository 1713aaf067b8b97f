package dns

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
)

// port is where name servers listen.
const port = 53

// Servers returns the name servers that the host asks now, in their order where
// there is one: behind systemd-resolved's own address, those that it asks itself.
// The servers of the link named except, a tunnel's, are left out, and what they
// stand in the place of is returned instead.
func Servers(ctx context.Context, except string) ([]netip.AddrPort, error) {
	if leadsToResolved() {
		if r, err := openResolved(ctx); err == nil {
			defer r.close()
			if all, err := r.upstream(ctx, except); err == nil && len(all) > 0 {
				return all, nil
			}
		}
		if text, err := os.ReadFile(filepath.Join(resolvedDir, "resolv.conf")); err == nil {
			return atPort(nameservers(text)), nil
		}
	}
	if name := interfacePrefix() + except; except != "" && registered(ctx, name) != "" {
		return atPort(nameservers([]byte(registeredBeside(ctx, name)))), nil
	}
	text, err := underneath(except)
	return atPort(nameservers(text)), err
}

func atPort(all []netip.Addr) []netip.AddrPort {
	servers := make([]netip.AddrPort, len(all))
	for i, a := range all {
		servers[i] = netip.AddrPortFrom(a, port)
	}
	return servers
}
