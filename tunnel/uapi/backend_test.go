package uapi

import (
	"iter"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"vpn/noise/key"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a backend that only remembers: the naive reading of what each key of
// the protocol does.
type memory struct {
	mu     sync.Mutex
	device Device
	peers  []*Peer // in the order in which they were made
	sets   int
	fail   error // what Set returns

	last *Config // as it came; erased by now
}

func (m *memory) find(k key.Public) (*Peer, int) {
	for i, p := range m.peers {
		if p.PublicKey == k {
			return p, i
		}
	}
	return nil, -1
}

func (m *memory) Set(c *Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	m.last = c
	if m.fail != nil {
		return m.fail
	}
	d := &m.device
	if c.PrivateKey != nil {
		d.PrivateKey = c.PrivateKey.Clone()
	}
	if c.ListenPort != nil {
		d.ListenPort = *c.ListenPort
	}
	if c.FwMark != nil {
		d.FwMark = *c.FwMark
	}
	if c.RekeyAfterTime != nil {
		d.RekeyAfterTime = *c.RekeyAfterTime
	}
	if c.RekeyAfterPackets != nil {
		d.RekeyAfterPackets = *c.RekeyAfterPackets
	}
	if c.ReplacePeers {
		m.peers = nil
	}
	for i := range c.Peers {
		m.setPeer(&c.Peers[i])
	}
	return nil
}

func (m *memory) setPeer(c *PeerConfig) {
	p, i := m.find(c.PublicKey)
	switch {
	case c.Remove:
		if p != nil {
			m.peers = slices.Delete(m.peers, i, i+1)
		}
		return
	case p == nil && c.UpdateOnly:
		return
	case p == nil:
		p = &Peer{PublicKey: c.PublicKey}
		m.peers = append(m.peers, p)
	}
	if c.Preshared != nil {
		p.Preshared = c.Preshared.Clone()
	}
	if c.Endpoint.IsValid() {
		p.Endpoint = c.Endpoint
	}
	if c.Keepalive != nil {
		p.Keepalive = *c.Keepalive
	}
	if c.ReplaceAllowedIPs {
		p.AllowedIPs = nil
	}
	for _, a := range c.AllowedIPs {
		for _, other := range m.peers {
			if !a.Remove || other == p {
				other.AllowedIPs = slices.DeleteFunc(other.AllowedIPs, func(b netip.Prefix) bool { return b == a.Prefix })
			}
		}
		if !a.Remove {
			p.AllowedIPs = append(p.AllowedIPs, a.Prefix)
		}
	}
}

func (m *memory) Get() (Device, iter.Seq[Peer]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var peers []Peer
	for _, p := range m.peers {
		q := *p
		q.AllowedIPs = slices.Clone(p.AllowedIPs)
		peers = append(peers, q)
	}
	return m.device, slices.Values(peers)
}

// count is how many requests have reached the backend.
func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sets
}
