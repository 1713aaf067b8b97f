package sim

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"vpn/tun"
	"vpn/tunnel/uapi"
)

// TestStockSeeds plays seeds with wireguard-go as node 1. What it does is not the same each time, so there is no trace to be the same; what
// our nodes do is held to all rules.
func TestStockSeeds(t *testing.T) {
	first, last := chosen(100)
	playAll(t, first, last, options{stock: true})
}

// A stock is wireguard-go, on a device and a socket in memory. It lives by the bubble's time.
type stock struct {
	node   *node
	device *device.Device

	packets chan [][]byte
	events  chan wgtun.Event
	closed  chan struct{}
	once    sync.Once

	in    chan arrival
	mu    sync.Mutex
	ended chan struct{} // guarded by mu: of the socket
}

func (w *world) newStock() {
	n := &node{w: w, number: len(w.nodes), owner: make(map[netip.Addr]int), up: true}
	n.hasFamily = [families]bool{true, true}
	n.settle()
	n.rand = newRandomness(w.seed, uint64(n.number))
	n.newKey()
	s := &stock{
		node: n, packets: make(chan [][]byte, 1), events: make(chan wgtun.Event, 1), closed: make(chan struct{}), in: make(chan arrival, 1),
	}
	w.stirred = make(chan struct{}, 1)
	s.events <- wgtun.EventUp
	s.device = device.NewDevice(stockTUN{s}, s, device.NewLogger(device.LogLevelSilent, ""))
	n.stock = s
	w.nodes = append(w.nodes, n)
}

// stockPeers are never forgotten: the finalizers of their queues would receive from channels of a bubble, outside of it.
var stockPeers struct {
	mu  sync.Mutex
	all []*device.Peer
}

// set configures it as wg would.
func (s *stock) set(c *uapi.Config) error {
	var b bytes.Buffer
	if err := uapi.WriteSet(&b, c); err != nil {
		return err
	}
	err := s.device.IpcSetOperation(&b)
	stockPeers.mu.Lock()
	defer stockPeers.mu.Unlock()
	for i := range c.Peers {
		if p := s.device.LookupPeer(device.NoisePublicKey(c.Peers[i].PublicKey)); p != nil {
			stockPeers.all = append(stockPeers.all, p)
		}
	}
	return err
}

func (s *stock) receive(a arrival) { s.in <- a }
func (s *stock) put(ps [][]byte)   { s.packets <- ps }
func (s *stock) close()            { s.device.Close() }

// Open implements conn.Bind, as do the methods up to BatchSize.
func (s *stock) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := make(chan struct{})
	s.ended = ended
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case <-ended:
			return 0, net.ErrClosed
		case a := <-s.in:
			for i, d := range a {
				sizes[i], from[i] = copy(bufs[i], d.data), stockEndpoint(d.from)
			}
			return len(a), nil
		}
	}}, port, nil
}

func (s *stock) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		close(s.ended)
		s.ended = nil
	}
	return nil
}

func (s *stock) Send(bufs [][]byte, to conn.Endpoint) error {
	n := s.node
	n.mu.Lock()
	for _, b := range bufs {
		n.sent = append(n.sent, datagram{to: netip.AddrPort(to.(stockEndpoint)), data: bytes.Clone(b)})
	}
	n.mu.Unlock()
	select {
	case n.w.stirred <- struct{}{}:
	default:
	}
	return nil
}

func (s *stock) SetMark(uint32) error { return nil }
func (s *stock) BatchSize() int       { return 64 }
func (s *stock) ParseEndpoint(text string) (conn.Endpoint, error) {
	at, err := netip.ParseAddrPort(text)
	return stockEndpoint(at), err
}

// A stockEndpoint is an address.
type stockEndpoint netip.AddrPort

func (e stockEndpoint) ClearSrc()           {}
func (e stockEndpoint) SrcToString() string { return "" }
func (e stockEndpoint) DstToString() string { return netip.AddrPort(e).String() }
func (e stockEndpoint) DstToBytes() []byte {
	b, _ := netip.AddrPort(e).MarshalBinary()
	return b
}
func (e stockEndpoint) DstIP() netip.Addr { return netip.AddrPort(e).Addr() }
func (e stockEndpoint) SrcIP() netip.Addr { return netip.Addr{} }

// A stockTUN is its device.
type stockTUN struct{ *stock }

func (s stockTUN) File() *os.File             { return nil }
func (s stockTUN) MTU() (int, error)          { return tun.DefaultMTU, nil }
func (s stockTUN) Name() (string, error)      { return "stock", nil }
func (s stockTUN) Events() <-chan wgtun.Event { return s.events }
func (s stockTUN) BatchSize() int             { return 64 }

func (s stockTUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case <-s.closed:
		return 0, os.ErrClosed
	case ps := <-s.packets:
		for i, p := range ps {
			sizes[i] = copy(bufs[i][offset:], p)
		}
		return len(ps), nil
	}
}

func (s stockTUN) Write(bufs [][]byte, offset int) (int, error) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	for _, b := range bufs {
		s.node.delivered = append(s.node.delivered, bytes.Clone(b[offset:]))
	}
	return len(bufs), nil
}

func (s stockTUN) Close() error {
	s.once.Do(func() {
		close(s.closed)
		close(s.events)
	})
	return nil
}
