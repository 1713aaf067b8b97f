package udp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
)

// open opens sockets for the length of a test.
func open(t testing.TB, o Opener) *Sockets {
	t.Helper()
	s, err := o.Open(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// loopback is where sockets are reached in one family, and the socket.
func loopback(t testing.TB, s *Sockets, family string) (Socket, *Endpoint) {
	t.Helper()
	a := netip.MustParseAddr("127.0.0.1")
	if family == "IPv6" {
		a = netip.IPv6Loopback()
	}
	one := s.For(a, 0)
	if one == nil {
		t.Fatalf("the host has no %s", family)
	}
	return one, &Endpoint{Addr: netip.AddrPortFrom(a, s.Port)}
}

var families = []string{"IPv4", "IPv6"}

// openers are the machine's own, and the one that does for any machine.
var openers = map[string]Opener{"system": System(), "portable": portableOpener{}}

// eachOpener runs a test with every opener.
func eachOpener(t *testing.T, test func(t *testing.T, o Opener)) {
	for name, o := range openers {
		t.Run(name, func(t *testing.T) { test(t, o) })
	}
}

// mustSend sends all of ms.
func mustSend(t testing.TB, s Socket, ms ...Outgoing) {
	t.Helper()
	if n, err := s.Send(ms); err != nil || n != len(ms) {
		t.Fatalf("Send = %d, %v, want %d", n, err, len(ms))
	}
}

// datagram is what one datagram says.
type datagram struct {
	data []byte
	from Endpoint
	tos  byte
}

// collect receives n datagrams.
func collect(t testing.TB, s Socket, n int) []datagram {
	t.Helper()
	var all []datagram
	b := NewBatch()
	for len(all) < n {
		if err := s.Receive(b); err != nil {
			t.Fatal(err)
		}
		if len(b.Messages) == 0 {
			t.Fatal("Receive returned nothing")
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			before := len(all)
			for data := m.Data; ; {
				size := len(data)
				if m.Segment > 0 {
					size = min(size, m.Segment)
				}
				all = append(all, datagram{bytes.Clone(data[:size]), m.From, m.TOS})
				if data = data[size:]; len(data) == 0 {
					break
				}
			}
			if got := len(all) - before; got != m.Datagrams() {
				t.Fatalf("Datagrams() = %d, counted %d", m.Datagrams(), got)
			}
		}
	}
	if len(all) != n {
		t.Fatalf("%d datagrams, want %d", len(all), n)
	}
	return all
}

// pattern is n bytes that no shift of them equals.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// checkCut compares datagrams with what a segmented send of data should bring.
func checkCut(t *testing.T, got []datagram, data []byte, segment int) {
	t.Helper()
	for i, d := range got {
		lo := min(i*segment, len(data))
		if want := data[lo:min(lo+segment, len(data))]; !bytes.Equal(d.data, want) {
			t.Fatalf("datagram %d of %d: %d bytes, not the %d that were sent", i, len(got), len(d.data), len(want))
		}
	}
}

func TestSendReceive(t *testing.T) { eachOpener(t, testSendReceive) }

func testSendReceive(t *testing.T, o Opener) {
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			a, b := open(t, o), open(t, o)
			from, back := loopback(t, a, family)
			to, there := loopback(t, b, family)

			data := pattern(10*1000+7, 1)
			mustSend(t, from,
				Outgoing{Data: []byte("one"), To: there},
				Outgoing{Data: data, Segment: 1000, To: there},
				Outgoing{Data: data[:2500], Segment: 1000, To: there, Plain: true},
				Outgoing{Data: nil, To: there},
				Outgoing{Data: data[:500], Segment: 1000, To: there},
			)
			got := collect(t, to, 1+11+3+1+1)
			if string(got[0].data) != "one" {
				t.Errorf("received %q, want %q", got[0].data, "one")
			}
			checkCut(t, got[1:12], data, 1000)
			checkCut(t, got[12:15], data[:2500], 1000)
			if len(got[15].data) != 0 {
				t.Errorf("received %d bytes, sent none", len(got[15].data))
			}
			checkCut(t, got[16:], data[:500], 1000)
			for _, d := range got {
				if d.from.Addr != back.Addr {
					t.Fatalf("from %v, want %v", d.from.Addr, back.Addr)
				}
			}
			// An Endpoint that was received is one to send to.
			mustSend(t, to, Outgoing{Data: []byte("back"), To: &got[0].from})
			if got := collect(t, from, 1); string(got[0].data) != "back" {
				t.Errorf("received %q, want %q", got[0].data, "back")
			}
		})
	}
}

// Two sockets never share a port, in either family, and the error says so.
func TestOpenTakenPort(t *testing.T) { eachOpener(t, testOpenTakenPort) }

func testOpenTakenPort(t *testing.T, o Opener) {
	s := open(t, o)
	if other, err := o.Open(s.Port, 0); !errors.Is(err, syscall.EADDRINUSE) {
		if err == nil {
			other.Close()
		}
		t.Errorf("second Open of port %d: %v, want EADDRINUSE", s.Port, err)
	}
	for _, family := range families {
		s := open(t, o)
		one, _ := loopback(t, s, family)
		kept := s.V4[0]
		if one == s.V4[0] {
			kept = s.V6[0]
		}
		one.Close()
		if other, err := o.Open(s.Port, 0); !errors.Is(err, syscall.EADDRINUSE) {
			if err == nil {
				other.Close()
			}
			t.Errorf("Open of a port taken in the family that is not %s: %v, want EADDRINUSE", family, err)
		}
		kept.Close()
		again, err := o.Open(s.Port, 0)
		if err != nil {
			t.Errorf("Open of a port that was freed: %v", err)
			continue
		}
		if again.Port != s.Port {
			t.Errorf("port %d, want %d", again.Port, s.Port)
		}
		again.Close()
	}
}

func TestOpenRandomPort(t *testing.T) { eachOpener(t, testOpenRandomPort) }

func testOpenRandomPort(t *testing.T, o Opener) {
	for range 20 {
		s := open(t, o)
		if s.Port == 0 || len(s.V4) != 1 || len(s.V6) != 1 {
			t.Fatalf("port %d, %d sockets of IPv4, %d of IPv6", s.Port, len(s.V4), len(s.V6))
		}
		for _, family := range families {
			one, there := loopback(t, s, family)
			mustSend(t, one, Outgoing{Data: []byte("self"), To: there})
			collect(t, one, 1)
		}
	}
}

func TestFor(t *testing.T) {
	s := open(t, System())
	for addr, want := range map[string]Socket{
		"192.0.2.1": s.V4[0], "::ffff:192.0.2.1": s.V4[0], "2001:db8::1": s.V6[0], "fe80::1%1": s.V6[0],
	} {
		if s.For(netip.MustParseAddr(addr), 0) != want {
			t.Errorf("For(%s) is the other family's socket", addr)
		}
	}
	if got := (&Sockets{V6: s.V6}).For(netip.MustParseAddr("192.0.2.1"), 0); got != nil {
		t.Errorf("For(IPv4) = %v on a host without IPv4", got)
	}
}

func TestClose(t *testing.T) { eachOpener(t, testClose) }

func testClose(t *testing.T, o Opener) {
	for _, family := range families {
		s := open(t, o)
		one, there := loopback(t, s, family)
		done := make(chan error)
		for range 3 {
			go func() {
				b := NewBatch()
				for {
					if err := one.Receive(b); err != nil {
						done <- err
						return
					}
				}
			}()
		}
		mustSend(t, one, Outgoing{Data: []byte("x"), To: there})
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range 3 {
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Receive: %v, want net.ErrClosed", err)
			}
		}
		if n, err := one.Send([]Outgoing{{Data: []byte("x"), To: there}}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %d, %v, want net.ErrClosed", n, err)
		}
		if err := one.Receive(NewBatch()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive after Close: %v, want net.ErrClosed", err)
		}
	}
}

// A datagram that cannot be sent stops at itself: what came before is out, and
// what comes after can go.
func TestSendErrorNamesMessage(t *testing.T) { eachOpener(t, testSendErrorNamesMessage) }

func testSendErrorNamesMessage(t *testing.T, o Opener) {
	s := open(t, o)
	one, there := loopback(t, s, "IPv4")
	bad := &Endpoint{Addr: netip.MustParseAddrPort("[2001:db8::1]:9")}
	ms := []Outgoing{
		{Data: []byte("a"), To: there},
		{Data: []byte("b"), To: there},
		{Data: []byte("c"), To: bad},
		{Data: []byte("d"), To: there},
	}
	n, err := one.Send(ms)
	if n != 2 || err == nil {
		t.Fatalf("Send = %d, %v, want 2 and an error", n, err)
	}
	var e *SendError
	if !errors.As(err, &e) || SegmentRefused(err) {
		t.Errorf("error %v (%T)", err, err)
	}
	mustSend(t, one, ms[3:]...)
	for i, d := range collect(t, one, 3) {
		if want := []string{"a", "b", "d"}[i]; string(d.data) != want {
			t.Errorf("received %q, want %q", d.data, want)
		}
	}
	n, err = one.Send([]Outgoing{{Data: make([]byte, MaxBytes+1), To: there}})
	if n != 0 || err == nil || SegmentRefused(err) {
		t.Errorf("Send of %d bytes = %d, %v", MaxBytes+1, n, err)
	}
}

func TestSegmentRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.EMSGSIZE, syscall.EINVAL} {
		if err := fmt.Errorf("more: %w", &SendError{Segmented: true, Err: errno}); !SegmentRefused(err) {
			t.Errorf("SegmentRefused(%v) is false", err)
		}
		if err := (&SendError{Err: errno}); SegmentRefused(err) {
			t.Errorf("SegmentRefused(%v) is true", err)
		}
	}
	for _, err := range []error{nil, net.ErrClosed, syscall.EMSGSIZE, &SendError{Segmented: true, Err: syscall.ENETUNREACH}} {
		if SegmentRefused(err) {
			t.Errorf("SegmentRefused(%v) is true", err)
		}
	}
}

// Many goroutines send on one socket; each one's datagrams arrive in order.
func TestSendConcurrently(t *testing.T) { eachOpener(t, testSendConcurrently) }

func testSendConcurrently(t *testing.T, o Opener) {
	a, b := open(t, o), open(t, o)
	from, _ := loopback(t, a, "IPv4")
	to, there := loopback(t, b, "IPv4")
	const senders, each = 4, 20 // few enough for the receive buffer
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				ms := []Outgoing{
					{Data: bytes.Repeat([]byte{byte(i), byte(2 * j)}, 20), Segment: 20, To: there},
					{Data: []byte{byte(i), byte(2*j + 1)}, To: there},
				}
				if n, err := from.Send(ms); n != 2 || err != nil {
					t.Errorf("Send = %d, %v", n, err)
				}
			}
		})
	}
	all.Wait()
	next := make([]byte, senders)
	seconds := make([]bool, senders)
	for _, d := range collect(t, to, senders*each*3) {
		i := d.data[0]
		if d.data[1] != next[i] {
			t.Fatalf("sender %d: %d, want %d", i, d.data[1], next[i])
		}
		if len(d.data) == 20 && !seconds[i] {
			seconds[i] = true
			continue // of two segments
		}
		seconds[i] = false
		next[i]++
	}
}

// Loopback's sockets are bound to loopback, in both families and on one port.
func TestLoopback(t *testing.T) {
	for name, o := range map[string]Opener{"system": Loopback(), "portable": portableOpener{loopback: true}} {
		s, err := o.Open(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		// The same port is free on another address of the machine.
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: int(s.Port)})
		if err != nil {
			t.Errorf("%s: bound to more than 127.0.0.1: %v", name, err)
			continue
		}
		c.Close()
	}
}
