package ipstack

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vpn/tun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	left  = netip.MustParseAddr("10.79.0.1")
	right = netip.MustParseAddr("10.79.0.2")
)

// mangle is what a wire does to the packet with number n: it returns those that
// arrive. It may keep p.
type mangle func(n int, p []byte) [][]byte

func perfect(_ int, p []byte) [][]byte { return [][]byte{p} }

// every gives each so many-th packet to another mangle.
func every(many int, m mangle) mangle {
	return func(n int, p []byte) [][]byte {
		if n%many == many-1 {
			return m(n, p)
		}
		return perfect(n, p)
	}
}

func lose(int, []byte) [][]byte { return nil }

func double(_ int, p []byte) [][]byte { return [][]byte{p, slices.Clone(p)} }

// late lets each so many-th packet arrive behind the next ones, as many as behind says.
func late(many, behind int) mangle {
	var held []byte
	var due int
	return func(n int, p []byte) [][]byte {
		if n%many == many-1 && held == nil {
			held, due = p, n+behind
			return nil
		}
		if held != nil && n >= due {
			p, q := p, held
			held = nil
			return [][]byte{p, q}
		}
		return perfect(n, p)
	}
}

// then lets one mangle take what the other lets through.
func (m mangle) then(next mangle) mangle {
	var n int
	return func(i int, p []byte) (out [][]byte) {
		for _, q := range m(i, p) {
			out = append(out, next(n, q)...)
			n++
		}
		return out
	}
}

// pair are two stacks and the wires between them.
type pair struct{ left, right *Stack }

// inBubble joins two stacks, calls f, and closes them. Time goes on when all
// goroutines wait.
func inBubble(t *testing.T, there, back mangle, f func(t *testing.T, p pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pair{New(tun.DefaultMTU, left), New(1280, right)}
		var wires sync.WaitGroup
		wires.Go(func() { carry(t, p.left, p.right, there) })
		wires.Go(func() { carry(t, p.right, p.left, back) })
		defer func() {
			p.left.Close()
			p.right.Close()
			wires.Wait()
		}()
		f(t, p)
	})
}

// carry takes packets from one stack to another until one is closed.
func carry(t *testing.T, from, to *Stack, m mangle) {
	b := tun.NewBatch()
	for n := 0; ; {
		if err := from.Read(b); err != nil {
			if err != os.ErrClosed {
				t.Errorf("read: %v", err)
			}
			return
		}
		var arrive [][]byte
		for _, p := range b.Packets {
			if len(p.Data) > from.MTU() {
				t.Errorf("a packet of %d bytes, the MTU is %d", len(p.Data), from.MTU())
			}
			arrive = append(arrive, m(n, slices.Clone(p.Data))...)
			n++
		}
		if k, err := to.Write(arrive); err == os.ErrClosed {
			return
		} else if err != nil || k != len(arrive) {
			t.Errorf("%d of %d written, %v", k, len(arrive), err)
		}
	}
}

// connect makes a stream from left to right.
func (p pair) connect(t *testing.T, to netip.Addr) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := p.right.Listen(netip.AddrPortFrom(to, 80))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	if dialled, err = p.left.Dial(t.Context(), netip.AddrPortFrom(to, 80)); err != nil {
		t.Fatal(err)
	}
	return dialled, <-got
}

// checkForgotten waits until nothing is bound at either end. It calls t.Error if
// that does not come to pass.
func (p pair) checkForgotten(t *testing.T) {
	t.Helper()
	<-time.After(time.Hour) // of the bubble
	for _, s := range []*Stack{p.left, p.right} {
		s.mu.Lock()
		if len(s.sockets) > 0 {
			t.Errorf("still bound: %v", s.sockets)
		}
		s.mu.Unlock()
	}
}
