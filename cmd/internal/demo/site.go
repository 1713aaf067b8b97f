package demo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// What the server offers: the file at an even rate, and as fast as it goes.
const (
	pathPaced = "/file"
	pathFast  = "/fast"
)

// site is a web server behind one end of the tunnel.
type site struct {
	address string
	server  *http.Server
	served  chan error
}

// serve offers the file at port 80 of addr.
func serve(at place, addr netip.Addr, f *file, rate float64) (*site, error) {
	l, err := at.listen(netip.AddrPortFrom(addr, 80))
	if err != nil {
		return nil, fmt.Errorf("serve HTTP in the tunnel: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(pathPaced, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(&pacedWriter{ResponseWriter: w, ctx: r.Context(), pacer: pacer{rate: rate}}, r, "file", time.Time{}, f.section())
	})
	mux.HandleFunc(pathFast, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file", time.Time{}, f.section())
	})
	s := &site{
		address: "http://" + addr.String(),
		server:  &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute},
		served:  make(chan error, 1),
	}
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

func (s *site) close() error {
	err := s.server.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// pacedWriter is a response that is sent at an even rate.
type pacedWriter struct {
	http.ResponseWriter
	ctx   context.Context // the request's
	pacer pacer
}

// Write implements io.Writer. It hides the ReadFrom of the response, which
// would not be asked for permission.
func (w *pacedWriter) Write(b []byte) (int, error) {
	const piece = 16 << 10
	written := 0
	for len(b) > 0 {
		n := min(len(b), piece)
		select {
		case <-time.After(w.pacer.wait(time.Now(), n)):
		case <-w.ctx.Done():
			return written, w.ctx.Err()
		}
		n, err := w.ResponseWriter.Write(b[:n])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

// visitor fetches from a site through the tunnel, from its other end.
type visitor struct {
	address string
	http    http.Client
	total   atomic.Uint64 // bytes that arrived
	passed  atomic.Uint64 // of them, bytes of the file that is being fetched
}

func newVisitor(from place, address string) *visitor {
	v := &visitor{address: address}
	v.http.Transport = &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			addr, err := netip.ParseAddrPort(to)
			if err != nil {
				return nil, err
			}
			return from.dial(ctx, network, addr)
		},
	}
	return v
}

func (v *visitor) close() { v.http.CloseIdleConnections() }

// knock makes a first request, which makes the first session.
func (v *visitor) knock(ctx context.Context) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := v.get(ctx, http.MethodHead, pathPaced)
	if err != nil {
		return err
	}
	return body.Close()
}

// fetch downloads what is at path, and returns its checksum.
func (v *visitor) fetch(ctx context.Context, path string) (sum checksum, err error) {
	body, err := v.get(ctx, http.MethodGet, path)
	if err != nil {
		return sum, err
	}
	defer body.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(hash, v), body); err != nil {
		return sum, err
	}
	hash.Sum(sum[:0])
	return sum, nil
}

// discard downloads what is at path, and only counts it.
func (v *visitor) discard(ctx context.Context, path string) error {
	body, err := v.get(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.CopyBuffer(v, body, make([]byte, 256<<10))
	return err
}

func (v *visitor) get(ctx context.Context, method, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, v.address+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := v.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s %s: %s", method, path, response.Status), response.Body.Close())
	}
	return response.Body, nil
}

// Write implements io.Writer: it counts.
func (v *visitor) Write(b []byte) (int, error) {
	v.total.Add(uint64(len(b)))
	v.passed.Add(uint64(len(b)))
	return len(b), nil
}
