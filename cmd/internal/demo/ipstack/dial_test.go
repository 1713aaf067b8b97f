package ipstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestDial dials where nobody is, where nobody listens any more, and without
// patience.
func TestDial(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		to := netip.AddrPortFrom(right, 80)
		if _, err := p.left.Dial(t.Context(), to); !errors.Is(err, errReset) {
			t.Errorf("nobody: %v, want %v", err, errReset)
		}
		a, b := p.connect(t, right) // and the listener is closed
		if _, err := p.left.Dial(t.Context(), to); !errors.Is(err, errReset) {
			t.Errorf("nobody listens: %v, want %v", err, errReset)
		}
		a.Close()
		b.Close()
		p.checkForgotten(t)
		if _, err := New(1280, left).Dial(t.Context(), netip.MustParseAddrPort("[fd79::2]:80")); err == nil {
			t.Error("IPv6 is reached from IPv4")
		}
	})
	inBubble(t, lose, perfect, func(t *testing.T, p pair) {
		to := netip.AddrPortFrom(right, 80)
		if _, err := p.left.Dial(t.Context(), to); !errors.Is(err, errSilent) {
			t.Errorf("no answer: %v, want %v", err, errSilent)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.left.Dial(ctx, to); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no patience: %v, want %v", err, context.DeadlineExceeded)
		}
		p.checkForgotten(t)
	})
}

// TestSilence ends a stream whose other end was cut off while something is under way.
func TestSilence(t *testing.T) {
	cut := false // guarded by synctest.Wait
	there := func(_ int, p []byte) [][]byte {
		if cut {
			return nil
		}
		return [][]byte{p}
	}
	inBubble(t, there, perfect, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		synctest.Wait()
		cut = true
		if _, err := a.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errSilent) {
			t.Errorf("%v, want %v", err, errSilent)
		}
		a.Close()
		b.Close()
		p.checkForgotten(t)
	})
}

// TestListener binds where it can't, leaves streams that nobody accepts, and opens more than it takes.
func TestListener(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		at := netip.AddrPortFrom(right, 80)
		l, err := p.right.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []netip.AddrPort{at, netip.AddrPortFrom(left, 80)} {
			if _, err := p.right.Listen(at); err == nil {
				t.Errorf("%v was bound", at)
			}
		}
		var dialled []net.Conn
		for range maxStreams {
			c, err := p.left.Dial(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			dialled = append(dialled, c)
		}
		got := make(chan net.Conn)
		go func() {
			c, err := p.left.Dial(t.Context(), at)
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		synctest.Wait()
		if n := len(l.(*listener).streams); n != maxStreams {
			t.Errorf("%d streams, want %d", n, maxStreams)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		dialled[0].Close() // now there is room for the one more
		dialled = append(dialled[1:], <-got)
		synctest.Wait()
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		for _, c := range dialled {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errReset) {
				t.Errorf("read of what nobody accepts: %v, want %v", err, errReset)
			}
			c.Close()
		}
		p.checkForgotten(t)
	})
}

// TestForged sends segments that no other end would: none of them harms a stream,
// or makes one.
func TestForged(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		local, remote := b.(*conn), a.(*conn)
		forge := func(h header) {
			p.right.mu.Lock()
			p.right.send(local.local, remote.local, h.append(nil), []byte("forged"))
			p.right.mu.Unlock()
			synctest.Wait()
		}
		forge(header{kind: reset, stream: local.stream + 1})
		forge(header{kind: news, stream: local.stream, next: 1000, window: window})
		forge(header{kind: data, stream: local.stream, number: 1 + window, next: 1})
		forge(header{kind: open, stream: local.stream, next: 1})
		go func() {
			b.Write([]byte("true"))
			b.Close()
		}()
		if got, err := io.ReadAll(a); err != nil || string(got) != "true" {
			t.Errorf("%q, %v", got, err)
		}
		a.Close()

		at := netip.AddrPortFrom(right, 81)
		l, err := p.right.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		p.left.mu.Lock()
		h := header{kind: open, stream: 7}
		p.left.send(netip.AddrPortFrom(left, 999), at, h.append(nil), nil) // and knows nothing of it when it is answered
		p.left.mu.Unlock()
		synctest.Wait()
		if l := l.(*listener); len(l.backlog) != 0 || len(l.streams) != 0 {
			t.Errorf("%d streams are there, %d of them for Accept", len(l.streams), len(l.backlog))
		}
		l.Close()
		p.checkForgotten(t)
	})
}
