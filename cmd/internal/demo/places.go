package demo

import (
	"context"
	"net"
	"net/netip"

	"vpn/cmd/internal/demo/ipstack"
	"vpn/tun"
	"vpn/tunnel/udp"
)

// A place is where one end lives: its device, its sockets, and an IP stack that
// programs use the tunnel with.
type place interface {
	// outer is where the other end finds this one's UDP socket.
	outer() netip.Addr
	// sockets opens the UDP sockets that WireGuard messages go through.
	sockets() udp.Opener
	// device makes the device and gives it its addresses. It is up, or will
	// be in a moment.
	device(addrs []netip.Prefix) (tun.Device, error)

	// The rest is for programs behind the device.
	listen(at netip.AddrPort) (net.Listener, error)
	listenPacket(at netip.AddrPort) (net.PacketConn, error)
	dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// places are both ends', and what joins them.
type places struct {
	server, client place
	what           []string // lines that say what this is
	undo           func() error
}

func (p *places) close() error {
	if p.undo == nil {
		return nil
	}
	return p.undo()
}

func newPlaces(namespaces bool) (*places, error) {
	if namespaces {
		return newNamespaces()
	}
	return &places{server: new(stack), client: new(stack), what: []string{
		"Two complete WireGuard tunnels in this one process, without root: each has an",
		"IP stack of its own instead of a TUN device, and they talk over 127.0.0.1. In",
		"the tunnel, HTTP goes over a small reliable stream in UDP, not over TCP.",
	}}, nil
}

// stack is a place inside this process. What it listens and dials with is there
// once its device is made.
type stack struct{ *ipstack.Stack }

func (s *stack) outer() netip.Addr   { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
func (s *stack) sockets() udp.Opener { return udp.Loopback() }

func (s *stack) device(prefixes []netip.Prefix) (tun.Device, error) {
	s.Stack = ipstack.New(tun.DefaultMTU, prefixes[0].Addr()) // the files of the demo give one
	return s.Stack, nil
}

func (s *stack) listen(at netip.AddrPort) (net.Listener, error) { return s.Listen(at) }

func (s *stack) listenPacket(at netip.AddrPort) (net.PacketConn, error) { return s.ListenPacket(at) }

// dial takes "tcp" for a reliable stream, which is what its caller wants of TCP.
func (s *stack) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if network == "udp" {
		return s.DialPacket(to)
	}
	return s.Dial(ctx, to)
}
