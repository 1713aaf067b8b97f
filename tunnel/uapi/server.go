package uapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// defaultIdle is how long a connection may neither send nor take a byte.
	defaultIdle = time.Minute
	// defaultConnections is how many are served at once; further ones wait in
	// the listener's backlog, which idle connections can't block for long.
	defaultConnections = 64
)

// Server answers configuration requests for one [Backend]. Its methods may be
// called concurrently.
type Server struct {
	// Idle and MaxConnections may be changed before the first Serve.
	Idle           time.Duration
	MaxConnections int

	backend Backend
	log     *slog.Logger
	closed  chan struct{}

	mu      sync.Mutex // guards all below
	ending  bool
	open    map[io.Closer]struct{} // listeners and connections
	serving sync.WaitGroup         // one for each Serve and each connection
}

// NewServer returns a server that serves nothing yet. No value of a key or of a
// preshared key is ever logged.
func NewServer(b Backend, log *slog.Logger) *Server {
	return &Server{
		Idle:           defaultIdle,
		MaxConnections: defaultConnections,
		backend:        b,
		log:            log,
		closed:         make(chan struct{}),
		open:           make(map[io.Closer]struct{}),
	}
}

// Serve answers the connections that l accepts. It returns nil once the server
// has been closed, and l's error if l fails before that; it closes l either way.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		return nil
	}
	defer s.untrack(l)
	places := make(chan struct{}, s.MaxConnections)
	for {
		select {
		case places <- struct{}{}:
		case <-s.closed:
			return nil
		}
		c, err := s.accept(l)
		if err != nil {
			return err
		}
		if c == nil || !s.track(c) {
			return nil
		}
		go func() {
			defer func() { <-places }()
			defer s.untrack(c)
			s.serve(c)
		}()
	}
}

// accept returns the next connection, or nil and nil once the server is closed.
// A process that is short of descriptors or memory for a moment gets over it.
func (s *Server) accept(l net.Listener) (net.Conn, error) {
	const longest = time.Second
	wait := 5 * time.Millisecond
	for {
		c, err := l.Accept()
		if err == nil {
			return c, nil
		}
		select {
		case <-s.closed:
			return nil, nil
		default:
		}
		if !passes(err) {
			return nil, fmt.Errorf("accept a configuration client: %w", err)
		}
		s.log.Warn("cannot accept a configuration client", "error", err)
		select {
		case <-time.After(wait):
		case <-s.closed:
			return nil, nil
		}
		wait = min(2*wait, longest)
	}
}

// passes says whether an error of accept is one that time mends.
func passes(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EINTR, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// track adds c to what Close closes. If that has happened already, it closes c
// itself and is false.
func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		c.Close()
		return false
	}
	s.open[c] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *Server) untrack(c io.Closer) {
	c.Close()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.serving.Done()
}

// Close ends all connections and every Serve, and returns when they have ended.
// A request that the backend is working on is waited for. Further calls wait
// too.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.ending {
		s.ending = true
		close(s.closed)
	}
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}

// patient is a connection whose other side must do something now and then.
type patient struct {
	net.Conn
	idle time.Duration
}

func (c patient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c patient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// serve answers one connection's requests until it ends, idles or errs.
func (s *Server) serve(conn net.Conn) {
	c := patient{conn, s.Idle}
	r := bufio.NewReaderSize(c, bufferSize)
	defer wipeReader(r, nil)
	for {
		if err := s.request(r, c); err != nil {
			s.ended(err)
			return
		}
		if r.Buffered() == 0 {
			wipeReader(r, c)
		}
	}
}

// ended logs why a connection has ended, unless that is how they end.
func (s *Server) ended(err error) {
	if errors.Is(err, errHungUp) || errors.Is(err, net.ErrClosed) {
		return
	}
	s.log.Log(context.Background(), slog.LevelDebug, "configuration connection ended", "error", err)
}

// errHungUp is the end of a connection between two requests.
var errHungUp = errors.New("hung up")

// request answers one. An error means that the connection is of no further use.
func (s *Server) request(r *bufio.Reader, w io.Writer) error {
	lines := newLineReader(r)
	line, err := lines.next()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && len(lines.last) == 0:
		return errHungUp
	case err != nil:
		return err
	case string(line) == "get=1":
		return s.get(lines, w)
	case string(line) == "set=1":
		return s.set(lines, w)
	}
	if _, _, ok := cut(line); !ok {
		return errors.New("the request is none of this protocol")
	}
	return s.refuse(lines, w, "no such operation")
}

// refuse passes over a request that can't be one, and says so.
func (s *Server) refuse(lines *lineReader, w io.Writer, reason string) error {
	if err := lines.skip(); err != nil {
		return err
	}
	s.log.Warn("configuration request refused", "error", reason)
	return reply(w, EINVAL, -1)
}

func (s *Server) get(lines *lineReader, w io.Writer) error {
	line, err := lines.next()
	if err != nil {
		return err
	}
	if len(line) != 0 {
		if err := s.skipGet(lines); err != nil {
			return err
		}
		return reply(w, EINVAL, 1) // `wg` reads only digits in a reply to get
	}
	device, peers := s.backend.Get()
	return WriteGet(w, &device, peers)
}

func (s *Server) skipGet(lines *lineReader) error {
	s.log.Warn("configuration request refused", "error", "get has no arguments")
	return lines.skip()
}

func (s *Server) set(lines *lineReader, w io.Writer) error {
	lines.count = 0 // errors count from the line after `set=1`
	config, err := parseSet(lines)
	var malformed *ParseError
	switch {
	case errors.As(err, &malformed):
	case errors.Is(err, errRequestTooLarge):
		return errors.Join(err, reply(w, E2BIG, -1))
	case err != nil:
		return err
	default:
		err = s.backend.Set(config)
		config.Erase()
	}
	if err != nil {
		s.log.Warn("configuration request refused", "error", err)
	}
	return reply(w, errnoOf(err), -1)
}

// reply ends a request with an errno of the given sign.
func reply(w io.Writer, e Errno, sign int) error {
	_, err := fmt.Fprintf(w, "errno=%d\n\n", int(e)*sign)
	return err
}
