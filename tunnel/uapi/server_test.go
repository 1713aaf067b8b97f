package uapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vpn/noise/key"
)

// conns is a listener whose connections are made by dial, in memory.
type conns struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
	errs   chan error
}

func newConns() *conns {
	return &conns{made: make(chan net.Conn), closed: make(chan struct{}), errs: make(chan error, 8)}
}

func (p *conns) Accept() (net.Conn, error) {
	select {
	case err := <-p.errs:
		return nil, err
	default:
	}
	select {
	case err := <-p.errs:
		return nil, err
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *conns) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *conns) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (p *conns) dial() net.Conn {
	a, b := net.Pipe()
	p.made <- b
	return a
}

// logged is a log that can be looked at and waited for.
type logged struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written sync.Cond
}

func newLogged() *logged {
	l := new(logged)
	l.written.L = &l.mu
	return l
}

// wait returns when the log has the text so many times.
func (l *logged) wait(text string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for strings.Count(l.b.String(), text) < times {
		l.written.Wait()
	}
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.written.Broadcast()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type served struct {
	*Server
	pipes *conns
	log   *logged
	done  chan error // Serve's result
}

// serve runs a server in memory until the test ends.
func serve(t *testing.T, b Backend, change func(*Server)) *served {
	t.Helper()
	log := newLogged()
	s := &served{
		Server: NewServer(b, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		pipes:  newConns(), log: log, done: make(chan error, 1),
	}
	if change != nil {
		change(s.Server)
	}
	go func() { s.done <- s.Serve(s.pipes) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-s.done; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

// talk sends a request as it stands and returns the reply, with its blank line.
func talk(t *testing.T, c net.Conn, request string) string {
	t.Helper()
	go io.WriteString(c, request)
	var reply strings.Builder
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		reply.WriteString(line)
		if err != nil {
			t.Fatalf("%.40q: after %q: %v", request, reply.String(), err)
		}
		if line == "\n" {
			return reply.String()
		}
	}
}

func TestServerOneConnectionManyRequests(t *testing.T) {
	m := new(memory)
	s := serve(t, m, nil)
	c := s.pipes.dial()
	defer c.Close()
	one := hexKey("01")
	peer := "public_key=" + one + "\npreshared_key=" + hexKey("00") + "\nprotocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n" +
		"tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
	for _, step := range []struct{ send, want string }{
		{"get=1\n\n", "errno=0\n\n"},
		{"set=1\n\n", "errno=0\n\n"},
		{"set=1\nprivate_key=" + hexKey("aa") + "\nlisten_port=7\n\n", "errno=0\n\n"},
		{"get=1\n\n", "private_key=" + hexKey("aa") + "\nlisten_port=7\nerrno=0\n\n"},
		// Nothing of a request is applied when a part of it can't be.
		{"set=1\nprivate_key=" + hexKey("00") + "\nlisten_port=8\nwhat=1\nfwmark=9\n\n", "errno=-22\n\n"},
		{"get=1\n\n", "private_key=" + hexKey("aa") + "\nlisten_port=7\nerrno=0\n\n"},
		{"set=1\nno equals sign\nlisten_port=8\n\n", "errno=-71\n\n"},
		{"set=1\npublic_key=" + one + "\nupdate_only=true\nallowed_ip=1.0.0.0/8\n\n", "errno=0\n\n"},
		{"set=1\nprivate_key=" + hexKey("00") + "\nlisten_port=0\npublic_key=" + one + "\n\n", "errno=0\n\n"},
		{"get=1\n\n", peer + "errno=0\n\n"},
		{"get=1\nand=more\n\n", "errno=22\n\n"}, // `wg` reads digits only
		{"get=2\n\n", "errno=-22\n\n"},
		{"frobnicate=1\na=b\n\n", "errno=-22\n\n"},
		{"set=1\n" + strings.Repeat("x", 3*bufferSize) + "\n\n", "errno=-22\n\n"},
		{"set=1\npublic_key=" + one + "\nremove=true\n\n", "errno=0\n\n"},
		{"get=1\n\n", "errno=0\n\n"},
	} {
		if got := talk(t, c, step.send); got != step.want {
			t.Errorf("%.80q: got %q, want %q", step.send, got, step.want)
		}
	}
}

// Requests may be written before the replies are read.
func TestServerPipelined(t *testing.T) {
	s := serve(t, new(memory), nil)
	c := s.pipes.dial()
	defer c.Close()
	go io.WriteString(c, "set=1\nlisten_port=1\n\nset=1\nbad\n\nget=1\n\n")
	want := "errno=0\n\nerrno=-71\n\nlisten_port=1\nerrno=0\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestServerReportsTheBackendsErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("it is Monday"), fmt.Sprintf("errno=-%d\n\n", EIO)},
		{fmt.Errorf("bind: %w", EADDRINUSE), fmt.Sprintf("errno=-%d\n\n", EADDRINUSE)},
		{fmt.Errorf("mark: %w", syscall.EPERM), fmt.Sprintf("errno=-%d\n\n", syscall.EPERM)},
	} {
		s := serve(t, &memory{fail: c.err}, nil)
		conn := s.pipes.dial()
		if got := talk(t, conn, "set=1\n\n"); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
		conn.Close()
		if !strings.Contains(s.log.String(), c.err.Error()) {
			t.Errorf("%v: not in the log: %s", c.err, s.log)
		}
	}
}

// What is not this protocol is not answered, and a request that is cut off is
// not applied.
func TestServerHangsUp(t *testing.T) {
	m := new(memory)
	s := serve(t, m, nil)
	for _, request := range []string{
		"GET / HTTP/1.1\n",
		"\n",
		strings.Repeat("x", 2*maxLine) + "\n",
	} {
		c := s.pipes.dial()
		io.WriteString(c, request)
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
			t.Errorf("%.20q: got %q, %v", request, b, err)
		}
		c.Close()
	}
	c := s.pipes.dial()
	io.WriteString(c, "set=1\nlisten_port=1\n")
	c.Close()
	s.Close()
	if n := m.count(); n != 0 {
		t.Errorf("%d requests were applied", n)
	}
}

// The log tells what is wrong with a request, and no secret.
func TestServerLogsNoSecret(t *testing.T) {
	m := new(memory)
	s := serve(t, m, nil)
	c := s.pipes.dial()
	defer c.Close()
	secret := strings.Repeat("5a", key.Size)
	for _, request := range []string{
		"set=1\nprivate_key=" + secret + "0\n\n",
		"set=1\n" + secret + "\n\n",
		"set=1\n" + secret + "=1\n\n",
		"set=1\npublic_key=" + secret + "\nendpoint=" + secret + "\n\n",
		"set=1\nlisten_port=" + secret + "\n\n",
		secret + "=1\n\n",
	} {
		talk(t, c, request)
	}
	log := s.log.String()
	if n := strings.Count(log, "configuration request refused"); n != 6 {
		t.Errorf("%d of 6 are in the log", n)
	}
	if strings.Contains(log, secret) || strings.Contains(log, secret[:40]) {
		t.Errorf("the log has the key: %s", log)
	}
}

func TestServerErasesTheConfig(t *testing.T) {
	m := new(memory)
	s := serve(t, m, nil)
	c := s.pipes.dial()
	defer c.Close()
	talk(t, c, "set=1\nprivate_key="+hexKey("aa")+"\npublic_key="+hexKey("01")+"\npreshared_key="+hexKey("bb")+"\n\n")
	if !m.last.PrivateKey.IsZero() || !m.last.Peers[0].Preshared.IsZero() {
		t.Error("the request's keys are still there")
	}
	if m.device.PrivateKey.IsZero() || m.peers[0].Preshared.IsZero() {
		t.Error("the backend's clones are gone too")
	}
	talk(t, c, "get=1\n\n")
	if m.device.PrivateKey.IsZero() || m.peers[0].Preshared.IsZero() {
		t.Error("get has erased the backend's keys")
	}
}

func TestServerDropsTheIdle(t *testing.T) {
	s := serve(t, new(memory), func(s *Server) { s.Idle = 20 * time.Millisecond })
	for _, request := range []string{"", "get=1\n", "set=1\nlisten_port=1\n", "set=1\nbad\n"} {
		c := s.pipes.dial()
		io.WriteString(c, request)
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil { // ends, or the test hangs
			t.Errorf("%q: got %q, %v", request, b, err)
		}
		c.Close()
	}
	// One who asks and does not read.
	c := s.pipes.dial()
	defer c.Close()
	io.WriteString(c, "get=1\n\n")
	s.log.wait("i/o timeout", 5)
}

// What is capped is capped unless somebody says otherwise.
func TestServerDefaults(t *testing.T) {
	if s := NewServer(new(memory), slog.New(slog.DiscardHandler)); s.Idle != time.Minute || s.MaxConnections != 64 {
		t.Errorf("idle for %v, %d connections", s.Idle, s.MaxConnections)
	}
}

// The last of so many waits until one of the others is done.
func TestServerCapsConnections(t *testing.T) {
	s := serve(t, new(memory), func(s *Server) { s.MaxConnections = 2 })
	a, b := s.pipes.dial(), s.pipes.dial()
	talk(t, a, "get=1\n\n")
	talk(t, b, "get=1\n\n")
	third := make(chan net.Conn)
	go func() { third <- s.pipes.dial() }()
	talk(t, a, "get=1\n\n")
	select {
	case <-third:
		t.Fatal("a third was accepted")
	default:
	}
	a.Close()
	c := <-third
	talk(t, c, "get=1\n\n")
	b.Close()
	c.Close()
}

func TestServerSurvivesAShortage(t *testing.T) {
	s := serve(t, new(memory), nil)
	for range 3 {
		s.pipes.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	c := s.pipes.dial()
	defer c.Close()
	talk(t, c, "get=1\n\n")
	if n := strings.Count(s.log.String(), "too many open files"); n != 3 {
		t.Errorf("%d of 3 in the log", n)
	}
}

func TestServeReturnsTheListenersError(t *testing.T) {
	p := newConns()
	p.errs <- errors.New("gone")
	s := NewServer(new(memory), slog.New(slog.DiscardHandler))
	if err := s.Serve(p); err == nil || err.Error() != "accept a configuration client: gone" {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.closed:
	default:
		t.Error("the listener is still open")
	}
	s.Close()
	q := newConns()
	if err := s.Serve(q); err != nil {
		t.Errorf("after Close: got %v", err)
	}
	<-q.closed
}

// stuck is a backend whose Get gives peers for as long as somebody reads them.
type stuck struct {
	memory
	ended chan struct{}
}

func (s *stuck) Get() (Device, iter.Seq[Peer]) {
	return Device{}, func(yield func(Peer) bool) {
		defer close(s.ended)
		for yield(Peer{}) {
		}
	}
}

// Close ends those who wait for a request, those in the middle of one, and
// those who don't read their reply; and other clients are served meanwhile.
func TestServerClose(t *testing.T) {
	b := &stuck{ended: make(chan struct{})}
	s := serve(t, b, nil)
	waiting, halfway, deaf := s.pipes.dial(), s.pipes.dial(), s.pipes.dial()
	io.WriteString(halfway, "set=1\nlisten_port=1\n")
	io.WriteString(deaf, "get=1\n\n")
	if _, err := io.ReadFull(deaf, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, waiting, "set=1\nlisten_port=1\n\n"); got != "errno=0\n\n" {
		t.Errorf("a client that doesn't read keeps others from being served: %q", got)
	}
	s.Close()
	<-b.ended
	for _, c := range []net.Conn{waiting, halfway} {
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		c.Close()
	}
	deaf.Close()
	s.Close()
}

func TestRequestTooLarge(t *testing.T) {
	m := new(memory)
	s := NewServer(m, slog.New(slog.DiscardHandler))
	lines := newLineReader(bufio.NewReader(strings.NewReader(strings.Repeat("fwmark=1\n", 100))))
	lines.left = 100
	var reply bytes.Buffer
	if err := s.set(lines, &reply); !errors.Is(err, errRequestTooLarge) {
		t.Errorf("got %v", err)
	}
	if want := fmt.Sprintf("errno=-%d\n\n", E2BIG); reply.String() != want || m.count() != 0 {
		t.Errorf("got %q and %d requests", reply.String(), m.count())
	}
}

func TestServerManyAtOnce(t *testing.T) {
	s := serve(t, new(memory), nil)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			c := NewClient("test", s.pipes.dial())
			defer c.Close()
			port := uint16(i + 1)
			for range 20 {
				if err := c.Set(&Config{ListenPort: &port}); err != nil {
					t.Error(err)
				}
				if d, err := c.Get(); err != nil || d.ListenPort == 0 {
					t.Errorf("got %v, %v", d, err)
				}
			}
		})
	}
	all.Wait()
}
