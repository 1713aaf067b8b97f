// Package uapi speaks the cross-platform configuration protocol of WireGuard:
// the text that `wg`, wgctrl and our own commands exchange with a tunnel over
// a stream socket.
//
// A request is `get=1` or `set=1`, lines of key=value, and a blank line; the
// reply ends with `errno=N` and a blank line. Many requests may follow one
// another on one connection. Keys are hexadecimal and booleans are `true`.
//
// [Server] answers for a [Backend], [Client] asks, and [Directory] finds and
// makes the sockets. [ParseSet], [WriteSet], [ReadGet] and [WriteGet] are the
// text alone.
//
// Source: https://www.wireguard.com/xplatform/#configuration-protocol. Two keys
// of the interface are our own, rekey_after_time and rekey_after_packets, and one
// of a peer, candidate; they are only ever written where they were asked for, so
// that foreign clients see the protocol that they know. No reply tells of
// candidates.
package uapi

import (
	"iter"
	"net/netip"
	"time"

	"vpn/noise/key"
)

// The protocol's own limits on a session, which may be lowered but not raised.
const (
	MaxRekeyAfterTime    = 120 * time.Second
	MaxRekeyAfterPackets = 1 << 60
)

// Config is one set request: what to change and nothing else. Nil pointers
// leave things as they are.
//
// A Config that a [Server] hands to its [Backend], with all that its pointers
// and slices lead to, is the backend's only until Set returns: then its secrets
// are erased, and a key that is kept without Clone is gone.
type Config struct {
	PrivateKey        *key.Private   // all zero: take the key away
	ListenPort        *uint16        // 0: any port
	FwMark            *uint32        // 0: none
	ReplacePeers      bool           // remove all peers first
	RekeyAfterTime    *time.Duration // whole seconds up to MaxRekeyAfterTime; 0: the protocol's own
	RekeyAfterPackets *uint64        // up to MaxRekeyAfterPackets; 0: the protocol's own

	// Peers are applied in order. A public key may stand in several of them;
	// each is then a change to what the ones before it left.
	Peers []PeerConfig
}

// PeerConfig is the part of a set request that concerns one peer.
type PeerConfig struct {
	PublicKey         key.Public
	Remove            bool           // take the peer away; the rest is of no effect
	UpdateOnly        bool           // do nothing if there is no such peer
	ReplaceAllowedIPs bool           // take all its prefixes away before adding AllowedIPs
	Preshared         *key.Preshared // all zero: none from now on
	Endpoint          netip.AddrPort // the zero value leaves it as it is
	Keepalive         *uint16        // seconds; 0: off
	AllowedIPs        []AllowedIP    // in order

	// Candidates are further addresses at which the peer may be. Nil leaves them as
	// they are; else they take the place of those before, and an empty list of all.
	Candidates []netip.AddrPort
}

// AllowedIP is a prefix that a peer is given, or that is taken from it.
type AllowedIP struct {
	Prefix netip.Prefix // masked
	Remove bool
}

// Erase zeroes the private key and the preshared keys.
func (c *Config) Erase() {
	if c.PrivateKey != nil {
		c.PrivateKey.Erase()
	}
	for i := range c.Peers {
		if p := c.Peers[i].Preshared; p != nil {
			p.Erase()
		}
	}
}

// Device is the answer to a get request.
type Device struct {
	PrivateKey        key.Private // all zero: none
	PublicKey         key.Public  // computed, never on the wire; zero without a private key
	ListenPort        uint16
	FwMark            uint32
	RekeyAfterTime    time.Duration // 0: the protocol's own
	RekeyAfterPackets uint64        // 0: the protocol's own
	Peers             []Peer
}

// Peer is what a get request tells of one peer.
type Peer struct {
	PublicKey     key.Public
	Preshared     key.Preshared  // all zero: none
	Endpoint      netip.AddrPort // the zero value: none known
	Keepalive     uint16         // seconds; 0: off
	LastHandshake time.Time      // the zero value: never
	Rx, Tx        uint64         // bytes
	AllowedIPs    []netip.Prefix
}

// Erase zeroes the private key and the preshared keys.
func (d *Device) Erase() {
	d.PrivateKey.Erase()
	for i := range d.Peers {
		d.Peers[i].Preshared.Erase()
	}
}

// Backend is what a [Server] configures. Both methods may be called from many
// goroutines at once.
type Backend interface {
	// Set applies a request that was parsed whole and is well formed. It must
	// not keep c, nor what c points to, and of keys only clones. An error that is, or wraps, an [Errno]
	// or a syscall.Errno is reported to the client as that number, any other
	// as EIO; its text is logged and must hold no secret.
	Set(c *Config) error

	// Get returns the interface, with Peers nil, and its peers. The sequence
	// is consumed while a client reads at its own pace, so it must hold no
	// lock while it yields. Keys and AllowedIPs are only read, those of a peer
	// until the next one is asked for; nothing is erased.
	Get() (Device, iter.Seq[Peer])
}
