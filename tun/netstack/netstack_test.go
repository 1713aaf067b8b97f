package netstack

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"vpn/tun"
	"vpn/tun/offload"
)

var (
	left  = netip.MustParseAddr("10.78.0.1")
	right = netip.MustParseAddr("10.78.0.2")
)

func carry(t *testing.T, from, to tun.Device) {
	b := tun.NewBatch()
	for {
		if err := from.Queues()[0].Read(b); err != nil {
			if err != os.ErrClosed {
				t.Errorf("read: %v", err)
			}
			return
		}
		for _, p := range b.Packets {
			if _, err := to.Queues()[0].Write([][]byte{p.Data}); err == os.ErrClosed {
				return
			}
		}
	}
}

// TestTransfer sends a stream from one stack to another, and closes both while more is
// on its way.
func TestTransfer(t *testing.T) {
	a, an, err := Create([]netip.Addr{left}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, bn, err := Create([]netip.Addr{right}, nil, 1300)
	if err != nil {
		t.Fatal(err)
	}
	if a.MTU() != tun.DefaultMTU || b.MTU() != 1300 {
		t.Errorf("MTUs %d and %d", a.MTU(), b.MTU())
	}
	if e := <-a.Events(); e != tun.Up {
		t.Errorf("first event %v", e)
	}
	var running sync.WaitGroup
	running.Go(func() { carry(t, a, b) })
	running.Go(func() { carry(t, b, a) })

	l, err := bn.ListenTCP(&net.TCPAddr{Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	running.Go(func() {
		c, err := an.DialTCPAddrPort(netip.AddrPortFrom(right, 80))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := c.Write(sent); err != nil {
			t.Error(err)
		}
		for err == nil { // until the stack goes away
			_, err = c.Write(sent)
		}
	})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v, equal: %v", err, bytes.Equal(got, sent))
	}
	for _, d := range []tun.Device{a, b, a, b} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	running.Wait()
	for range a.Events() {
	}
}

// TestClosedWhileWritten closes stacks while packets are written to them that they answer at once.
func TestClosedWhileWritten(t *testing.T) {
	for range 50 {
		d, _, err := Create([]netip.Addr{left}, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		answered := make(chan struct{})
		running.Go(func() {
			if err := d.Queues()[0].Read(tun.NewBatch()); err != nil {
				t.Errorf("read: %v", err)
			}
			close(answered)
			for b := tun.NewBatch(); d.Queues()[0].Read(b) == nil; {
			}
		})
		for range 2 {
			running.Go(func() {
				for {
					if _, err := d.Queues()[0].Write([][]byte{toNobody()}); err != nil {
						if err != os.ErrClosed {
							t.Errorf("write: %v", err)
						}
						return
					}
				}
			})
		}
		<-answered
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	}
}

// toNobody is a segment from right for a port of left on which nobody listens: it is answered with a reset.
func toNobody() []byte {
	b := make([]byte, 40)
	ip, segment := b[:20], b[20:]
	ip[0], ip[3], ip[8], ip[9] = 0x45, byte(len(b)), 64, 6
	copy(ip[12:], right.AsSlice())
	copy(ip[16:], left.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^offload.Fold(offload.Sum(ip, 0)))
	segment[1], segment[3], segment[12], segment[13] = 7, 9, 5<<4, 0x02 // SYN
	pseudo := offload.PseudoHeader(ip[12:20], 6, len(segment))
	binary.BigEndian.PutUint16(segment[16:], ^offload.Fold(offload.Sum(segment, pseudo)))
	return b
}
