package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sharing listens on a port as a program of ours would that shares its own.
func sharing(network, address string) (net.PacketConn, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return onDescriptor(raw, func(fd int) error { return shareable(fd) })
	}}
	return c.ListenPacket(context.Background(), network, address)
}

// All sockets of a port are used in both families, what one sender sends is in one
// of them and in order, and all answer from the one port. So it is after another has taken them over.
func TestSpread(t *testing.T) {
	for sockets := 1; sockets <= 4; sockets++ {
		for i, family := range families {
			for _, handed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d %s handed on %v", sockets, family, handed), func(t *testing.T) {
					s := open(t, Spread(sockets))
					if handed {
						s = handOn(t, s)
					}
					if all := s.All(); len(all) != 2*sockets || len(s.V4) != sockets || len(s.V6) != sockets {
						t.Fatalf("%d sockets in both families, want %d", len(all), 2*sockets)
					}
					testSpread(t, s, family, s.All()[i*sockets:][:sockets])
				})
			}
		}
	}
}

// handOn gives sockets to another owner.
func handOn(t *testing.T, s *Sockets) *Sockets {
	t.Helper()
	files, err := s.Files()
	must(t, err)
	next, err := FromFiles(files...)
	must(t, err)
	t.Cleanup(func() { next.Close() })
	for _, f := range files {
		must(t, f.Close())
	}
	must(t, s.Close())
	return next
}

// testSpread has many senders send at once, and each be answered by all sockets.
func testSpread(t *testing.T, s *Sockets, family string, group []Socket) {
	const senders, each = 64, 16 // all of which one receive buffer holds
	_, there := loopback(t, s, family)
	conns := make([]*net.UDPConn, senders)
	numbers := make(map[netip.AddrPort]int)
	for i := range conns {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(there.Addr))
		must(t, err)
		defer c.Close()
		conns[i] = c
		numbers[c.LocalAddr().(*net.UDPAddr).AddrPort()] = i
	}
	var sending sync.WaitGroup
	var mu sync.Mutex
	got, by := make([]uint32, senders), make([]Socket, senders)
	done := make(chan struct{})
	left := senders * each
	receive := func(one Socket) {
		for b := NewBatch(); one.Receive(b) == nil; {
			mu.Lock()
			for _, m := range b.Messages {
				n, known := numbers[m.From.Addr]
				step := max(m.Segment, 4)
				for at := 0; known && at < len(m.Data); at += step {
					if i := binary.BigEndian.Uint32(m.Data[at:]); i != got[n] {
						t.Errorf("sender %d: number %d came when %d was due", n, i, got[n])
					}
					got[n]++
					if left--; left == 0 {
						close(done)
					}
				}
				if by[n] == nil {
					by[n] = one
				} else if by[n] != one {
					t.Errorf("sender %d is met by two sockets", n)
				}
			}
			mu.Unlock()
		}
	}
	for _, one := range group {
		sending.Go(func() { receive(one) })
	}
	var feeding sync.WaitGroup
	for _, c := range conns {
		feeding.Go(func() {
			for i := range uint32(each) {
				if _, err := c.Write(binary.BigEndian.AppendUint32(nil, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	feeding.Wait()
	<-done
	mu.Lock()
	used := make(map[Socket]bool)
	for _, one := range by {
		used[one] = true
	}
	mu.Unlock()
	if len(used) != len(group) {
		t.Errorf("%d of %d sockets received what %d senders sent", len(used), len(group), senders)
	}
	for i := range group {
		to := &Endpoint{Addr: conns[i].LocalAddr().(*net.UDPAddr).AddrPort()}
		mustSend(t, s.For(to.Addr.Addr(), i), Outgoing{Data: []byte("answer"), To: to})
		if n, err := conns[i].Read(make([]byte, 10)); n != 6 || err != nil {
			t.Errorf("an answer of socket %d: %v", i, err)
		}
	}
	must(t, s.Close())
	sending.Wait()
}

// A port that is taken is told, also when who has it would share it; and nobody gets
// ours later: neither one that shares with nobody, nor one of ours, nor another user.
func TestSpreadTaken(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	plain := func(network, address string) (net.PacketConn, error) { return net.ListenPacket(network, address) }
	another := func(network, address string) (c net.PacketConn, err error) {
		asAnother(t, func() { c, err = sharing(network, address) })
		return c, err
	}
	for i, network := range []string{"udp4", "udp6"} {
		for sockets := 2; sockets <= 4; sockets++ {
			for _, listen := range []func(string, string) (net.PacketConn, error){plain, sharing, another} {
				other, err := listen(network, ":0")
				must(t, err)
				port := uint16(other.LocalAddr().(*net.UDPAddr).Port)
				if s, err := Spread(sockets).Open(port, 0); !errors.Is(err, syscall.EADDRINUSE) {
					if s != nil {
						s.Close()
					}
					t.Errorf("%s: a port that somebody has: %v", network, err)
				}
				other.Close()
			}

			s := open(t, Spread(sockets))
			for _, host := range [][]string{{"", "127.0.0.1"}, {"", "::1"}}[i] {
				address := net.JoinHostPort(host, fmt.Sprint(s.Port))
				for who, listen := range map[string]func(string, string) (net.PacketConn, error){"one that is alone": plain, "another user": another} {
					if other, err := listen(network, address); !errors.Is(err, syscall.EADDRINUSE) {
						t.Errorf("%s: %s took our port with %d sockets: %v", address, who, sockets, err)
						if other != nil {
							other.Close()
						}
					}
				}
			}
			for one := 1; one <= sockets; one++ {
				if two, err := Spread(one).Open(s.Port, 0); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("%s: opened twice: %v", network, err)
					if two != nil {
						two.Close()
					}
				}
			}
			must(t, s.Close())
			again, err := Spread(sockets).Open(s.Port, 0)
			must(t, err)
			must(t, again.Close())
		}
	}
}

// asAnother calls f as a user that is not root.
func asAnother(t *testing.T, f func()) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends as that user
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 12345, 12345, 12345)
		if errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	must(t, <-done)
}

// Marks are on all sockets.
func TestSpreadMarks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for marks")
	}
	s, err := Spread(3).Open(0, 7)
	must(t, err)
	defer s.Close()
	for _, want := range []int{7, 8, 0} {
		if want != 7 {
			must(t, s.SetMark(uint32(want)))
		}
		for _, one := range s.All() {
			if got := option(t, one, unix.SOL_SOCKET, unix.SO_MARK); got != want {
				t.Errorf("mark %d, want %d", got, want)
			}
		}
	}
}
