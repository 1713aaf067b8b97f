package tun

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"vpn/tun/offload"
)

// listenUDP opens a socket inside the namespace.
func (n *namespace) listenUDP(address string) *net.UDPConn {
	n.t.Helper()
	var c *net.UDPConn
	var err error
	n.do(func() { c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))) })
	n.check(err)
	n.t.Cleanup(func() { c.Close() })
	return c
}

// TestFlowOfSmallPackets has packets wait in the device: one read takes them all.
func TestFlowOfSmallPackets(t *testing.T) {
	n := newNamespace(t)
	d := n.create("small", 0, 1)
	n.up("small", "10.77.0.1/24")
	c := n.listenUDP("10.77.0.1:0")
	const sent = 100
	for i := range sent {
		_, err := c.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, uint32(i)), netip.MustParseAddrPort("10.77.0.2:9"))
		n.check(err)
	}
	b := NewBatch()
	var got, reads int
	for got < sent {
		n.check(d.Queues()[0].Read(b))
		before := got
		for _, p := range b.Packets {
			var s offload.Superpacket
			n.check(s.Init(p.Data, p.GSO))
			if len(p.Data) == 32 && p.Data[0] == 0x45 { // not the kernel's own IPv6
				if i := binary.BigEndian.Uint32(p.Data[28:]); i != uint32(got) {
					t.Fatalf("packet %d came after %d", i, got-1)
				}
				got++
			}
		}
		if got > before {
			reads++
		}
		if len(b.Packets) > MaxPackets {
			t.Fatalf("%d packets in one read", len(b.Packets))
		}
	}
	if reads > 3 {
		t.Errorf("%d reads for %d packets that were there", reads, sent)
	}
}

const knocking = "knock"

// knock sends until something arrives: the kernel puts the route of an IPv6 address in
// place some time after its link is up.
func knock(t *testing.T, in, out *net.UDPConn) {
	t.Helper()
	buf := make([]byte, 100)
	for {
		if _, err := out.WriteToUDPAddrPort([]byte(knocking), in.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatal(err)
		}
		in.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := in.Read(buf)
		if err == nil {
			in.SetReadDeadline(time.Time{})
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
}

// TestUDPSuperpackets sends segmented datagrams through two links, and back into
// superpackets.
func TestUDPSuperpackets(t *testing.T) {
	a, b := newNamespace(t), newNamespace(t)
	sender, receiver := a.create("sender", 0, 1), b.create("receiver", 0, 1)
	addresses(a, "sender", 1)
	addresses(b, "receiver", 2)
	var coalesced int // guarded by the queue's own lock, and read after the wire is cut
	receiver.queues[0].(*queue).writev = func(fd uintptr, iov []unix.Iovec) syscall.Errno {
		if len(iov) > 2 {
			coalesced++
		}
		return writev(fd, iov)
	}
	there, _ := wire(t, sender, receiver)
	for _, test := range []struct{ from, to string }{{"10.77.0.1:0", "10.77.0.2:0"}, {"[fd77::1]:0", "[fd77::2]:0"}} {
		in, out := b.listenUDP(test.to), a.listenUDP(test.from)
		knock(t, in, out)
		raw, err := out.SyscallConn()
		a.check(err)
		a.check(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) }))
		a.check(err)
		payload := make([]byte, 20500)
		for i := range payload {
			payload[i] = byte(i / 1000)
		}
		_, err = out.WriteToUDPAddrPort(payload, in.LocalAddr().(*net.UDPAddr).AddrPort())
		a.check(err)
		buf := make([]byte, 2000)
		for i := range 21 {
			n, err := in.Read(buf)
			for err == nil && n == len(knocking) {
				n, err = in.Read(buf)
			}
			b.check(err)
			if want := min(1000, 20500-1000*i); n != want || buf[0] != byte(i) || buf[n-1] != byte(i) {
				t.Fatalf("datagram %d: %d bytes of %d", i, n, buf[0])
			}
		}
	}
	sender.Close()
	receiver.Close()
	there.running.Wait()
	want := int64(0)
	if receiver.queues[0].(*queue).udp { // Linux 6.2 and later
		want = 2
	}
	if n := there.superpackets.Load(); n != want || coalesced != int(want) {
		t.Errorf("%d superpackets read and %d written, want %d", n, coalesced, want)
	}
}

// TestFromFile hands a link's descriptors over as a parent process would.
func TestFromFile(t *testing.T) {
	n := newNamespace(t)
	first := n.create("handed", 1350, 2)
	n.check(first.SetPersistent(true))
	n.up("handed", "10.77.0.1/24")
	var given []*os.File
	for _, f := range first.Files() {
		n.check(onFile(f, func(fd int) error {
			fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			given = append(given, os.NewFile(uintptr(fd), "given"))
			return err
		}))
	}
	n.check(first.Close())
	var d Device
	n.do(func() {
		var err error
		if d, err = FromFile(given[0], 0, given[1:]...); err != nil {
			t.Error(err)
		}
	})
	if d == nil {
		return
	}
	defer d.Close()
	if d.Name() != "handed" || d.MTU() != 1350 || len(d.Queues()) != 2 || !d.Queues()[0].(*queue).vnet {
		t.Errorf("%s, MTU %d, %d queues", d.Name(), d.MTU(), len(d.Queues()))
	}
	if err := given[0].Close(); err == nil {
		t.Error("the descriptor given is still open")
	}
	expect(t, d, Up)
	ended := readUntilClosed(d.Queues()[0])
	n.check(d.Close())
	if err := <-ended; err != os.ErrClosed {
		t.Error(err)
	}
	n.link("handed") // persistent: still there
	again := n.create("handed", 0, 2)
	if again.MTU() != 1350 {
		t.Errorf("opening a link that was there changed its MTU to %d", again.MTU())
	}
	n.check(again.SetPersistent(false))
	n.check(again.Close())
	if _, err := n.nl.LinkByName("handed"); err == nil {
		t.Error("the link outlived its last descriptor")
	}
}

func TestFromFileErrors(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := FromFile(f, 0); err == nil {
		t.Error("took /dev/null for a TUN link")
	}
	if err := f.Close(); err != nil {
		t.Errorf("a file that was refused was closed: %v", err)
	}
}

// TestFromFileElsewhere is given a link that is not in the process's namespace.
func TestFromFileElsewhere(t *testing.T) {
	there, other := newNamespace(t), newNamespace(t)
	var f *os.File
	var d Device
	var err error
	there.do(func() { f, _, err = openQueue("far", unix.IFF_TUN|unix.IFF_NO_PI) })
	there.check(err)
	other.do(func() { d, err = FromFile(f, 0) })
	there.check(err)
	defer d.Close()
	expect(t, d, Down)
	there.up("far")
	expect(t, d, Up)
	if d.Queues()[0].(*queue).vnet {
		t.Error("a virtio header is expected where there is none")
	}
}

// TestRefusals has the kernel refuse writes one way and another; it is played by the
// queue's one system call.
func TestRefusals(t *testing.T) {
	n := newNamespace(t)
	d := n.create("refusing", 0, 1)
	n.up("refusing", "10.77.0.1/24")
	q := d.queues[0].(*queue)
	q.out = eager{q.out}
	s := make([][]byte, 0, 6)
	for i := range 6 {
		s = append(s, tcpPacket(i))
	}
	for name, test := range map[string]struct {
		answers []syscall.Errno // to the calls in order, then 0
		pieces  []int           // iovecs in each call
		taken   int
		err     error
	}{
		"taken":                       {nil, []int{8}, 6, nil},
		"refused":                     {[]syscall.Errno{unix.EINVAL}, []int{8, 2, 2, 2, 2, 2, 2}, 6, nil},
		"no memory for so much":       {[]syscall.Errno{unix.ENOMEM}, []int{8, 2, 2, 2, 2, 2, 2}, 6, nil},
		"one is bad":                  {[]syscall.Errno{unix.EINVAL, 0, unix.EINVAL}, []int{8, 2, 2, 2, 2, 2, 2}, 5, unix.EINVAL},
		"interrupted":                 {[]syscall.Errno{unix.EINTR}, []int{8, 8}, 6, nil},
		"full, then refused and full": {[]syscall.Errno{unix.EAGAIN, unix.EINVAL, 0, unix.EAGAIN}, []int{8, 8, 2, 2, 2, 2, 2, 2, 2}, 6, nil},
		"down":                        {[]syscall.Errno{unix.EIO}, []int{8}, 0, unix.EIO},
		"gone":                        {[]syscall.Errno{unix.EBADFD}, []int{8}, 0, os.ErrClosed},
		"gone on the way":             {[]syscall.Errno{unix.EINVAL, 0, unix.EBADFD}, []int{8, 2, 2}, 1, os.ErrClosed},
	} {
		var calls []int
		q.writev = func(_ uintptr, iov []unix.Iovec) syscall.Errno {
			calls = append(calls, len(iov))
			if len(calls) <= len(test.answers) {
				return test.answers[len(calls)-1]
			}
			return 0
		}
		taken, err := q.Write(s)
		if taken != test.taken || err != test.err {
			t.Errorf("%s: %d taken, %v", name, taken, err)
		}
		if len(calls) != len(test.pieces) {
			t.Errorf("%s: calls with %v pieces, want %v", name, calls, test.pieces)
			continue
		}
		for i := range calls {
			if calls[i] != test.pieces[i] {
				t.Errorf("%s: calls with %v pieces, want %v", name, calls, test.pieces)
			}
		}
		q.refusals = [len(q.refusals)]int{}
	}
}

// eager tries again at once instead of waiting for room, of which there is plenty.
type eager struct{ syscall.RawConn }

func (e eager) Write(f func(uintptr) bool) error {
	return e.Control(func(fd uintptr) {
		for !f(fd) {
		}
	})
}

// tcpPacket is segment i of a stream to 10.77.0.1.
func tcpPacket(i int) []byte {
	const payload = 100
	b := make([]byte, 40+payload)
	copy(b, []byte{0x45, 0, 0, 40 + payload, 0, byte(i), 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1})
	binary.BigEndian.PutUint16(b[10:], offload.Checksum(b[:20], 0))
	copy(b[20:], []byte{0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0})
	binary.BigEndian.PutUint32(b[24:], uint32(i*payload))
	binary.BigEndian.PutUint16(b[36:], offload.Checksum(b[20:], offload.PseudoHeader(b[12:20], 6, 20+payload)))
	return b
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	n := newNamespace(t)
	d := n.create("frugal", 0, 1)
	n.up("frugal", "10.77.0.1/24")
	c := n.listenUDP("10.77.0.1:0")
	to := netip.MustParseAddrPort("10.77.0.2:9")
	payload := make([]byte, 100)
	b := NewBatch()
	q := d.Queues()[0]
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.WriteToUDPAddrPort(payload, to); err != nil {
			t.Fatal(err)
		}
		if err := q.Read(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
	pkts := [][]byte{tcpPacket(0), tcpPacket(1), tcpPacket(2), payload}
	if n := testing.AllocsPerRun(100, func() {
		if n, err := q.Write(pkts); n != 3 || err != unix.EINVAL {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("a write allocates %v times", n)
	}
}
