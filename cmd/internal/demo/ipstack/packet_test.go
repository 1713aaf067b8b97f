package ipstack

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"vpn/tun"
	"vpn/tun/netstack"
)

// TestOther talks with a stack that others have written, and that checks what it
// is sent.
func TestOther(t *testing.T) {
	own := New(tun.DefaultMTU, left)
	other, programs, err := netstack.Create([]netip.Addr{right}, nil, tun.DefaultMTU)
	if err != nil {
		t.Fatal(err)
	}
	var wires sync.WaitGroup
	wire := func(from, to tun.Device) {
		wires.Go(func() {
			for b := tun.NewBatch(); from.Queues()[0].Read(b) == nil; {
				for _, p := range b.Packets {
					to.Queues()[0].Write([][]byte{p.Data})
				}
			}
		})
	}
	wire(own, other)
	wire(other, own)
	defer func() {
		own.Close()
		other.Close()
		wires.Wait()
	}()

	l, err := programs.ListenUDPAddrPort(netip.AddrPortFrom(right, 7))
	if err != nil {
		t.Fatal(err)
	}
	c, err := own.DialPacket(netip.AddrPortFrom(right, 7))
	if err != nil {
		t.Fatal(err)
	}
	room := own.room()
	for _, size := range []int{0, 1, 2, 1001, room} {
		message := bytes.Repeat([]byte{byte(size), 0xff, 0}, size)[:size]
		if n, err := c.Write(message); n != size || err != nil {
			t.Fatalf("%d of %d written, %v", n, size, err)
		}
		b := make([]byte, 2000)
		n, from, err := l.ReadFrom(b)
		if err != nil || !bytes.Equal(b[:n], message) || from.String() != c.LocalAddr().String() {
			t.Fatalf("%d of %d bytes from %v, %v", n, size, from, err)
		}
		if _, err := l.WriteTo(b[:n], from); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b); err != nil || !bytes.Equal(b[:n], message) {
			t.Fatalf("%d of %d bytes came back, %v", n, size, err)
		}
	}
	if _, err := c.Write(make([]byte, room+1)); err == nil {
		t.Error("more than a packet has room for was written")
	}
	c.Close()
	l.Close()
}

// TestBadPackets changes each bit of a packet, and cuts it at each length.
func TestBadPackets(t *testing.T) {
	from, to := netip.AddrPortFrom(left, 1234), netip.AddrPortFrom(right, 80)
	p := appendPacket(nil, from, to, []byte("head"), []byte("and the rest"))
	f, o, payload, ok := parse(append(slices.Clone(p), "padding"...))
	if !ok || f != from || o != to || string(payload) != "headand the rest" {
		t.Errorf("%v -> %v: %q, %v", f, o, payload, ok)
	}
	for i := range p {
		if _, _, _, ok := parse(p[:i]); ok {
			t.Errorf("%d bytes of %d were taken", i, len(p))
		}
		for bit := range 8 {
			bad := slices.Clone(p)
			bad[i] ^= 1 << bit
			if _, _, _, ok := parse(bad); ok {
				t.Errorf("with bit %d of byte %d changed it is taken", bit, i)
			}
		}
	}
}

// FuzzParse would panic.
func FuzzParse(f *testing.F) {
	f.Add(appendPacket(nil, netip.AddrPortFrom(left, 1), netip.AddrPortFrom(left, 80), (&header{kind: open}).append(nil), nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		s := New(1280, left)
		if _, err := s.Listen(netip.AddrPortFrom(left, 80)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([][]byte{p, p}); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// TestDatagrams sends more than waits to be read, from others than the one that is
// talked with, and to those that can't be reached.
func TestDatagrams(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		l, err := p.right.ListenPacket(netip.AddrPortFrom(right, 7))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.left.DialPacket(netip.AddrPortFrom(right, 7))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			c.Write([]byte{byte(i)})
		}
		b := make([]byte, 10)
		for i := range 10 {
			if n, from, err := l.ReadFrom(b); n != 1 || b[0] != byte(i) || from.String() != c.LocalAddr().String() || err != nil {
				t.Errorf("%d: %v from %v, %v", i, b[:n], from, err)
			}
		}
		stranger, err := p.right.ListenPacket(netip.AddrPortFrom(right, 8))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []net.PacketConn{stranger, l} {
			if _, err := from.WriteTo([]byte(from.LocalAddr().String()), c.LocalAddr()); err != nil {
				t.Error(err)
			}
		}
		all := make([]byte, 100)
		if n, err := c.Read(all); err != nil || string(all[:n]) != "10.79.0.2:7" {
			t.Errorf("%q came to the end of a connection, %v", all[:n], err)
		}
		for _, to := range []net.Addr{&net.TCPAddr{}, &net.UDPAddr{}, &net.UDPAddr{IP: net.ParseIP("fd79::1"), Port: 1}} {
			if _, err := l.WriteTo(b, to); err == nil {
				t.Errorf("something was written to %v", to)
			}
		}
	})
}

// TestOverflow sends more than one waits for, at the device and at a socket: what
// is one too many is dropped, and what came before is there in its order.
func TestOverflow(t *testing.T) {
	from, to := New(1280, left), New(1280, right)
	c, err := from.DialPacket(netip.AddrPortFrom(right, 7))
	if err != nil {
		t.Fatal(err)
	}
	l, err := to.ListenPacket(netip.AddrPortFrom(right, 7))
	if err != nil {
		t.Fatal(err)
	}
	for i := range queueLen + 10 {
		c.Write([]byte{byte(i), byte(i >> 8)})
	}
	batch, packets := tun.NewBatch(), 0
	for packets < queueLen {
		if err := from.Read(batch); err != nil {
			t.Fatal(err)
		}
		for _, p := range batch.Packets {
			to.Write([][]byte{p.Data})
		}
		packets += len(batch.Packets)
	}
	if from.waiting != 0 {
		t.Errorf("%d packets wait behind %d", from.waiting, queueLen)
	}
	if n := len(l.(*datagrams).waiting); n != backlogLen {
		t.Errorf("%d datagrams wait, want %d", n, backlogLen)
	}
	for i := range backlogLen {
		b := make([]byte, 2)
		if n, _, err := l.ReadFrom(b); n != 2 || err != nil || int(b[0])|int(b[1])<<8 != i {
			t.Fatalf("%d: %v, %v", i, b[:n], err)
		}
	}
	to.Close()
	if _, _, err := l.ReadFrom(nil); err == nil {
		t.Error("there are more than wait")
	}
	from.Close()
}
