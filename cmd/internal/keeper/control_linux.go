package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxBody      = 64 << 20 // of a request: a file of 100,000 peers
	readPatience = 10 * time.Second
)

// control is the server of the control socket.
type control struct {
	keeper *Keeper
	log    *slog.Logger
	l      *net.UnixListener
	server http.Server
}

// listenControl makes the socket. The link's lock is held, so what lies in its
// place is dead.
func listenControl(name string) (*net.UnixListener, error) {
	path := controlPath(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the control socket of %s: %w", name, err)
	}
	l.SetUnlinkOnClose(false) // a restart in place keeps it
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// serveControl answers requests until close.
func serveControl(k *Keeper, l *net.UnixListener) *control {
	c := &control{keeper: k, log: k.log, l: l}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathState, c.state)
	mux.HandleFunc("GET "+pathLog, c.streamed(k.replay))
	mux.HandleFunc("POST "+pathDown, c.streamed(k.handleDown))
	mux.HandleFunc("POST "+pathReload, c.streamed(k.handleReload))
	mux.HandleFunc("POST "+pathKeep, c.streamed(k.handleKeep))
	mux.HandleFunc("POST "+pathRestart, c.streamed(k.handleRestart))
	mux.HandleFunc("POST "+pathWait, c.streamed(k.handleWait))
	c.server = http.Server{
		Handler:           onlyRoot(mux),
		ReadHeaderTimeout: readPatience,
		ErrorLog:          slog.NewLogLogger(k.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, callerOf(conn))
		},
	}
	go func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log.Warn("the keeper's control socket failed", "error", err)
		}
	}()
	return c
}

type callerKey struct{}

// callerOf is the user at the other end, -1 if that isn't known.
func callerOf(conn net.Conn) int {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}

// onlyRoot keeps out whoever has got through the folder's mode.
func onlyRoot(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid, _ := r.Context().Value(callerKey{}).(int); uid != 0 && uid != os.Geteuid() {
			http.Error(w, "for root only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// close ends the server. Answers that are under way get a moment to arrive.
func (c *control) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
}

func (c *control) state(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.keeper.State()) // to a client that has left
}

// A handler does what a request asks for, shows what it does, and returns the
// result.
type handler func(ctx context.Context, body []byte, show Show) (*Result, error)

// streamed answers with a message a line, as they come.
func (c *control) streamed(do handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer clear(body)
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := newStream(w)
		result, err := do(r.Context(), body, out.show)
		if err != nil {
			result = &Result{Failed: Failure(err)}
		}
		out.end(result)
	}
}

// stream writes messages to a client, which may be gone: then they are lost.
type stream struct {
	mu    sync.Mutex // guards what follows
	w     io.Writer
	flush func()
	ended bool
}

func newStream(w io.Writer) *stream {
	s := &stream{w: w, flush: func() {}}
	if f, ok := w.(http.Flusher); ok {
		s.flush = f.Flush
	}
	return s
}

func (s *stream) show(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if json.NewEncoder(s.w).Encode(m) == nil {
		s.flush()
	}
}

// end writes the result. What is shown later, by a hook's child that lives on, is
// not for this client any more.
func (s *stream) end(result *Result) {
	if result == nil {
		result = &Result{}
	}
	s.show(Message{Result: result})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
