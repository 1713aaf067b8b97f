package keeper

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"

	"vpn/cmd/internal/control"
)

const maxBody = 64 << 20 // of a request: a file of 100,000 peers

// controller is the server of the control socket.
type controller struct {
	*control.Server
	keeper *Keeper
}

// serveControl answers requests until close.
func serveControl(k *Keeper, l *net.UnixListener) *controller {
	c := &controller{keeper: k}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathState, c.state)
	mux.HandleFunc("GET "+pathLog, c.streamed(k.replay))
	mux.HandleFunc("POST "+pathDown, c.streamed(k.handleDown))
	mux.HandleFunc("POST "+pathReload, c.streamed(k.handleReload))
	mux.HandleFunc("POST "+pathKeep, c.streamed(k.handleKeep))
	mux.HandleFunc("POST "+pathRestart, c.streamed(k.handleRestart))
	mux.HandleFunc("POST "+pathWait, c.streamed(k.handleWait))
	c.Server = control.Serve(l, mux, reporter{k}, k.log)
	return c
}

func (c *controller) state(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.keeper.State()) // to a client that has left
}

// A handler does what a request asks for, shows what it does, and returns the
// result.
type handler func(ctx context.Context, body []byte, show Show) (*Result, error)

// streamed answers with a message a line, as they come.
func (c *controller) streamed(do handler) http.HandlerFunc {
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
