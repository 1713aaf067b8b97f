// Package uapitest is an interface with nothing behind it, for tests of what
// configures interfaces. It keeps to the rules of the configuration protocol by
// the plainest means: every peer has its list, and every list is searched.
package uapitest

import (
	"iter"
	"net/netip"
	"slices"
	"sync"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// Interface is a uapi.Backend that only remembers. It may be used concurrently.
type Interface struct {
	mu     sync.Mutex
	device uapi.Device // guarded by mu
	sets   int         // guarded by mu
}

// New makes an interface that is already as d says; d becomes its own.
func New(d uapi.Device) *Interface { return &Interface{device: d} }

// Sets returns how many requests to change it the interface has had.
func (i *Interface) Sets() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sets
}

// Get implements uapi.Backend.
func (i *Interface) Get() (uapi.Device, iter.Seq[uapi.Peer]) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := i.device
	peers := make([]uapi.Peer, len(d.Peers))
	for n, p := range d.Peers {
		p.AllowedIPs = slices.Clone(p.AllowedIPs)
		peers[n] = p
	}
	d.Peers = nil
	return d, slices.Values(peers)
}

// Set implements uapi.Backend.
func (i *Interface) Set(c *uapi.Config) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sets++
	d := &i.device
	if c.PrivateKey != nil {
		d.PrivateKey = c.PrivateKey.Clone()
		d.PrivateKey.Clamp()
		d.PublicKey = key.Public{}
		if !d.PrivateKey.IsZero() {
			d.PublicKey = d.PrivateKey.Public()
		}
	}
	assign(&d.ListenPort, c.ListenPort)
	assign(&d.FwMark, c.FwMark)
	assign(&d.RekeyAfterTime, c.RekeyAfterTime)
	assign(&d.RekeyAfterPackets, c.RekeyAfterPackets)
	if c.ReplacePeers {
		d.Peers = nil
	}
	for n := range c.Peers {
		i.setPeer(&c.Peers[n])
	}
	return nil
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// setPeer is called with mu held.
func (i *Interface) setPeer(c *uapi.PeerConfig) {
	peers := &i.device.Peers
	n := slices.IndexFunc(*peers, func(p uapi.Peer) bool { return p.PublicKey == c.PublicKey })
	if c.Remove || n < 0 && c.UpdateOnly {
		if n >= 0 {
			*peers = slices.Delete(*peers, n, n+1)
		}
		return
	}
	if n < 0 {
		n = len(*peers)
		*peers = append(*peers, uapi.Peer{PublicKey: c.PublicKey})
	}
	p := &(*peers)[n]
	if c.Preshared != nil {
		p.Preshared = c.Preshared.Clone()
	}
	if c.Endpoint.IsValid() {
		p.Endpoint = c.Endpoint
	}
	assign(&p.Keepalive, c.Keepalive)
	if c.ReplaceAllowedIPs {
		p.AllowedIPs = nil
	}
	for _, a := range c.AllowedIPs {
		if a.Remove {
			without(p, a.Prefix)
			continue
		}
		for other := range *peers {
			without(&(*peers)[other], a.Prefix)
		}
		p.AllowedIPs = append(p.AllowedIPs, a.Prefix)
	}
}

func without(p *uapi.Peer, prefix netip.Prefix) {
	p.AllowedIPs = slices.DeleteFunc(p.AllowedIPs, func(had netip.Prefix) bool { return had == prefix })
}
