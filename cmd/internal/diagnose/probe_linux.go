package diagnose

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// echoTime is how long an answer may take, and echoTries how often it is asked for: it may be lost. Once one has come, the next may take
	// echoSlack more than echoFactor times as long.
	echoTime   = 700 * time.Millisecond
	echoTries  = 2
	echoSlack  = 100 * time.Millisecond
	echoFactor = 4
	// smallest is a packet that every path takes.
	smallest = 576
	// echoHeader is ICMP's.
	echoHeader = 8
)

// reach asks addresses behind a link for echoes, and finds out how large a packet the first that answers is reached with; nil if none does.
func reach(ctx context.Context, link string, mtu int, at []netip.Addr) *Reach {
	for _, a := range at {
		if h, err := lookUp(a, 0); err == nil && h.local {
			continue // an address of our own says nothing
		}
		e, err := newEcho(link, a)
		if err != nil {
			continue // another family may be there
		}
		r := e.reach(ctx, mtu)
		e.conn.Close()
		if r != nil {
			return r
		}
	}
	return nil
}

// echo sends echo requests that nobody may fragment out by one link.
type echo struct {
	conn *net.IPConn
	to   netip.Addr
	id   uint16
	seq  uint16
	wait time.Duration // for an answer
}

func newEcho(link string, to netip.Addr) (*echo, error) {
	network, whole := "ip4:icmp", "0.0.0.0"
	if to.Is6() {
		network, whole = "ip6:ipv6-icmp", "::"
	}
	c, err := net.ListenPacket(network, whole)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.IPConn)
	if !ok {
		c.Close()
		return nil, errors.New("no socket for echo requests")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = errors.Join(unix.BindToDevice(int(fd), link), dontFragment(int(fd), to.Is6()))
	})
	if err = errors.Join(err, failed); err != nil {
		conn.Close()
		return nil, err
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // it never fails
	return &echo{conn: conn, to: to, wait: echoTime, id: binary.BigEndian.Uint16(id[:])}, nil
}

// dontFragment has packets go out whole, whatever is known of the path.
func dontFragment(fd int, six bool) error {
	if six {
		return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1))
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
}

// reach is nil if nothing comes back.
func (e *echo) reach(ctx context.Context, mtu int) *Reach {
	r := &Reach{Address: e.to}
	low := 0
	for _, size := range []int{mtu, min(smallest, mtu), e.headers() + echoHeader} {
		if size > 0 && e.answers(ctx, size) {
			low = size
			break
		}
	}
	if low == 0 {
		return nil
	}
	for high := mtu; high-low > 1; { // low is answered, and high is not
		if low == mtu {
			break
		}
		if middle := (low + high) / 2; e.answers(ctx, middle) {
			low = middle
		} else {
			high = middle
		}
	}
	r.Largest = low
	return r
}

func (e *echo) headers() int {
	if e.to.Is6() {
		return 40
	}
	return 20
}

// answers reports whether a packet of that size is answered.
func (e *echo) answers(ctx context.Context, size int) bool {
	for range echoTries {
		if ctx.Err() != nil {
			return false
		}
		e.seq++
		if e.ask(size) {
			return true
		}
	}
	return false
}

func (e *echo) ask(size int) bool {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{
		ID: int(e.id), Seq: int(e.seq), Data: make([]byte, max(size-e.headers()-echoHeader, 0)),
	}}
	protocol, reply := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if e.to.Is6() {
		m.Type, protocol, reply = ipv6.ICMPTypeEchoRequest, 58, ipv6.ICMPTypeEchoReply
	}
	b, err := m.Marshal(nil) // of IPv6 the kernel makes the checksum
	if err != nil {
		return false
	}
	sent := time.Now()
	if err := e.conn.SetReadDeadline(sent.Add(e.wait)); err != nil {
		return false
	}
	if _, err := e.conn.WriteTo(b, &net.IPAddr{IP: e.to.AsSlice()}); err != nil {
		return false
	}
	answer := make([]byte, size+128)
	for {
		n, from, err := e.conn.ReadFrom(answer)
		if err != nil {
			return false
		}
		m, err := icmp.ParseMessage(protocol, answer[:n])
		if err != nil || m.Type != reply {
			continue
		}
		who, isIP := from.(*net.IPAddr)
		body, isEcho := m.Body.(*icmp.Echo)
		if isIP && isEcho && who.IP.Equal(e.to.AsSlice()) && body.ID == int(e.id) && body.Seq == int(e.seq) {
			e.wait = min(echoFactor*time.Since(sent)+echoSlack, echoTime)
			return true
		}
	}
}
