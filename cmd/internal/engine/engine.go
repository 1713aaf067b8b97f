// Package engine is the process that runs one tunnel: it joins a device, the
// sockets, the control socket, the clock and the memory for keys, all of which
// were opened elsewhere, and ends when one of them does.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"

	"vpn/noise/aead"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// Config is what a tunnel runs on. Run closes Device and Listener.
type Config struct {
	Device   tun.Device
	Listener Listener
	Sockets  udp.Opener
	Clock    tunnel.Clock
	Arena    *aead.Arena  // see NewArena
	Floor    tunnel.Floor // nil: timestamps are not kept
	Log      *slog.Logger

	// Observe is told of handshakes and sessions, if it is not nil; see
	// tunnel.Config.
	Observe func(tunnel.Event)

	// Changed is called, if it is not nil, after each request at Listener that has changed
	// the configuration, but for candidates. It must not wait.
	Changed func()

	// Own is served besides, if it is not nil: who connects there has the first word,
	// since Listener is served only when Public is closed; nil: at once.
	Own    net.Listener
	Public <-chan struct{}

	// Configured is closed when packets may be read; nil: at once. See tunnel.Config.
	Configured <-chan struct{}

	// Ready is called, if it is not nil, once requests are answered.
	Ready func(*tunnel.Tunnel)
}

// A Listener is the control socket. Deleted is closed when nobody can reach it
// any more; it is nil where Accept fails instead.
type Listener interface {
	net.Listener
	Deleted() <-chan struct{}
}

// Run runs a tunnel until ctx ends, its device is gone, or its control socket
// is. All that was open is closed then, all keys are erased, and the control
// socket's file is deleted. It is a good end, without an error, unless the control
// socket failed and was not deleted.
func Run(ctx context.Context, c Config) error {
	t, err := tunnel.New(tunnel.Config{
		Device:     c.Device,
		Sockets:    c.Sockets,
		Clock:      c.Clock,
		Arena:      c.Arena,
		Floor:      c.Floor,
		Rand:       rand.Reader,
		Log:        c.Log,
		Observe:    c.Observe,
		Configured: c.Configured,
		Processors: runtime.GOMAXPROCS(0),
	})
	if err != nil {
		c.Listener.Close()
		c.Device.Close()
		return fmt.Errorf("start the tunnel: %w", err)
	}
	backend := &trimmer{Backend: t}
	defer backend.stop()
	server, own := uapi.NewServer(observed(backend, c.Changed), c.Log), uapi.NewServer(backend, c.Log)
	served, ending := make(chan error, 1), make(chan struct{})
	if c.Own != nil {
		go func() { _ = own.Serve(c.Own) }() // until own is closed
	}
	go func() { served <- c.serve(server, ending) }()
	c.Log.Info("tunnel started")
	if c.Ready != nil {
		c.Ready(t)
	}

	var why string
	select {
	case <-ctx.Done():
		why = context.Cause(ctx).Error()
	case <-t.Done():
		why = "the device is gone"
	case <-c.Listener.Deleted():
		why = "the control socket was deleted"
	case err := <-served:
		why = "the control socket failed"
		served <- err
	}
	c.Log.Info("tunnel ends", "why", why)
	close(ending)
	server.Close()
	own.Close()
	if err = <-served; err != nil {
		c.Log.Warn("the control socket failed", "error", err)
		err = fmt.Errorf("the control socket failed: %w", err)
	}
	if c.Listener.Deleted() == nil {
		err = nil // it was deleted, as far as can be told
	}
	return errors.Join(err, t.Close())
}

// serve answers at the control socket as soon as it may. A server that has been
// closed only closes the socket.
func (c *Config) serve(s *uapi.Server, ending <-chan struct{}) error {
	if c.Public != nil {
		select {
		case <-c.Public:
		case <-ending:
		}
	}
	return s.Serve(c.Listener)
}
