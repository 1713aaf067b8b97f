package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/engine"
	"vpn/noise/aead"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

// eventQueueLen is far more than there are handshakes between two looks.
const eventQueueLen = 1024

// eventQueue takes what an engine observes. The engine never waits for it.
type eventQueue struct {
	queue chan tunnel.Event
	lost  atomic.Uint64
}

func newEventQueue() *eventQueue { return &eventQueue{queue: make(chan tunnel.Event, eventQueueLen)} }

func (q *eventQueue) add(e tunnel.Event) {
	select {
	case q.queue <- e:
	default:
		q.lost.Add(1)
	}
}

// newLog lets errors through, and nothing else.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

// pair is both ends, running.
type pair struct {
	folder         string
	server, client *node
}

// newPair writes the config files and starts an engine with each. Observe is told
// of the client's handshakes.
func newPair(ctx context.Context, places *places, limit uint64, observe func(tunnel.Event), log *slog.Logger) (_ *pair, err error) {
	ids, err := newIdentities()
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	defer ids.erase()
	p := new(pair)
	if p.folder, err = os.MkdirTemp("", "vpn-demo-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()

	file, err := writeConfig(p.folder, serverName, ids.serverConf())
	if err != nil {
		return nil, err
	}
	if p.server, err = startNode(ctx, serverAddr, places.server, file, nil, log); err != nil {
		return nil, fmt.Errorf("start the server's tunnel: %w", err)
	}
	port, err := p.server.port(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the server's tunnel: %w", err)
	}
	endpoint := netip.AddrPortFrom(places.server.outer(), port)
	if file, err = writeConfig(p.folder, clientName, ids.clientConf(endpoint, limit)); err != nil {
		return nil, err
	}
	if p.client, err = startNode(ctx, clientAddr, places.client, file, observe, log); err != nil {
		return nil, fmt.Errorf("start the client's tunnel: %w", err)
	}
	return p, nil
}

// close ends both ends and removes the folder.
func (p *pair) close() error {
	var errs []error
	for _, n := range []*node{p.client, p.server} {
		if n != nil {
			errs = append(errs, n.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}

// liveKeys is how many session keys are in memory.
func (p *pair) liveKeys() int { return p.client.arena.Live() + p.server.arena.Live() }

// node is one end: an engine, and the control socket that configures it.
type node struct {
	place   place
	addr    netip.Addr // in the tunnel
	file    *configFile
	arena   *aead.Arena
	tunnel  *tunnel.Tunnel
	control *uapi.Server
	served  chan error // what Serve returned
	ask     *uapi.Client
}

// startNode starts an engine and gives it what the file says, over its control
// socket and no other way.
func startNode(ctx context.Context, addr netip.Addr, at place, file *configFile, observe func(tunnel.Event), log *slog.Logger) (_ *node, err error) {
	addrs, config, err := file.read(ctx)
	if err != nil {
		return nil, err
	}
	defer config.Erase()
	device, err := at.device(addrs)
	if err != nil {
		return nil, err
	}
	n := &node{place: at, addr: addr, file: file, arena: engine.NewArena(log), served: make(chan error, 1)}
	n.tunnel, err = tunnel.New(tunnel.Config{
		Device: device, Sockets: at.sockets(), Clock: tunnel.SystemClock(), Arena: n.arena, Rand: rand.Reader,
		Log: log, Observe: observe, Processors: runtime.GOMAXPROCS(0),
	})
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	n.control = uapi.NewServer(n.tunnel, log)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()

	socket := file.path + ".sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		n.served <- nil
		return nil, err
	}
	go func() { n.served <- n.control.Serve(l) }()
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	n.ask = uapi.NewClient(filepath.Base(socket), c)
	return n, n.ask.Set(config)
}

// port waits until the device is up, and returns the UDP port that was bound.
func (n *node) port(ctx context.Context) (uint16, error) {
	const patience, interval = 10 * time.Second, 2 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("its device does not come up"))
	defer cancel()
	look := time.NewTicker(interval)
	defer look.Stop()
	for {
		d, err := n.ask.Get()
		if err != nil {
			return 0, err
		}
		d.Erase()
		if d.ListenPort != 0 {
			return d.ListenPort, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// traffic asks for what `vpn show` shows of the peer.
func (n *node) traffic() (Traffic, error) {
	d, err := n.ask.Get()
	if err != nil {
		return Traffic{}, err
	}
	defer d.Erase()
	var t Traffic
	for _, p := range d.Peers {
		t.Received += p.Rx
		t.Sent += p.Tx
	}
	for why, count := range n.tunnel.Drops() {
		if count != 0 {
			t.Drops = append(t.Drops, Drop{tunnel.Reason(why).String(), count})
		}
	}
	return t, nil
}

func (n *node) close() error {
	var errs []error
	if n.ask != nil {
		errs = append(errs, n.ask.Close())
	}
	errs = append(errs, n.control.Close(), <-n.served, n.tunnel.Close())
	return errors.Join(errs...)
}
