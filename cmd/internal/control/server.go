package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"vpn/cmd/internal/report"
)

const (
	readPatience  = 10 * time.Second
	writePatience = 10 * time.Second // for a line: who reads none in that time is sent away
	maxRequests   = 64               // at once, of what is told of sources
)

// Server answers on a control socket.
type Server struct {
	http  http.Server
	ended chan struct{} // closed when the end begins
}

// Serve answers requests on l, if they come from root or from who we are, until Close: with what source tells, and with whatever mux does
// besides.
func Serve(l net.Listener, mux *http.ServeMux, source report.Source, log *slog.Logger) *Server {
	s := &Server{ended: make(chan struct{})}
	s.handle(mux, source)
	s.http = http.Server{
		Handler:           onlyRoot(mux),
		ReadHeaderTimeout: readPatience,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, callerOf(conn))
		},
	}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the control socket of this program failed", "error", err)
		}
	}()
	return s
}

// Close ends the server, once. Answers that are under way get a moment to arrive.
func (s *Server) Close() {
	close(s.ended) // or who follows would be waited for
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

type callerKey struct{}

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

// handle has mux answer what a source tells.
func (s *Server) handle(mux *http.ServeMux, source report.Source) {
	places := make(chan struct{}, maxRequests)
	answer := func(ask func(context.Context, report.Query, func(*report.Line) error) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			default:
				http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
				return
			}
			q, err := report.ParseQuery(r.URL.Query())
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			go func() {
				select {
				case <-s.ended:
					cancel()
				case <-ctx.Done():
				}
			}()
			w.Header().Set("Content-Type", "application/x-ndjson")
			out := newAnswer(w)
			if err := out.begin(); err != nil {
				return
			}
			_ = out.lines.Close(ask(ctx, q, out.write)) // to a client that may have left
		}
	}
	mux.HandleFunc("GET "+report.PathStatus, answer(source.Status))
	mux.HandleFunc("GET "+report.PathEvents, answer(source.Events))
	mux.HandleFunc("POST "+report.PathHandshake, answer(func(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
		q.Handshake = true
		return source.Status(ctx, q, tell)
	}))
}

// answerWriter writes lines, each of which has its time to arrive.
type answerWriter struct {
	control *http.ResponseController
	lines   *report.Writer
}

func newAnswer(w http.ResponseWriter) *answerWriter {
	c := http.NewResponseController(w)
	return &answerWriter{c, report.NewWriter(w, c.Flush)}
}

// begin tells the client that an answer comes, which for events may be long before the first.
func (a *answerWriter) begin() error {
	if err := a.control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	return a.control.Flush()
}

func (a *answerWriter) write(l *report.Line) error {
	if err := a.control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	return a.lines.Write(l)
}
