package tunnel

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

// Rows of the table about what the kernel refuses, and bytes counted.

// socket4 is the host's IPv4 socket.
func (h *host) socket4() *memSocket { return h.sockets.Load().V4[0].(*memSocket) }

// "Counted, logged at a limited rate, timers go on; no loop ever exits."
func TestSendErrors(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EPERM, syscall.ECONNREFUSED, syscall.ENOBUFS, syscall.EMSGSIZE, syscall.EIO,
		syscall.EINVAL, syscall.EAGAIN, syscall.EACCES, syscall.ENETDOWN, syscall.EAFNOSUPPORT, syscall.ENOMEM,
	} {
		t.Run(fmt.Sprint(errno), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				var refused atomic.Int32 // by lanes and workers
				a.socket4().setRefuse(func(*udp.Outgoing) error {
					refused.Add(1)
					return &udp.SendError{Err: errno}
				})
				tx := a.peer(b).tx.Load()
				for i := range 30 {
					a.send(a.packetTo(b))
					a.wantDropped(SendFailed, uint64(i+1))
				}
				if got := a.peer(b).tx.Load(); got != tx {
					t.Errorf("%d bytes counted as sent", got-tx)
				}
				w.sleep(rekey.KeepaliveTimeout + rekey.RekeyTimeout) // unanswered, as if they had been lost on the way
				a.wantDropped(SendFailed, 31)
				w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax) // and the initiation is tried again
				a.wantDropped(SendFailed, 32)
				if n := refused.Load(); n != 32 {
					t.Errorf("%d attempts, want 32", n)
				}
				a.socket4().setRefuse(nil)
				w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
				w.exchange(a, b)
			})
		})
	}
}

// "Logged at a limited rate": once a second, whatever the kernel refuses meanwhile.
func TestSendErrorsLogged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		var log strings.Builder // written by one lane at a time
		a.Tunnel.log = slog.New(slog.NewTextHandler(&log, nil))
		a.socket4().setRefuse(func(*udp.Outgoing) error { return &udp.SendError{Err: syscall.ENETUNREACH} })
		for second := 1; second <= 3; second++ {
			for range 100 {
				a.send(a.packetTo(b))
			}
			if got := strings.Count(log.String(), syscall.ENETUNREACH.Error()); got != second {
				t.Errorf("%d lines after %d s, want one a second", got, second)
			}
			w.sleep(time.Second)
		}
	})
}

// What one peer's path refuses does not hold up what is behind it for another.
func TestSendErrorOfOnePeer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := w.newHost()
		a.set(peers(c.asPeer(c.outer4())))
		c.set(peers(a.asPeer(a.outer4())))
		a.deliver(c)
		a.socket4().setRefuse(func(m *udp.Outgoing) error {
			if m.To.Addr == b.outer4() {
				return &udp.SendError{Err: syscall.EPERM}
			}
			return nil
		})
		p := a.packetTo(c)
		a.send(a.packetTo(b), p, a.packetTo(b))
		wantPackets(t, c.received(), [][]byte{p})
		a.wantDropped(SendFailed, 2)
	})
}

// "The run is sent again unsegmented; GSO is off for that peer's path until it moves, and tried again after 60 s."
func TestSegmentedSendRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMSGSIZE, syscall.EIO, syscall.EINVAL} {
		t.Run(fmt.Sprint(errno), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				segmented := 0
				a.socket4().setRefuse(func(m *udp.Outgoing) error {
					if m.Segment == 0 || m.Plain {
						return nil
					}
					segmented++
					return &udp.SendError{Segmented: true, Err: errno}
				})
				burst := func(wantSegmented int, when string) {
					t.Helper()
					segmented = 0
					ps := make([][]byte, 50)
					for i := range ps {
						ps[i] = a.packetTo(b)
					}
					a.send(ps...)
					wantPackets(t, b.received(), ps)
					if segmented != wantSegmented {
						t.Errorf("%s %d segmented sends were tried, want %d", when, segmented, wantSegmented)
					}
				}
				burst(1, "at first")
				burst(0, "after one was refused")
				w.sleep(time.Minute - 1)
				burst(0, "before a minute is over")
				w.sleep(1)
				burst(1, "after a minute")
				burst(0, "after it was refused again")
				w.inject(datagram{from: elsewhere, to: a.outer4(), data: b.seal(a, nil).data})
				w.inject(datagram{from: b.outer4(), to: a.outer4(), data: b.seal(a, nil).data})
				burst(1, "after the peer has moved")
				a.wantDropped(SendFailed, 0)
			})
		})
	}
}

// A segmented send that is refused is sent in the order it had, before what is behind it.
func TestSegmentedSendRefusedLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		sends, refused := 0, 0
		a.socket4().setRefuse(func(m *udp.Outgoing) error {
			if sends++; m.Segment != 0 && !m.Plain && sends > 1 {
				refused++
				return &udp.SendError{Segmented: true, Err: syscall.EMSGSIZE}
			}
			return nil
		})
		var ps [][]byte
		for i := range 60 { // sizes that grow begin a new segmented send
			ps = append(ps, ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, 100+i/10*100)))
			ps[i][30] = byte(i)
		}
		a.send(ps...)
		wantPackets(t, b.received(), ps)
		if refused != 1 {
			t.Errorf("%d segmented sends were tried after one was refused", refused-1)
		}
	})
}

// The device refuses one packet: it is counted, and the others arrive.
func TestDeviceRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		b.device.refuse = func(p []byte) error {
			if len(p) == 77 {
				return os.ErrInvalid
			}
			return nil
		}
		good := [][]byte{a.packetTo(b), a.packetTo(b)}
		bad := ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, 57))
		a.send(good[0], bad, good[1])
		wantPackets(t, b.received(), good)
		b.wantDropped(DeviceRefused, 1)
		b.device.refuse = nil
		a.deliver(b)
	})
}

// Bytes are counted as the kernel does: whole messages, handshakes among them.
func TestBytesCounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		check := func(what string, ab, ba uint64) {
			t.Helper()
			w.wait()
			x, y := a.peer(b), b.peer(a)
			if x.tx.Load() != ab || y.rx.Load() != ab || x.rx.Load() != ba || y.tx.Load() != ba {
				t.Errorf("%s: a sent %d and received %d, b sent %d and received %d; want %d and %d", what,
					x.tx.Load(), x.rx.Load(), y.tx.Load(), y.rx.Load(), ab, ba)
			}
		}
		check("at first", 0, 0)
		packet := func(n int) []byte { return ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, n-ipv4HeaderLen)) }
		a.send(packet(100))
		ab, ba := uint64(wire.SizeInitiation+wire.MinSizeData+112), uint64(wire.SizeResponse)
		check("a handshake and 100 bytes", ab, ba)
		a.send(packet(1420), packet(1420), packet(20), packet(1408))
		ab += 4*wire.MinSizeData + 1420 + 1420 + 32 + 1408
		check("packets of the MTU, the least one and one that needs no padding", ab, ba)
		w.sleep(rekey.KeepaliveTimeout)
		ba += wire.MinSizeData
		check("a keepalive", ab, ba)

		forged := a.seal(b, packet(100))
		recorded := datagram{from: forged.from, to: forged.to, data: append([]byte(nil), forged.data...)}
		forged.data[50] ^= 1
		w.inject(forged)
		check("a forged message", ab, ba)
		w.inject(recorded)
		ab += 100 + wire.MinSizeData
		a.peer(b).tx.Add(100 + wire.MinSizeData)
		check("a good one", ab, ba)
		w.inject(recorded)
		check("a replayed one", ab, ba)
		_, all := b.Get()
		for p := range all {
			if p.Rx != ab || p.Tx != ba || p.LastHandshake.IsZero() {
				t.Errorf("get tells of %d and %d bytes, %v", p.Rx, p.Tx, p.LastHandshake)
			}
		}
		w.sleep(time.Second)
	})
}
