// Package udp is the outer side of a tunnel: sockets that send and receive
// many datagrams with one system call.
//
// On Linux a run of equal-size datagrams goes out as one UDP_SEGMENT send,
// what the kernel coalesced (UDP_GRO) comes in as one read, and each datagram
// is answered from the address it was sent to. Elsewhere the package offers the
// same over net.UDPConn, a datagram a call.
package udp

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

const (
	// MaxSegments is the most datagrams that go out in one segmented send. A
	// kernel that takes no more than 64 is found out by the first send of
	// more: an Outgoing that is too long for it is sent in parts.
	MaxSegments = 128

	// MaxBytes is the longest datagram, and the most that goes out in one
	// segmented send: 65,535 less the IPv4 and UDP headers.
	MaxBytes = 65507
)

// Endpoint is where a peer is, and how to reach it. It is a value.
type Endpoint struct {
	// Addr is the peer's address and port. An IPv4 address is never in IPv6
	// form. The zone of a link-local address that was received is the number
	// of its interface; one that is sent to may also be a name.
	Addr netip.AddrPort

	// Source is the local address that the peer sent to, so the one to
	// answer from. It has no zone. The zero Addr leaves the choice to the
	// kernel.
	Source netip.Addr

	// Interface is the index of the interface that the datagram came in by,
	// or zero. It is bound to only where Source is link-local. Otherwise the
	// route to the peer decides, as it does for TCP: a router may well answer
	// by another interface.
	Interface uint32
}

// Outgoing is what Send sends: one datagram, or several of equal size to one
// peer.
type Outgoing struct {
	// Data is borrowed until Send returns.
	Data []byte

	// Segment is the size of the datagrams that Data is cut into; the last
	// may be shorter. Zero means that Data is one datagram, perhaps empty.
	Segment int

	// To is borrowed until Send returns, and is not changed.
	To *Endpoint

	// TOS is the whole traffic class byte: DSCP and ECN.
	TOS byte

	// TTL is the time to live, or hop limit; zero is the system's own.
	TTL byte

	// Plain asks for one datagram a send, for a path that takes no segmented
	// ones.
	Plain bool

	// NoWait has Send fail with EAGAIN where it would wait for room in the
	// kernel's send buffer. The portable sockets take no notice.
	NoWait bool

	// SourceRefused is set by Send when the host has To.Source no more, and
	// Data went out from the address that the kernel chose. The caller does
	// well to forget To.Source: until then each send is tried twice.
	SourceRefused bool
}

// Incoming is one datagram, or several of equal size from one peer that the
// kernel coalesced.
type Incoming struct {
	Data    []byte // in the Batch that it was received into
	Segment int    // size of the datagrams in Data, the last perhaps shorter; 0 if Data is one
	From    Endpoint
	TOS     byte // DSCP and ECN
}

// Datagrams is how many datagrams Data holds.
func (m *Incoming) Datagrams() int {
	if m.Segment <= 0 || len(m.Data) <= m.Segment {
		return 1
	}
	return (len(m.Data) + m.Segment - 1) / m.Segment
}

// Socket sends and receives the datagrams of one address family.
//
// All methods may be called from several goroutines at once.
type Socket interface {
	// Send sends ms in order. It returns how many went out whole; when that
	// is not all of them, err is why ms[n] did not. Part of ms[n] may have
	// gone out if it is more than one datagram. It waits while the kernel's
	// send buffer is full, unless NoWait says not to. After Close it fails
	// with net.ErrClosed.
	//
	// A To.Source that the host no longer has is left out and the datagram
	// sent again, once: see Outgoing.SourceRefused.
	//
	// An error is a *SendError unless the socket is closed. It concerns ms[n]
	// only: the caller goes on with ms[n+1:], or sends ms[n] again Plain when
	// SegmentRefused says so.
	Send(ms []Outgoing) (n int, err error)

	// Receive waits for a datagram and then takes all that is there without
	// waiting, until there are 64 KiB or 64 datagrams. It overwrites what b
	// held. It fails only after Close, with net.ErrClosed: any other error is
	// counted and reception goes on.
	Receive(b *Batch) error

	// SetMark sets the mark that routing rules and firewalls see on outgoing
	// packets (SO_MARK); zero clears it. It needs CAP_NET_ADMIN. On systems
	// without marks it fails for any but zero.
	SetMark(mark uint32) error

	// Close ends the socket, and every Send and Receive that waits on it.
	Close() error
}

// Opener opens sockets.
type Opener interface {
	// Open binds a port in both address families, or in the one that the
	// host has. Port zero asks for a free port that is the same in both. A
	// port that another socket holds fails with EADDRINUSE. The mark is set
	// before the port is bound. All sockets are there before it returns.
	Open(port uint16, mark uint32) (*Sockets, error)
}

// A Marker is an Opener whose sockets can't change their mark themselves, since
// that takes a privilege that this process lacks.
type Marker interface {
	// SetMark is Socket.SetMark for all sockets that were opened last. If it fails,
	// none has changed.
	SetMark(mark uint32) error
}

// Sockets is a port, open in one or both address families, and in each perhaps
// several times over, for as many to receive and send at once. The kernel
// gives all that comes from one address and port to one socket of those.
type Sockets struct {
	V4, V6 []Socket // none where the host lacks the family, but not of both
	Port   uint16
}

// For is the socket that sends to an address, or nil if the host lacks its
// family. Of several each has its own who asks with a number of its own, from zero.
func (s *Sockets) For(a netip.Addr, n int) Socket {
	family := s.V6
	if a.Is4() || a.Is4In6() {
		family = s.V4
	}
	if len(family) == 0 {
		return nil
	}
	return family[n%len(family)]
}

// All are the sockets: those of IPv4, then those of IPv6.
func (s *Sockets) All() []Socket { return slices.Concat(s.V4, s.V6) }

// SetMark is Socket.SetMark for each. Some may have changed if it fails.
func (s *Sockets) SetMark(mark uint32) error {
	for _, one := range s.All() {
		if err := one.SetMark(mark); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all sockets.
func (s *Sockets) Close() error {
	var errs []error
	for _, one := range s.All() {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Counters is what happened to datagrams that were never delivered.
type Counters struct {
	Errors    uint64 // reads that failed for a while, such as ENOBUFS; ICMP errors are told to Watch instead
	Malformed uint64 // datagrams dropped because the kernel cut them or what it says of them
	Overflows uint64 // datagrams that the kernel dropped because the receive buffer was full; Linux only
}

// Counters sums up all sockets.
func (s *Sockets) Counters() Counters {
	var sum Counters
	for _, one := range s.All() {
		if one, ok := one.(interface{ counters() Counters }); ok {
			c := one.counters()
			sum.Errors += c.Errors
			sum.Malformed += c.Malformed
			sum.Overflows += c.Overflows
		}
	}
	return sum
}

// SendError is why a datagram, or a run of them, did not go out.
type SendError struct {
	Segmented bool  // it was a segmented send
	Err       error // errors.Is finds the errno in it
}

func (e *SendError) Error() string {
	if e.Segmented {
		return "segmented send: " + e.Err.Error()
	}
	return "send: " + e.Err.Error()
}

func (e *SendError) Unwrap() error { return e.Err }

// SegmentRefused reports whether an error of Send means that a path takes no
// segmented sends, so that the same data may pass when it is sent Plain.
//
// EIO: the interface does no checksums. EMSGSIZE: a segment is longer than the
// path's MTU. EINVAL: either, depending on the kernel.
func SegmentRefused(err error) bool {
	var e *SendError
	return errors.As(err, &e) && e.Segmented &&
		(errors.Is(e.Err, syscall.EIO) || errors.Is(e.Err, syscall.EMSGSIZE) || errors.Is(e.Err, syscall.EINVAL))
}
