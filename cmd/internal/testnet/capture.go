//go:build linux

package testnet

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Capture keeps the UDP datagrams that cross a link, whatever they carry, and the
// headers of all other IP packets.
type Capture struct {
	link   *Link
	fd     int
	all    []Message
	others []Other
}

// Other is an IP packet that is no UDP datagram.
type Other struct {
	Outgoing bool // as the link's host sees it
	From, To netip.Addr
	Protocol byte // the IP header's: of the first extension header, if there is one
	Type     byte // the first byte behind the IP header: of ICMP the type
}

// Message is a UDP datagram seen on a link, or a coalesced run of datagrams, as
// the kernel passes them on.
type Message struct {
	Outgoing bool // as the link's host sees it
	From, To netip.AddrPort
	TOS      byte // DSCP and ECN
	Unsummed bool // without a UDP checksum
	Payload  []byte
}

// Type returns the first byte of a WireGuard message, 0 of an empty one.
func (m Message) Type() byte {
	if len(m.Payload) == 0 {
		return 0
	}
	return m.Payload[0]
}

// NewCapture begins to capture.
func NewCapture(l *Link) *Capture {
	l.Host.tb.Helper()
	c := &Capture{link: l}
	index := l.get().Attrs().Index
	l.Host.Do(func() {
		var err error
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		l.Host.check(err, "capture")
		l.Host.check(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20), "capture buffer")
		l.Host.check(unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}), "capture on %s", l.Name)
	})
	l.Host.tb.Cleanup(func() { _ = unix.Close(c.fd) })
	return c
}

// networkOrder turns a protocol number as AF_PACKET wants it.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// Messages returns all that has crossed the link since NewCapture. Who knows
// that a message has arrived will find it here.
func (c *Capture) Messages() []Message {
	c.link.Host.tb.Helper()
	buffer := make([]byte, 1<<17)
	for {
		n, from, err := unix.Recvfrom(c.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return c.all
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			continue
		}
		c.link.Host.check(err, "captured packet")
		at, ok := from.(*unix.SockaddrLinklayer)
		outgoing := ok && at.Pkttype == unix.PACKET_OUTGOING
		if m, ok := parseUDP(buffer[:n]); ok {
			m.Outgoing = outgoing
			c.all = append(c.all, m)
		} else if o, ok := parseOther(buffer[:n]); ok {
			o.Outgoing = outgoing
			c.others = append(c.others, o)
		}
	}
}

// Others returns the packets that are no UDP datagrams, as Messages does those that
// are.
func (c *Capture) Others() []Other {
	c.link.Host.tb.Helper()
	c.Messages()
	return c.others
}

// Bytes returns the sum of the payloads in one direction.
func (c *Capture) Bytes(outgoing bool) (sum int) {
	c.link.Host.tb.Helper()
	for _, m := range c.Messages() {
		if m.Outgoing == outgoing {
			sum += len(m.Payload)
		}
	}
	return sum
}

// parseUDP takes an IP packet without extension headers apart.
func parseUDP(b []byte) (m Message, ok bool) {
	var from, to netip.Addr
	var header int
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(b[6:])&0x1fff == 0:
		header = int(b[0]&15) * 4
		m.TOS = b[1]
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= 40 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_UDP:
		header = 40
		m.TOS = b[0]<<4 | b[1]>>4
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return m, false
	}
	if len(b) < header+8 {
		return m, false
	}
	udp := b[header:]
	m.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp))
	m.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	m.Unsummed = udp[6] == 0 && udp[7] == 0
	m.Payload = append([]byte(nil), udp[8:]...)
	return m, true
}

// parseOther reads the header of an IP packet.
func parseOther(b []byte) (o Other, ok bool) {
	var header int
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		header = int(b[0]&15) * 4
		o.Protocol = b[9]
		o.From, o.To = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= 40 && b[0]>>4 == 6:
		header = 40
		o.Protocol = b[6]
		o.From, o.To = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return o, false
	}
	if len(b) > header {
		o.Type = b[header]
	}
	return o, true
}
