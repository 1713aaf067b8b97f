package udp

import (
	"errors"
	"os"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A segmented send over a link whose MTU is too small is refused, with an
// error that says so; the same data passes one datagram at a time, in
// fragments.
func TestSegmentRefusedByMTU(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	for _, p := range []*place{w.a, w.b} {
		must(t, p.nl.LinkSetMTU(p.veth, 1280))
	}
	peer, gateway := w.a.open(System()), w.b.open(System())
	for _, addr := range []string{"10.7.0.2", "fd07::2"} {
		t.Run(addr, func(t *testing.T) {
			to := at(addr, gateway.Port)
			a, b := peer.For(to.Addr.Addr(), 0), gateway.For(to.Addr.Addr(), 0)
			data := pattern(10*1452, 1)
			ms := []Outgoing{{Data: []byte("before"), To: to}, {Data: data, Segment: 1452, To: to}}
			n, err := a.Send(ms)
			if n != 1 || !SegmentRefused(err) {
				t.Fatalf("Send = %d, %v, want 1 and a refusal", n, err)
			}
			ms[1].Plain = true
			mustSend(t, a, ms[1:]...)
			got := collect(t, b, 11)
			checkCut(t, got[1:], data, 1452)
		})
	}
}

// Over an interface that does no checksums, older kernels refuse segmented
// sends and newer ones compute checksums themselves.
func TestNoChecksumOffload(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	w.a.enter()
	setChecksumOffload(t, "left", false)
	peer, gateway := w.a.open(System()), w.b.open(System())
	for _, addr := range []string{"10.7.0.2", "fd07::2"} {
		to := at(addr, gateway.Port)
		a, b := peer.For(to.Addr.Addr(), 0), gateway.For(to.Addr.Addr(), 0)
		data := pattern(10*1000, 1)
		ms := []Outgoing{{Data: data, Segment: 1000, To: to}}
		if n, err := a.Send(ms); err != nil {
			if n != 0 || !SegmentRefused(err) {
				t.Fatalf("Send = %d, %v, want a refusal", n, err)
			}
			ms[0].Plain = true
			mustSend(t, a, ms...)
		}
		checkCut(t, collect(t, b, 10), data, 1000)
	}
}

// setChecksumOffload is ethtool -K NAME tx on or off.
func setChecksumOffload(t *testing.T, name string, on bool) {
	t.Helper()
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_STXCSUM}
	if on {
		value.data = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], name)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(os.NewSyscallError("ioctl(SIOCETHTOOL)", errno))
	}
}

// What the routing table refuses is told of the message concerned, and passes:
// the socket works on.
func TestSendRefusedByRoute(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	w.a.route("10.66.1.0/24", "", unix.RTN_UNREACHABLE)
	w.a.route("10.66.2.0/24", "", unix.RTN_PROHIBIT)
	w.a.route("10.66.3.0/24", "", unix.RTN_BLACKHOLE)
	w.a.route("fd66:1::/64", "", unix.RTN_UNREACHABLE)
	w.a.route("fd66:2::/64", "", unix.RTN_PROHIBIT)
	peer, gateway := w.a.open(System()), w.b.open(System())
	for _, c := range []struct {
		bad, good, source string
		errno             unix.Errno
	}{
		{"10.66.1.1", "10.7.0.2", "10.7.0.1", unix.EHOSTUNREACH},
		{"10.66.2.1", "10.7.0.2", "10.7.0.1", unix.EACCES},
		{"10.66.3.1", "10.7.0.2", "10.7.0.1", unix.EINVAL},
		{"192.0.2.1", "10.7.0.2", "10.7.0.1", unix.ENETUNREACH},
		{"fd66:1::1", "fd07::2", "fd07::1", unix.EHOSTUNREACH},
		{"fd66:2::1", "fd07::2", "fd07::1", unix.EACCES},
		{"2001:db8::1", "fd07::2", "fd07::1", unix.ENETUNREACH},
	} {
		t.Run(c.bad, func(t *testing.T) {
			good, bad := at(c.good, gateway.Port), at(c.bad, gateway.Port)
			a, b := peer.For(good.Addr.Addr(), 0), gateway.For(good.Addr.Addr(), 0)
			for range 2 { // without a source address, then with one
				ms := []Outgoing{
					{Data: []byte("1"), To: good},
					{Data: []byte("2"), To: bad},
					{Data: []byte("3"), To: good},
				}
				n, err := a.Send(ms)
				if n != 1 || !errors.Is(err, c.errno) {
					t.Fatalf("Send = %d, %v, want 1, %v", n, err, c.errno)
				}
				if ms[1].SourceRefused {
					t.Error("the source address was blamed")
				}
				mustSend(t, a, ms[2:]...)
				collect(t, b, 2)
				bad.Source = at(c.source, 1).Addr.Addr()
			}
		})
	}
}

// A host with IPv6 switched off has a tunnel over IPv4.
func TestIPv6SwitchedOff(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	for _, p := range []*place{w.a, w.b} {
		p.enter()
		for _, which := range []string{"all", "default"} {
			must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0))
		}
	}
	peer, gateway := w.a.open(System()), w.b.open(System())
	mustSend(t, peer.V4[0], Outgoing{Data: []byte("hello"), To: at("10.7.0.2", gateway.Port)})
	collect(t, gateway.V4[0], 1)
	if len(peer.V6) == 0 {
		return
	}
	if n, err := peer.V6[0].Send([]Outgoing{{Data: []byte("x"), To: at("fd07::2", gateway.Port)}}); n != 0 || err == nil {
		t.Errorf("Send over IPv6 = %d, %v", n, err)
	}
}

// The mark is on what is sent: a routing rule sees it. It is there from Open
// on, and changes live.
func TestMark(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	const mark = 0xca6c
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rule := netlink.NewRule()
		rule.Family, rule.Mark, rule.Type, rule.Priority = family, mark, unix.RTN_PROHIBIT, 10
		must(t, w.a.nl.RuleAdd(rule))
	}
	gateway := w.b.open(System())
	w.a.enter()
	peer, err := System().Open(0, mark)
	must(t, err)
	defer peer.Close()
	for _, addr := range []string{"10.7.0.2", "fd07::2"} {
		ms := []Outgoing{{Data: []byte("x"), To: at(addr, gateway.Port)}}
		a := peer.For(ms[0].To.Addr.Addr(), 0)
		for range 2 {
			if n, err := a.Send(ms); n != 0 || !errors.Is(err, unix.EACCES) {
				t.Errorf("marked: Send = %d, %v, want EACCES", n, err)
			}
			must(t, a.SetMark(0))
			mustSend(t, a, ms...)
			must(t, a.SetMark(mark))
		}
		collect(t, gateway.For(ms[0].To.Addr.Addr(), 0), 2)
		must(t, a.Close())
		if err := a.SetMark(1); err == nil {
			t.Error("a closed socket took a mark")
		}
	}
}
