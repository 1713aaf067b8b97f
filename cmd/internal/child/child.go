// Package child is the socket pair between a keeper, which is privileged and
// owns what outlives an engine, and the engine, which is `vpn device` with
// descriptors given to it.
package child

import (
	"context"
	"log/slog"
	"os"

	"vpn/cmd/internal/floor"
	"vpn/cmd/internal/logs"
	"vpn/noise/key"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

// Config is what an engine is started with. Everything in it stays the
// caller's: the engine has duplicates.
type Config struct {
	Name     string     // of the link
	Device   []*os.File // the queues of the TUN link, in order; see tun.Native
	Listener *os.File   // the control socket, listening
	Ports    *Ports     // asked for sockets and marks
	Floor    *floor.Store

	Log    *slog.Logger
	Stderr *os.File // where the engine logs to; nil: our own stderr
	Format logs.Format
	Level  string // of the engine's log, as LOG_LEVEL has it
}

// Engine is a running engine. All methods may be called concurrently.
type Engine struct{}

// Start starts an engine. It returns when the process is there, which answers
// requests only after Ready. When ctx ends, the engine is asked to end.
func Start(ctx context.Context, c Config) (*Engine, error) { panic("child: being built") }

// PID is the engine's process id.
func (e *Engine) PID() int { panic("child: being built") }

// Ready is closed when the engine answers on the control socket.
func (e *Engine) Ready() <-chan struct{} { panic("child: being built") }

// Done is closed when the engine's process has ended.
func (e *Engine) Done() <-chan struct{} { panic("child: being built") }

// Events tells what happens to peers. Whoever is slow loses events, never the
// last endpoint of a peer; see Lost. It is closed after Done.
func (e *Engine) Events() <-chan tunnel.Event { panic("child: being built") }

// Lost is how many events did not come through so far.
func (e *Engine) Lost() uint64 { panic("child: being built") }

// Drops returns what the engine has dropped so far, by reason.
func (e *Engine) Drops(ctx context.Context) (tunnel.Drops, error) { panic("child: being built") }

// PeerDrops is Drops for one peer.
func (e *Engine) PeerDrops(ctx context.Context, peer key.Public) (tunnel.Drops, error) {
	panic("child: being built")
}

// Suspend has all session keys erased, and returns when they are. The tunnel is
// silent until Resume.
func (e *Engine) Suspend(ctx context.Context) error { panic("child: being built") }

// Resume ends what Suspend began: a handshake starts at once with each peer that
// had a session.
func (e *Engine) Resume(ctx context.Context) error { panic("child: being built") }

// Stop asks the engine to end and waits until it has. When ctx ends first, the
// engine is killed.
func (e *Engine) Stop(ctx context.Context) error { panic("child: being built") }

// Clean reports, after Done, whether the engine ended because it was asked to or
// because its device is gone.
func (e *Engine) Clean() bool { panic("child: being built") }

// Err is why the engine ended, nil if Clean.
func (e *Engine) Err() error { panic("child: being built") }

// Ports are the UDP sockets of one tunnel. They live as long as the keeper:
// engines come and go. It may be used concurrently.
type Ports struct{}

// NewPorts returns ports that are not open yet.
func NewPorts(o udp.Opener) *Ports { panic("child: being built") }

// Open returns duplicates of the sockets of a port, for the caller to close.
// Sockets that are open on that port are kept, and so they are for port 0, any,
// with the mark changed on them.
func (p *Ports) Open(port uint16, mark uint32) (files []*os.File, bound uint16, err error) {
	panic("child: being built")
}

// SetMark changes the mark of the sockets that are open, if there are any.
func (p *Ports) SetMark(mark uint32) error { panic("child: being built") }

// Current returns port and mark in force; port 0: nothing is open.
func (p *Ports) Current() (port uint16, mark uint32) { panic("child: being built") }

// Close closes the sockets. Those that an engine has stay open for it.
func (p *Ports) Close() error { panic("child: being built") }
