//go:build !linux

package facts

import (
	"fmt"
	"net/netip"

	"vpn/conf/lint"
)

// Read returns what there is besides the link of that name. What is known of
// routes here is the networks of the links' addresses.
func Read(link string, _ []netip.Addr) (*lint.Host, error) {
	h := &lint.Host{Link: link}
	var err error
	if h.Links, err = links(link); err != nil {
		return nil, fmt.Errorf("list the links: %w", err)
	}
	for _, l := range h.Links {
		for _, a := range l.Addresses {
			if !a.Addr().IsLinkLocalUnicast() && !a.IsSingleIP() {
				h.Routes = append(h.Routes, lint.Route{Prefix: a.Masked(), Link: l.Name})
			}
		}
	}
	return h, nil
}
