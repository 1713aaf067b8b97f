package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// DefaultListen is where `vpn metrics` listens unless told otherwise: other exporters' port, and nobody but this host.
const DefaultListen = "127.0.0.1:9586"

const (
	maxScrapes   = 8 // at once; one is at work, the others wait
	worthPacking = 4 << 10
)

// Serve answers scrapes on l, at /metrics, until ctx ends.
func Serve(ctx context.Context, l net.Listener, c *Collector) error {
	s := &http.Server{
		Handler:           guard(l.Addr(), routes(c)),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       5 * time.Minute, // Prometheus comes back each minute or so
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.config.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.Shutdown(late) != nil {
			s.Close()
		}
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func routes(c *Collector) http.Handler {
	mux := http.NewServeMux()
	places := make(chan struct{}, maxScrapes)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
			return
		}
		var text bytes.Buffer
		if err := c.Collect(r.Context(), &text); err != nil {
			c.config.Log.Warn("a scrape failed", "error", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, r, text.Bytes())
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "The metrics are at /metrics.")
	})
	return mux
}

// answer sends text, packed if that is worth it and understood.
func answer(w http.ResponseWriter, r *http.Request, text []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	if len(text) < worthPacking || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = w.Write(text) // to a client that may have left
		return
	}
	h.Set("Content-Encoding", "gzip")
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	_, _ = z.Write(text)
	_ = z.Close()
}

// guard keeps web pages out that a browser on this host shows. A listener on loopback is asked by its address, by localhost or by the
// host's name; a page that has made its own name lead here asks by that.
func guard(at net.Addr, next http.Handler) http.Handler {
	if a, ok := at.(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return next
	}
	self, _ := os.Hostname() // then it is not asked by name
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		_, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil && !strings.EqualFold(name, "localhost") && (self == "" || !strings.EqualFold(name, self)) {
			http.Error(w, "ask by address, or as localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
