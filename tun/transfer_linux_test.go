package tun

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"vpn/tun/offload"
)

// pump carries packets from one device's queues to the other's, as the engine
// would: each superpacket is split, and what one read gave is written together.
type pump struct {
	superpackets, packets, lost atomic.Int64
	longest                     atomic.Int64 // segments of a superpacket
	running                     sync.WaitGroup
	homes                       sync.Map // queue by TCP flow, as Create promises of several
}

func (p *pump) start(t *testing.T, from, to Device) {
	for i, q := range from.Queues() {
		out := to.Queues()[(i+1)%len(to.Queues())]
		p.running.Go(func() { p.carry(t, i, q, out) })
	}
}

// home checks that all packets of a TCP flow come from one queue.
func (p *pump) home(t *testing.T, queue int, packet []byte) {
	at := 40 // of the ports
	switch {
	case packet[0] == 0x45 && packet[9] == unix.IPPROTO_TCP:
		at = 20
	case packet[0]>>4 == 6 && packet[6] == unix.IPPROTO_TCP:
	default:
		return
	}
	if home, _ := p.homes.LoadOrStore(string(packet[at:][:4]), queue); home != queue {
		t.Errorf("a flow is in queues %d and %d", home, queue)
	}
}

func (p *pump) carry(t *testing.T, queue int, from, to Queue) {
	b := NewBatch()
	var s offload.Superpacket
	room := make([]byte, 1<<20)
	var pkts [][]byte
	for {
		if err := from.Read(b); err != nil {
			if err != os.ErrClosed {
				t.Errorf("read: %v", err)
			}
			return
		}
		pkts = pkts[:0]
		used := 0
		for _, packet := range b.Packets {
			p.home(t, queue, packet.Data)
			if err := s.Init(packet.Data, packet.GSO); err != nil {
				t.Errorf("%+v: %v", packet.GSO, err)
				continue
			}
			if s.Count() > 1 {
				p.superpackets.Add(1)
				p.longest.Store(max(p.longest.Load(), int64(s.Count()))) // of two queues one may win, which does as well
			}
			for i := range s.Count() {
				n := s.Segment(i, room[used:])
				pkts = append(pkts, room[used:used+n])
				used += n
			}
		}
		p.packets.Add(int64(len(pkts)))
		n, err := to.Write(pkts)
		if err == os.ErrClosed {
			return
		}
		if n != len(pkts) || err != nil {
			p.lost.Add(int64(len(pkts) - n))
		}
	}
}

// wire joins two devices until the test ends.
func wire(t *testing.T, a, b Device) (there, back *pump) {
	there, back = new(pump), new(pump)
	there.start(t, a, b)
	back.start(t, b, a)
	t.Cleanup(func() {
		a.Close()
		b.Close()
		there.running.Wait()
		back.running.Wait()
	})
	return there, back
}

// withFlags makes a device whose descriptor has just these flags.
func (n *namespace) withFlags(name string, flags uint16) *native {
	n.t.Helper()
	var d *native
	var err error
	n.do(func() {
		var f *os.File
		var c *control
		if f, _, err = openQueue(name, flags); err != nil {
			return
		}
		if c, err = openControl(); err == nil {
			d, err = newNative(c, []*os.File{f}, DefaultMTU)
		}
	})
	n.check(err)
	n.t.Cleanup(func() { d.Close() })
	return d
}

// transfer sends size bytes over TCP from a to b and checks what arrives.
func transfer(t *testing.T, a, b *namespace, to netip.Addr, size int64) {
	t.Helper()
	var l net.Listener
	var out net.Conn
	var err error
	b.do(func() { l, err = net.Listen("tcp", netip.AddrPortFrom(to, 0).String()) })
	b.check(err)
	defer l.Close()
	type result struct {
		sum [32]byte
		n   int64
		err error
	}
	received := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			received <- result{err: err}
			return
		}
		defer c.Close()
		h := sha256.New()
		n, err := io.Copy(h, c)
		received <- result{[32]byte(h.Sum(nil)), n, err}
	}()
	a.do(func() { out, err = net.Dial("tcp", l.Addr().String()) })
	a.check(err)
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(out, h), rand.NewChaCha8([32]byte{1}), size)
	a.check(err)
	a.check(out.Close())
	r := <-received
	if r.err != nil || r.n != size || !bytes.Equal(r.sum[:], h.Sum(nil)) {
		t.Fatalf("%d of %d bytes arrived, equal: %v, error %v", r.n, size, bytes.Equal(r.sum[:], h.Sum(nil)), r.err)
	}
}

func addresses(n *namespace, name string, host int) {
	n.up(name, fmt.Sprintf("10.77.0.%d/24", host), fmt.Sprintf("fd77::%d/64", host))
}

var families = map[string]netip.Addr{"IPv4": netip.MustParseAddr("10.77.0.2"), "IPv6": netip.MustParseAddr("fd77::2")}

// TestTransfer moves a stream through two real links. What is written in
// superpackets was verified here; what is written to a link without virtio
// headers is verified by the kernel, segment by segment.
func TestTransfer(t *testing.T) {
	const size = 16 << 20
	for name, test := range map[string]struct {
		flags  uint16 // of the receiver's descriptor
		refuse bool
		queues int
	}{
		"superpackets":         {unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR, false, 1},
		"single packets":       {unix.IFF_TUN | unix.IFF_NO_PI, false, 1},
		"refused superpackets": {unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR, true, 1},
		"several queues":       {0, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newNamespace(t), newNamespace(t)
			var sender, receiver *native
			sender = a.create("sender", 0, test.queues)
			if test.queues > 1 {
				receiver = b.create("receiver", 0, test.queues)
			} else {
				receiver = b.withFlags("receiver", test.flags)
			}
			var coalesced, refused atomic.Int64
			for _, q := range receiver.queues {
				q.(*queue).writev = func(fd uintptr, iov []unix.Iovec) syscall.Errno {
					if len(iov) > 2 {
						if test.refuse {
							refused.Add(1)
							return unix.EINVAL
						}
						coalesced.Add(1)
					}
					return writev(fd, iov)
				}
			}
			addresses(a, "sender", 1)
			addresses(b, "receiver", 2)
			there, back := wire(t, sender, receiver)
			for family, to := range families {
				t.Run(family, func(t *testing.T) { transfer(t, a, b, to, size) })
			}
			t.Logf("%d packets, %d superpackets read, %d written, %d refused, %d back",
				there.packets.Load(), there.superpackets.Load(), coalesced.Load(), refused.Load(), back.packets.Load())
			if there.superpackets.Load() == 0 {
				t.Error("no superpacket was read")
			}
			const sealed, oneSend = DefaultMTU + 32, 65507
			if n := there.longest.Load() * sealed; n > oneSend || n < oneSend*9/10 {
				t.Errorf("the longest superpacket had %d bytes once sealed, want close to %d and no more", n, oneSend)
			}
			if vnet := test.flags != unix.IFF_TUN|unix.IFF_NO_PI; vnet != (coalesced.Load() > 0 || refused.Load() > 0) {
				t.Errorf("%d superpackets written", coalesced.Load())
			}
			if test.refuse && refused.Load() != maxRefusals {
				t.Errorf("%d superpackets were tried on a kernel that takes none, want %d", refused.Load(), maxRefusals)
			}
			if there.lost.Load()+back.lost.Load() != 0 {
				t.Errorf("%d and %d packets refused", there.lost.Load(), back.lost.Load())
			}
		})
	}
}
