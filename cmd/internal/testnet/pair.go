//go:build linux

package testnet

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Side is one end of a tunnel: a host with a daemon on it.
type Side struct {
	*Host
	Daemon         *Daemon
	Outer          *Link  // its way to the other host
	Outer4, Outer6 string // addresses of Outer
	Inner4, Inner6 string // addresses of the device
	Port           int    // where its daemon listens

	number int // of the side, the end of its addresses
}

// Endpoint returns where the daemon is reached, by IPv6 or IPv4.
func (s *Side) Endpoint(six bool) string {
	if six {
		return net.JoinHostPort(s.Outer6, strconv.Itoa(s.Port))
	}
	return net.JoinHostPort(s.Outer4, strconv.Itoa(s.Port))
}

// PeerLines are the lines that make s a peer of another daemon, without an
// endpoint if that is empty.
func (s *Side) PeerLines(endpoint string) []string {
	lines := []string{"public_key=" + s.Daemon.Key.Public}
	if endpoint != "" {
		lines = append(lines, "endpoint="+endpoint)
	}
	return append(lines, "replace_allowed_ips=true", "allowed_ip="+s.Inner4+"/32", "allowed_ip="+s.Inner6+"/128")
}

// StartDaemon starts the side's daemon and gives it its key, port and addresses.
// The device is not up yet, and there is no peer.
func (s *Side) StartDaemon(kind Kind) {
	s.tb.Helper()
	s.Daemon = s.Host.StartDaemon(kind)
	s.Daemon.Set("private_key="+s.Daemon.Key.Private, fmt.Sprintf("listen_port=%d", s.Port))
	s.Daemon.Address(s.Inner4+"/24", s.Inner6+"/64")
}

// Knows makes the other side a peer, at an endpoint or none if that is empty.
func (s *Side) Knows(other *Side, endpoint string) {
	s.tb.Helper()
	s.Daemon.Set(other.PeerLines(endpoint)...)
}

// Pair is two hosts that a veth pair joins, each with a daemon.
type Pair struct{ A, B *Side }

// NewHosts makes the hosts of a pair, without daemons. An MTU of 0 is 1500.
func NewHosts(tb TB, mtu int) *Pair {
	tb.Helper()
	p := &Pair{A: newSide(tb, 77, 1), B: newSide(tb, 77, 2)}
	p.A.Outer, p.B.Outer = Connect(p.A.Host, p.B.Host, mtu)
	for _, s := range []*Side{p.A, p.B} {
		s.Outer.Address(s.Outer4+"/24", s.Outer6+"/64")
	}
	p.ready()
	return p
}

// ready returns when packets pass outside the tunnel: a link may drop the first.
func (p *Pair) ready() {
	p.A.tb.Helper()
	p.A.MustPing(p.B.Outer4)
	p.A.MustPing(p.B.Outer6)
}

// NewRoutedHosts makes the hosts of a pair with a router between them, and
// returns the router's links to A and B. Their addresses end in 254.
func NewRoutedHosts(tb TB) (p *Pair, toA, toB *Link) {
	tb.Helper()
	p = &Pair{A: newSide(tb, 77, 1), B: newSide(tb, 78, 2)}
	router := NewHost(tb, "router")
	router.Forward()
	toA, p.A.Outer = Connect(router, p.A.Host, 0)
	toB, p.B.Outer = Connect(router, p.B.Host, 0)
	toA.Address("192.168.77.254/24", "fd77::254/64")
	toB.Address("192.168.78.254/24", "fd78::254/64")
	p.A.Outer.Address(p.A.Outer4+"/24", p.A.Outer6+"/64")
	p.B.Outer.Address(p.B.Outer4+"/24", p.B.Outer6+"/64")
	p.A.Outer.Route("0.0.0.0/0", "192.168.77.254", 0)
	p.A.Outer.Route("::/0", "fd77::254", 0)
	p.B.Outer.Route("0.0.0.0/0", "192.168.78.254", 0)
	p.B.Outer.Route("::/0", "fd78::254", 0)
	p.ready()
	return p, toA, toB
}

func newSide(tb TB, net, n int) *Side {
	return &Side{
		Host:   NewHost(tb, string(rune('a'+n-1))),
		Outer4: fmt.Sprintf("192.168.%d.%d", net, n), Outer6: fmt.Sprintf("fd%d::%d", net, n),
		Inner4: fmt.Sprintf("10.9.0.%d", n), Inner6: fmt.Sprintf("fd09::%d", n),
		Port: 51820 + n, number: n,
	}
}

// NewPair makes two hosts with daemons that know each other and are up.
func NewPair(tb TB, a, b Kind, mtu int, outerSix bool) *Pair {
	tb.Helper()
	p := NewHosts(tb, mtu)
	p.StartDaemons(a, b)
	p.Join(outerSix)
	return p
}

// StartDaemons starts a daemon on each side; neither knows the other.
func (p *Pair) StartDaemons(a, b Kind) {
	p.A.tb.Helper()
	p.A.StartDaemon(a)
	p.B.StartDaemon(b)
}

// Join makes the sides peers of each other, with endpoints, and sets both up.
func (p *Pair) Join(outerSix bool) {
	p.A.tb.Helper()
	p.A.Knows(p.B, p.B.Endpoint(outerSix))
	p.B.Knows(p.A, p.A.Endpoint(outerSix))
	p.Up(outerSix)
}

// Up sets both devices up, and returns when both daemons have noticed. It says
// by which family they will speak: wireguard-go's first message by IPv6 after
// one by IPv4 goes astray.
func (p *Pair) Up(outerSix bool) {
	p.A.tb.Helper()
	p.A.Daemon.Up()
	p.B.Daemon.Up()
	p.A.awaitUp(p.B, outerSix)
	p.B.awaitUp(p.A, outerSix)
}

// awaitUp waits until the side's daemon shakes hands. It learns of its link's
// state some time after the link has it, and does nothing before: a peer that
// called in between would not be answered, and call again after five seconds
// only. So a stranger is made a peer for a moment, whose endpoint is a socket of
// ours on the other side, and packets are sent to it until it is called.
func (s *Side) awaitUp(other *Side, six bool) {
	s.tb.Helper()
	at := other.Outer4
	if six {
		at = other.Outer6
	}
	socket := other.ListenUDP(net.JoinHostPort(at, "0"))
	defer func() { _ = socket.Close() }()
	called := make(chan error, 1)
	go func() {
		_, err := socket.Read(make([]byte, 1<<16))
		called <- err
	}()
	stranger := "public_key=" + NewKey().Public
	address := strings.TrimSuffix(s.Inner4, strconv.Itoa(s.number)) + "254"
	s.Daemon.Set(stranger, "endpoint="+socket.LocalAddr().String(), "allowed_ip="+address+"/32")
	pinger := s.NewPinger(address, 16)
	Until(s.tb, "the daemon notices that its link is up", func() bool {
		if _, err := pinger.Send(); err != nil {
			return false // refused while the link is not up
		}
		select {
		case err := <-called:
			other.check(err, "socket of a stranger")
			return true
		default:
			return false
		}
	})
	s.Daemon.Set(stranger, "remove=true")
}
