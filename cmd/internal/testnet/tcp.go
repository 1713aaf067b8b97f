//go:build linux

package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// pattern is what transfers carry: random bytes, repeated. Its length is odd,
// so that no piece that is lost or doubled goes unseen.
var pattern = func() []byte {
	b := make([]byte, 1<<18+13)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b) // never fails
	return b
}()

// Stream is a TCP connection between two hosts.
type Stream struct {
	tb       TB
	From, To net.Conn
}

// Dial connects from one host to an address of another.
func Dial(from, to *Host, address string) *Stream {
	from.tb.Helper()
	var listener net.Listener
	at := netip.MustParseAddr(address)
	to.Do(func() {
		var err error
		listener, err = net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
		to.check(err, "listen")
	})
	defer func() { _ = listener.Close() }()
	s := &Stream{tb: from.tb}
	from.Do(func() {
		var err error
		s.From, err = net.DialTimeout("tcp", listener.Addr().String(), Patience)
		from.check(err, "dial %s", address)
	})
	var err error
	s.To, err = listener.Accept()
	to.check(err, "accept")
	from.tb.Cleanup(s.Close)
	return s
}

// Close ends the connection.
func (s *Stream) Close() {
	_ = s.From.Close()
	_ = s.To.Close()
}

// Swap returns the stream seen from its other end.
func (s *Stream) Swap() *Stream { return &Stream{tb: s.tb, From: s.To, To: s.From} }

// Transfer sends n bytes and checks each where it arrives. It returns the time
// it took, and fails the test if that is more than limit.
func (s *Stream) Transfer(n int64, limit time.Duration) time.Duration {
	s.tb.Helper()
	took, err := s.transfer(n, limit)
	if err != nil {
		s.tb.Fatalf("transfer from %v to %v: %v", s.From.LocalAddr(), s.From.RemoteAddr(), err)
	}
	return took
}

// Start begins a transfer and returns what waits for its end: the same as
// Transfer, for a test that does something meanwhile.
func (s *Stream) Start(n int64, limit time.Duration) (wait func()) {
	done := make(chan error, 1)
	go func() {
		_, err := s.transfer(n, limit)
		done <- err
	}()
	return func() {
		s.tb.Helper()
		if err := <-done; err != nil {
			s.tb.Fatalf("transfer from %v to %v: %v", s.From.LocalAddr(), s.From.RemoteAddr(), err)
		}
	}
}

// Both sends n bytes each way at the same time.
func (s *Stream) Both(n int64, limit time.Duration) {
	s.tb.Helper()
	back := make(chan error, 1)
	go func() {
		_, err := s.Swap().transfer(n, limit)
		back <- err
	}()
	_, err := s.transfer(n, limit)
	if err := errors.Join(err, <-back); err != nil {
		s.tb.Fatalf("transfer between %v and %v: %v", s.From.LocalAddr(), s.From.RemoteAddr(), err)
	}
}

func (s *Stream) transfer(n int64, limit time.Duration) (time.Duration, error) {
	begin := time.Now()
	if err := errors.Join(s.From.SetWriteDeadline(begin.Add(limit)), s.To.SetReadDeadline(begin.Add(limit))); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	go func() { sent <- send(s.From, n) }()
	err := errors.Join(receive(s.To, n), <-sent)
	return time.Since(begin), err
}

func send(w io.Writer, n int64) error {
	for n > 0 {
		part := pattern[:min(n, int64(len(pattern)))]
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("%d bytes before the end: %w", n, err)
		}
		n -= int64(len(part))
	}
	return nil
}

func receive(r io.Reader, n int64) error {
	buffer := make([]byte, len(pattern))
	for at := int64(0); at < n; {
		part := buffer[:min(n-at, int64(len(buffer)))]
		got, err := io.ReadFull(r, part)
		if !bytes.Equal(part[:got], pattern[:got]) {
			return fmt.Errorf("other bytes than were sent after byte %d", at)
		}
		at += int64(got)
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", at, n, err)
		}
	}
	return nil
}

// DialError tries a TCP connection and returns why there is none: the error of
// the connect system call, or the context's when nothing happens for wait.
func (h *Host) DialError(address string, wait time.Duration) (err error) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	h.Do(func() {
		var conn net.Conn
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
	})
	return err
}
