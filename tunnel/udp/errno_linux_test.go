package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poison makes a system call fail, with a certain first argument or any, on
// the calling goroutine's thread and for all of its life: a seccomp filter.
// The goroutine must end without unlocking the thread.
func poison(call uintptr, first int64, errno unix.Errno) error {
	runtime.LockOSThread()
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(v, skip uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jf: uint8(skip)}
	}
	give := func(v uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v}
	}
	const (
		seccompErrno, seccompAllow = 0x00050000, 0x7fff0000
		callOffset, firstOffset    = 0, 16 // of struct seccomp_data
	)
	filter := []unix.SockFilter{load(callOffset), unless(uint32(call), 1)}
	if first >= 0 {
		filter = []unix.SockFilter{load(callOffset), unless(uint32(call), 3), load(firstOffset), unless(uint32(first), 1)}
	}
	filter = append(filter, give(seccompErrno|uint32(errno)), give(seccompAllow))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(filter)
	return os.NewSyscallError("prctl", err)
}

// Whatever recvmsg fails with, and be it for ever, is counted; only Close ends
// reception, and at once.
func TestReceiveOutlivesErrors(t *testing.T) {
	for _, errno := range []unix.Errno{
		unix.ENOBUFS, unix.ENOMEM, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN,
		unix.EPERM, unix.EACCES, unix.EIO, unix.EMSGSIZE, unix.EINVAL, unix.EBADF,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			s := open(t, System())
			one, there := loopback(t, s, "IPv4")
			done := make(chan error, 1)
			go func() {
				if err := poison(unix.SYS_RECVMSG, -1, errno); err != nil {
					done <- err
					return
				}
				done <- one.Receive(NewBatch())
			}()
			for s.Counters().Errors < 12 {
				select {
				case err := <-done:
					t.Fatalf("Receive: %v", err)
				default:
					runtime.Gosched()
				}
			}
			// The socket itself is well: another thread receives.
			mustSend(t, one, Outgoing{Data: []byte("x"), To: there})
			collect(t, one, 1)
			s.Close()
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Receive: %v, want net.ErrClosed", err)
			}
		})
	}
}

// An ICMP error is told with who sent it and what about. It neither hides the
// datagrams that come after it nor has a later send fail.
func TestReceiveAfterError(t *testing.T) {
	for _, family := range families {
		s, other := open(t, System()), open(t, System())
		one, there := loopback(t, s, family)
		sender, _ := loopback(t, other, family)
		refusals := make(chan Refusal, 16)
		s.Watch(func(r Refusal) { refusals <- r })

		closed := open(t, System())
		_, nobody := loopback(t, closed, family)
		closed.Close()
		for i := range 5 {
			mustSend(t, one, Outgoing{Data: []byte("anyone?"), To: nobody})
			mustSend(t, sender, Outgoing{Data: []byte("hello"), To: there})
			if got := collect(t, one, 1); string(got[0].data) != "hello" {
				t.Errorf("received %q", got[0].data)
			}
			r := <-refusals
			if r.To != nobody.Addr || r.From != nobody.Addr.Addr() || r.Errno != unix.ECONNREFUSED || r.ICMP == 0 || string(r.Quoted) != "anyone?" {
				t.Errorf("%s: refusal %+v", family, r)
			}
			if c := s.Counters(); c.Errors != 0 {
				t.Errorf("%s: %d errors after %d refusals, which are none", family, c.Errors, i+1)
			}
		}
	}
}

// An ICMP error waits for whoever uses the socket next. Who sends to somebody else then is not told that it failed.
func TestSendAfterError(t *testing.T) {
	for _, family := range families {
		s, other := open(t, System()), open(t, System())
		one, _ := loopback(t, s, family)
		live, there := loopback(t, other, family)
		closed := open(t, System())
		_, nobody := loopback(t, closed, family)
		closed.Close()
		for range 5 {
			mustSend(t, one, Outgoing{Data: []byte("anyone?"), To: nobody})
			mustSend(t, one, Outgoing{Data: []byte("hello"), To: there})
			if got := collect(t, live, 1); string(got[0].data) != "hello" {
				t.Errorf("%s: received %q", family, got[0].data)
			}
		}
	}
}

// What sendmmsg fails with is reported, and tells a segmented send from a
// plain one; it ends nothing.
func TestSendErrors(t *testing.T) {
	s := open(t, System())
	one, there := loopback(t, s, "IPv4")
	sourced := *there
	sourced.Source = there.Addr.Addr()
	data := make([]byte, 100*10)
	for _, errno := range []unix.Errno{
		unix.EIO, unix.EMSGSIZE, unix.EINVAL, unix.ENOBUFS, unix.EPERM, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ECONNREFUSED,
	} {
		for _, to := range []*Endpoint{there, &sourced} {
			done := make(chan error, 1)
			go func() {
				if err := poison(unix.SYS_SENDMMSG, -1, errno); err != nil {
					done <- err
					return
				}
				done <- checkRefused(one, data, to, errno)
			}()
			if err := <-done; err != nil {
				t.Errorf("%v, source %v: %v", errno, to.Source, err)
			}
		}
	}
	mustSend(t, one, Outgoing{Data: data, Segment: 10, To: there})
	collect(t, one, 100)
}

func checkRefused(s Socket, data []byte, to *Endpoint, errno unix.Errno) error {
	refusal := errno == unix.EIO || errno == unix.EMSGSIZE || errno == unix.EINVAL
	for _, plain := range []bool{false, true} {
		ms := []Outgoing{{Data: data, Segment: 10, To: to, Plain: plain}}
		n, err := s.Send(ms)
		if n != 0 || !errors.Is(err, errno) {
			return fmt.Errorf("Send = %d, %v", n, err)
		}
		if got, want := SegmentRefused(err), refusal && !plain; got != want {
			return fmt.Errorf("SegmentRefused(%v) = %v", err, got)
		}
		if ms[0].SourceRefused {
			return errors.New("the source address was blamed")
		}
	}
	return nil
}

// A kernel without one of the families gives sockets of the other.
func TestFamilyMissing(t *testing.T) {
	for _, missing := range []int64{unix.AF_INET, unix.AF_INET6} {
		type result struct {
			s   *Sockets
			err error
		}
		done := make(chan result, 1)
		go func() {
			if err := poison(unix.SYS_SOCKET, missing, unix.EAFNOSUPPORT); err != nil {
				done <- result{nil, err}
				return
			}
			s, err := System().Open(0, 0)
			done <- result{s, err}
		}()
		r := <-done
		must(t, r.err)
		defer r.s.Close()
		family, absent := "IPv6", netip.MustParseAddr("192.0.2.1")
		if missing == unix.AF_INET6 {
			family, absent = "IPv4", netip.MustParseAddr("2001:db8::1")
		}
		if got := r.s.For(absent, 0); got != nil {
			t.Errorf("a socket of the missing family: %v", got)
		}
		one, there := loopback(t, r.s, family)
		mustSend(t, one, Outgoing{Data: []byte("x"), To: there})
		collect(t, one, 1)
	}
	done := make(chan error, 1)
	go func() {
		if err := poison(unix.SYS_SOCKET, -1, unix.EAFNOSUPPORT); err != nil {
			done <- err
			return
		}
		_, err := System().Open(0, 0)
		done <- err
	}()
	if err := <-done; !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("Open without any family: %v, want EAFNOSUPPORT", err)
	}
}

// The port that is free in both families is found among those that are free in
// one only.
func TestRandomPortInBothFamilies(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	w.a.enter()
	must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("50000 50007"), 0))
	for port := 50000; port < 50007; port++ {
		c, err := net.ListenPacket("udp6", fmt.Sprintf("[::]:%d", port))
		must(t, err)
		defer c.Close()
	}
	if s := w.a.open(System()); s.Port != 50007 || len(s.V4) != 1 || len(s.V6) != 1 {
		t.Errorf("port %d, want 50007 in both families", s.Port)
	}
	if _, err := System().Open(0, 0); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("Open with no port left: %v, want EADDRINUSE", err)
	}
}
