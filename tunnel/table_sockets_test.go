package tunnel

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// Rows of the table about ports and sockets.

// There is no socket for the family.
func TestNoSocketForFamily(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSilentHost(), w.newHost()
		a.opener.v6 = netip.Addr{}
		a.set(&uapi.Config{PrivateKey: &a.private})
		a.link(tun.Up)
		a.set(peers(b.asPeer(b.outer6())))
		b.set(peers(a.asPeer(netip.AddrPort{})))
		a.send(a.packetTo(b))
		a.wantDropped(LinkDown, 1)
		a.set(peers(b.asPeer(b.outer4())))
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		if len(b.received()) != 1 {
			t.Error("the packet that waited did not arrive over the family that is there")
		}
	})
}

// A new port while traffic flows: the old one is free, what is under way to it is lost, and the other side follows with the first message.
func TestPortChanged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		port := uint16(7777)
		a.set(&uapi.Config{ListenPort: &port})
		a.deliver(b)
		moved := netip.AddrPortFrom(a.outer4().Addr(), port)
		if got := b.endpoint(a); got != moved {
			t.Errorf("the other side believes in %v, want %v", got, moved)
		}
		b.deliver(a)
		w.mu.Lock()
		old := w.sockets[a.outer4()]
		w.mu.Unlock()
		if old != nil {
			t.Error("the old port is still open")
		}
		a.wantKeys(2) // the session goes on
	})
}

// The mark is set on sockets that are open, and on those that are opened later.
func TestMarkChanged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		check := func(mark uint32) {
			t.Helper()
			if v4, v6 := a.socket4().mark, a.sockets.Load().V6[0].(*memSocket).mark; v4 != mark || v6 != mark {
				t.Errorf("the marks are %d and %d, want %d", v4, v6, mark)
			}
			a.deliver(b)
		}
		before := a.sockets.Load()
		for _, mark := range []uint32{51820, 7, 0, 9} {
			a.set(&uapi.Config{FwMark: &mark})
			check(mark)
		}
		if a.sockets.Load() != before {
			t.Error("the sockets were opened anew for a mark")
		}
		a.link(tun.Down)
		mark := uint32(11)
		a.set(&uapi.Config{FwMark: &mark})
		a.link(tun.Up)
		check(11)
	})
}

// markingOpener is a memOpener whose sockets must not be marked by us.
type markingOpener struct {
	*memOpener
	marks []uint32
	fail  error
}

func (o *markingOpener) SetMark(mark uint32) error {
	if o.fail == nil {
		o.marks = append(o.marks, mark)
	}
	return o.fail
}

// A process without the privilege has the mark changed by who opened the sockets.
func TestMarkChangedByOpener(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		o := &markingOpener{memOpener: a.opener}
		a.Tunnel.opener = o
		a.socket4().refuseMark = syscall.EPERM
		mark := uint32(7)
		a.set(&uapi.Config{FwMark: &mark})
		a.deliver(b)
		o.fail = syscall.EPERM
		other := uint32(8)
		if err := a.Set(&uapi.Config{FwMark: &other}); !errors.Is(err, syscall.EPERM) {
			t.Errorf("refused with %v", err)
		}
		if d, _ := a.Get(); d.FwMark != mark || !slices.Equal(o.marks, []uint32{mark}) {
			t.Errorf("the mark is %d, and %d was asked for", d.FwMark, o.marks)
		}
	})
}

// Somebody else has the port when the link comes up: configuration goes on, and the port is taken when it is free.
func TestPortTakenAtUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSilentHost(), w.newHost()
		b.set(peers(a.asPeer(a.outer4())))
		a.opener.setFail(syscall.EADDRINUSE)
		a.link(tun.Up)
		a.set(&uapi.Config{PrivateKey: &a.private})
		a.set(peers(b.asPeer(b.outer4())))
		a.send(a.packetTo(b))
		if a.dropped(LinkDown) == 0 {
			t.Error("the initiation is not counted as dropped")
		}
		w.sleep(2 * bindRetryTime)
		a.opener.setFail(nil)
		w.sleep(bindRetryTime + rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		if len(b.received()) != 1 {
			t.Error("the packet that waited did not arrive once the port was free")
		}
		b.deliver(a)
	})
}
