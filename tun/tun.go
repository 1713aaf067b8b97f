// Package tun is the device: queues of IP packets between this process and an
// operating system, or between it and a network stack inside the process.
//
// On Linux a device hands out and takes superpackets (see package offload). On
// other systems, and for devices that were made elsewhere, Wrap adapts those of
// golang.zx2c4.com/wireguard/tun.
package tun

import "vpn/tun/offload"

// DefaultMTU is the MTU in bytes of a link that is made without another: an
// Ethernet frame less IPv6, UDP and WireGuard's headers.
const DefaultMTU = 1420

// Event is a change of a device's link.
type Event uint8

// The events. MTUChanged asks to look at Device.MTU again.
const (
	Up Event = iota + 1
	Down
	MTUChanged
)

// String returns the event's name in lower case.
func (e Event) String() string {
	switch e {
	case Up:
		return "up"
	case Down:
		return "down"
	case MTUChanged:
		return "mtu changed"
	}
	return "unknown"
}

// Packet is what one read gave: an IP packet, or a superpacket to be split with
// offload.Superpacket, or a packet whose checksum that completes. GSO is all
// zero for a packet that is complete. Nothing about Data has been checked.
type Packet struct {
	Data []byte
	GSO  offload.GSO
}

// Device is a link and its queues. All methods may be called at any time from
// any goroutine.
type Device interface {
	// Name returns the link's name as it is now.
	Name() string
	// MTU returns the link's MTU in bytes as last known.
	MTU() int
	// Events returns the one channel of events. The link's state at the beginning, Up
	// or Down, is the first; after that Up and Down take turns. It is closed
	// after Close, and when the link is deleted.
	Events() <-chan Event
	// Queues returns the queues, at least one, always the same.
	Queues() []Queue
	// Close wakes all who read, and ends the device. A link that is not persistent
	// goes with it. Further calls do nothing.
	Close() error
}

// Queue is one queue of a device's packets. Read and Write may be called at the
// same time; several calls of one of them take turns.
type Queue interface {
	// Read empties b and waits until there is at least one packet; then it takes
	// what can be had without waiting, until there are MaxPackets, or BatchBytes bytes, or a
	// superpacket. The packets lie in b and are the caller's until b's next use.
	//
	// Every error is final: os.ErrClosed after Close and when the link is gone,
	// else what the system said.
	Read(b *Batch) error
	// Write gives whole IP packets to the device, in order, and returns how many
	// it took. It keeps none of them, and may change their headers. It tries the rest when
	// one is refused, and then returns the last such error. With os.ErrClosed
	// the device is gone.
	Write(pkts [][]byte) (int, error)
}
