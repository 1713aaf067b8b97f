package ipstack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vpn/tun"
)

// TestDevice is what every device does: its events, and its end while somebody reads.
func TestDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1300, left)
		var d tun.Device = s
		if e := <-d.Events(); e != tun.Up || d.MTU() != 1300 || d.Name() == "" || len(d.Queues()) != 1 {
			t.Errorf("%v, MTU %d, name %q, %d queues", e, d.MTU(), d.Name(), len(d.Queues()))
		}
		read := make(chan error)
		for range 2 {
			go func() { read <- d.Queues()[0].Read(tun.NewBatch()) }()
		}
		synctest.Wait()
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if err := <-read; err != os.ErrClosed {
				t.Errorf("read: %v", err)
			}
		}
		if n, err := d.Queues()[0].Write([][]byte{{0x45}}); n != 0 || err != os.ErrClosed {
			t.Errorf("write: %d, %v", n, err)
		}
		if e, ok := <-d.Events(); ok {
			t.Errorf("event %v after the end", e)
		}
		if _, err := s.Listen(netip.AddrPortFrom(left, 80)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listen: %v", err)
		}
	})
}

// TestStackClosed closes the stack while all that can wait waits.
func TestStackClosed(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		a, _ := p.connect(t, right)
		l, err := p.left.Listen(netip.AddrPortFrom(left, 80))
		if err != nil {
			t.Fatal(err)
		}
		packets, err := p.left.ListenPacket(netip.AddrPortFrom(left, 81))
		if err != nil {
			t.Fatal(err)
		}
		waits := []func() error{
			func() error { _, err := a.Read(make([]byte, 1)); return err },
			func() error { _, err := a.Write(make([]byte, 1<<20)); return err },
			func() error { _, err := l.Accept(); return err },
			func() error { _, _, err := packets.ReadFrom(make([]byte, 1)); return err },
			func() error {
				_, err := p.left.Dial(t.Context(), netip.MustParseAddrPort("10.79.0.99:80")) // where nobody is
				return err
			},
		}
		ended := make(chan error)
		for _, wait := range waits {
			go func() { ended <- wait() }()
		}
		synctest.Wait()
		p.left.Close()
		for range waits {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want %v", err, net.ErrClosed)
			}
		}
		a.Close()
	})
}

// TestHTTP is what the demo does, over wires that lose, double and delay: whole
// files, one that is given up in its midst, and a connection that serves many.
func TestHTTP(t *testing.T) {
	bad := func() mangle { return every(17, lose).then(every(7, double)).then(late(11, 5)) }
	inBubble(t, bad(), bad(), func(t *testing.T, p pair) {
		file := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{3}).Read(file)
		l, err := p.right.Listen(netip.AddrPortFrom(right, 80))
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(file))
		})
		mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
			var err error
			for err == nil {
				_, err = w.Write(file)
			}
			<-r.Context().Done()
			gone <- err
		})
		server := &http.Server{Handler: mux}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		dials := 0
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
			dials++
			return p.left.Dial(ctx, netip.MustParseAddrPort(to))
		}}}
		get := func(ctx context.Context, path string) io.ReadCloser {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://10.79.0.2"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			return response.Body
		}
		for range 3 {
			body := get(t.Context(), "/file")
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, file) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			body.Close()
		}
		if dials != 1 {
			t.Errorf("%d streams for three files, want 1", dials)
		}
		ctx, cancel := context.WithCancel(t.Context())
		body := get(ctx, "/endless")
		if _, err := io.ReadFull(body, make([]byte, 1<<20)); err != nil {
			t.Error(err)
		}
		cancel()
		body.Close()
		if err := <-gone; err == nil || !strings.Contains(err.Error(), errReset.Error()) {
			t.Errorf("the server sees %v, want %v", err, errReset)
		}
		client.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		p.checkForgotten(t)
	})
}
