package tunnel

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// queues is a device with several queues. What is written is told by number of the queue.
type queues struct {
	events  chan tun.Event
	closed  chan struct{}
	once    sync.Once
	all     []*fedQueue
	written func(queue int, packet []byte)
}

// fedQueue is one of them: its packets are fed, many at once.
type fedQueue struct {
	device *queues
	number int
	feed   chan [][]byte
}

func newQueues(n int, written func(int, []byte)) *queues {
	d := &queues{events: make(chan tun.Event, 1), closed: make(chan struct{}), written: written}
	for i := range n {
		d.all = append(d.all, &fedQueue{device: d, number: i, feed: make(chan [][]byte, 64)})
	}
	d.events <- tun.Up
	return d
}

func (d *queues) Name() string             { return "queues0" }
func (d *queues) MTU() int                 { return 1420 }
func (d *queues) Events() <-chan tun.Event { return d.events }

func (d *queues) Queues() (all []tun.Queue) {
	for _, q := range d.all {
		all = append(all, q)
	}
	return all
}

func (d *queues) Close() error {
	d.once.Do(func() { close(d.closed); close(d.events) })
	return nil
}

func (q *fedQueue) Read(b *tun.Batch) error {
	b.Reset()
	select {
	case ps := <-q.feed:
		for _, p := range ps {
			b.Packets = append(b.Packets, tun.Packet{Data: p})
		}
		return nil
	case <-q.device.closed:
		return os.ErrClosed
	}
}

func (q *fedQueue) Write(ps [][]byte) (int, error) {
	for _, p := range ps {
		q.device.written(q.number, p)
	}
	return len(ps), nil
}

// spreadNode is an engine with several queues and sockets, and number n in the inner network.
type spreadNode struct {
	*Tunnel
	device  *queues
	private key.Private
	number  byte
}

func newSpreadNode(t *testing.T, number byte, lines int, written func(int, []byte)) *spreadNode {
	t.Helper()
	n := &spreadNode{device: newQueues(lines, written), private: newPrivateKey(t), number: number}
	var err error
	n.Tunnel, err = New(Config{
		Device: n.device, Sockets: udp.Spread(lines), Clock: SystemClock(), Arena: aead.NewArena(nil), Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Processors: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	if err := n.Set(&uapi.Config{PrivateKey: &n.private}); err != nil {
		t.Fatal(err)
	}
	n.linkUp() // as the event does, which may not have been seen yet
	return n
}

// knows adds another node as a peer.
func (n *spreadNode) knows(t *testing.T, other *spreadNode) {
	t.Helper()
	d, _ := other.Get()
	err := n.Set(peers(uapi.PeerConfig{
		PublicKey: other.private.Public(), Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), d.ListenPort),
		AllowedIPs: []uapi.AllowedIP{{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, other.number}), 32)}},
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// flow is one direction of one inner flow.
type flow struct{ from, to, queue byte }

// flows notes what has arrived of each flow, and in which queue.
type flows struct {
	t     *testing.T
	mu    sync.Mutex
	next  map[flow]uint32
	queue map[flow]int
	left  int
	done  chan struct{}
}

func (f *flows) written(queue int, p []byte) {
	x := flow{p[15], p[19], p[28]}
	number := binary.BigEndian.Uint32(p[29:])
	f.mu.Lock()
	defer f.mu.Unlock()
	if want := f.next[x]; number != want {
		f.t.Errorf("flow %v: packet %d came when %d was due", x, number, want)
	}
	f.next[x] = number + 1
	if before, known := f.queue[x]; known && before != queue {
		f.t.Errorf("flow %v is written to queues %d and %d", x, before, queue)
	}
	f.queue[x] = queue
	if f.left--; f.left == 0 {
		close(f.done)
	}
}

// With several queues and sockets all of them work, at once, and each of many flows keeps its order, both ways.
func TestLinesKeepFlowsInOrder(t *testing.T) {
	for lines := 1; lines <= MaxLines; lines++ {
		testLines(t, lines)
	}
}

func testLines(t *testing.T, lines int) {
	const others, batches, batch = 48, 1, 4 // what no receive buffer is too small for
	f := &flows{t: t, next: make(map[flow]uint32), queue: make(map[flow]int)}
	hub := newSpreadNode(t, 1, lines, f.written)
	nodes := []*spreadNode{hub}
	for i := range others {
		n := newSpreadNode(t, byte(2+i), lines, f.written)
		n.knows(t, hub)
		hub.knows(t, n)
		nodes = append(nodes, n)
	}
	// send has a packets flow from each queue of a node to another, in batches.
	send := func(from, to *spreadNode, first, batches, batch int) {
		for _, q := range from.device.all {
			for i := range batches {
				var ps [][]byte
				for j := range batch {
					payload := make([]byte, 1200)
					payload[8] = byte(q.number)
					binary.BigEndian.PutUint32(payload[9:], uint32(first+i*batch+j))
					ps = append(ps, ip4(netip.AddrFrom4([4]byte{10, 0, 0, from.number}).String(), netip.AddrFrom4([4]byte{10, 0, 0, to.number}).String(), protocolUDP, payload))
				}
				q.feed <- ps
			}
		}
	}
	expect := func(n int) <-chan struct{} {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left, f.done = n, make(chan struct{})
		return f.done
	}
	// The first packet of each flow makes the sessions.
	done := expect(others * lines)
	for _, n := range nodes[1:] {
		send(n, hub, 0, 1, 1)
	}
	<-done
	done = expect(others * lines)
	for _, n := range nodes[1:] {
		send(hub, n, 0, 1, 1)
	}
	<-done
	for round := range 12 {
		first := 1 + round*batches*batch
		done = expect(2 * others * lines * batches * batch)
		var sending sync.WaitGroup
		for _, n := range nodes[1:] {
			sending.Go(func() { send(n, hub, first, batches, batch) })
		}
		for _, n := range nodes[1:] {
			send(hub, n, first, batches, batch)
		}
		sending.Wait()
		<-done
	}
	used := make(map[int]bool)
	for x, queue := range f.queue {
		if x.to == hub.number {
			used[queue] = true
		}
	}
	if len(used) != lines {
		t.Errorf("%d of %d lines have brought what %d peers sent", len(used), lines, others)
	}
	for _, n := range nodes {
		n.Close()
	}
}

// Few processors have one line, and none has more than MaxLines.
func TestLines(t *testing.T) {
	for processors, want := range map[int]int{0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 6: 3, 8: 4, 9: 4, 64: MaxLines} {
		if got := linesOn(processors); got != want {
			t.Errorf("%d lines on %d processors, want %d", got, processors, want)
		}
	}
}
