package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/lookup"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tun/host"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

// uapiPatience bounds a request to the engine, which may be stuck or worse.
const uapiPatience = 30 * time.Second

// owner does what a plan leaves to the holder of the link.
type owner struct {
	*Keeper
	l    *loaded
	show Show
}

// OpenLink makes the link and gives it to an engine, which may need a while yet.
// The hooks of PreUp may configure it.
func (o *owner) OpenLink(ctx context.Context, name string) (index int, err error) {
	if err := o.open(ctx, false); err != nil {
		o.closeLink()
		return 0, err
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}

// Configure gives the link what the file says, which an engine that is not ready yet
// reads once it is.
func (o *owner) Configure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	err := o.configure(ctx, o.l, 0)
	if err == nil {
		return nil
	}
	return cmp.Or(o.awaitReady(ctx), err) // why there is no engine says more
}

// SetMark changes the mark of the tunnel's messages.
func (o *owner) SetMark(_ context.Context, mark uint32) error {
	err := o.ask(func(c *uapi.Client) error { return c.Set(&uapi.Config{FwMark: &mark}) })
	if err == nil {
		o.mark = mark
		o.resolver.SetMark(mark)
	}
	return err
}

// Hook runs a command of the user's.
func (o *owner) Hook(ctx context.Context, h host.Hook) error {
	await := o.awaitReady
	if h.Kind == host.PostUp {
		await = o.awaitEngine
	}
	if err := await(ctx); err != nil {
		return err
	}
	r := hookRunner{o.name, o.l.label}
	if err := r.run(ctx, h, o.show); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(o.name); err != nil {
		return hint(r.failed(h, fmt.Errorf("after it there is no link %s any more in this network namespace", o.name)),
			"\"ip netns exec NAMESPACE vpn up %s\" brings it up in another one", o.name)
	}
	return nil
}

// open opens the device and the control socket, those that were handed on if there
// are any, and gives them to an engine. What it made goes with closeLink.
func (k *Keeper) open(ctx context.Context, private bool) error {
	var err error
	if h := k.c.Handed; h != nil && h.Device != nil {
		err = k.takeHanded(h)
	} else {
		err = k.create(ctx)
	}
	if err != nil {
		return err
	}
	k.gone = make(chan struct{})
	go func(gone chan struct{}, events <-chan tun.Event) {
		for range events { // until the link is gone
		}
		close(gone)
	}(k.gone, k.device.Events())
	return k.beginEngine(private)
}

// create opens the device, which outlives this process, and makes the control
// socket.
func (k *Keeper) create(ctx context.Context) error {
	device, err := createDevice(ctx, k.name)
	if err != nil {
		return err
	}
	k.device = device.(tun.Native)
	if err := k.device.SetPersistent(true); err != nil {
		return err
	}
	k.listener, err = uapi.Listen(k.name)
	return err
}

// createDevice waits for the engine of a keeper that has died to let go of the
// link.
func createDevice(ctx context.Context, name string) (tun.Device, error) {
	const patience, between = 5 * time.Second, 10 * time.Millisecond
	tick := time.NewTicker(between)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		device, err := tun.Create(name, 0, tunnel.Lines())
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return device, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// listenPatience bounds how long a new engine may take to notice that its link is
// up.
const listenPatience = 2 * time.Second

// awaitEngine returns when a new engine has noticed that its link is up, so that
// the first packet finds it ready, or with the reason why it can't listen.
func (k *Keeper) awaitEngine(ctx context.Context) error {
	if err := k.awaitPort(ctx); err != nil {
		return err
	}
	return k.awaitAnswer()
}

// awaitAnswer returns when the engine is done with what it asked a port for: it answers
// then.
func (k *Keeper) awaitAnswer() error {
	return k.ask(func(c *uapi.Client) error { return c.Set(&uapi.Config{}) })
}

// awaitPort returns when a new engine has asked for its port, or with the reason why
// it has none.
func (k *Keeper) awaitPort(ctx context.Context) error {
	timer := time.NewTimer(listenPatience)
	defer timer.Stop()
	select {
	case <-k.ports.Opened():
		return nil
	case <-timer.C:
		return k.tryToListen()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryToListen says why the engine can't, if it can't.
func (k *Keeper) tryToListen() error {
	var d *uapi.Device
	err := k.ask(func(c *uapi.Client) (err error) {
		d, err = c.Get()
		return err
	})
	if err != nil {
		return err
	}
	defer d.Erase()
	files, _, err := k.ports.Open(d.ListenPort, d.FwMark)
	for _, f := range files {
		f.Close()
	}
	return err
}

// closeLink ends the engine and closes what it ran on. The link stays.
func (k *Keeper) closeLink() {
	k.stopEngine()
	<-k.closeListener()
	if k.device != nil {
		k.device.Close()
	}
	_ = k.ports.Close() // they go in any case
	k.device = nil
}

// dropLink is closeLink where the link is not to stay, wherever it is: what has moved
// it to another namespace, or given it another name, has hidden it from who undoes by
// name.
func (k *Keeper) dropLink() {
	if k.device != nil {
		_ = k.device.SetPersistent(false) // fails if it is deleted
	}
	k.closeLink()
}

// closeListener begins to close the link's control socket, and returns what is closed
// when that is done: the kernel takes as long for it as for a link, because the socket's
// folder is watched.
func (k *Keeper) closeListener() <-chan struct{} {
	closed := make(chan struct{})
	l := k.listener
	k.listener = nil
	go func() {
		defer close(closed)
		if l != nil {
			l.SetUnlinkOnClose(true)
			l.Close()
		}
	}()
	return closed
}

var errNoEngine = errors.New("there is no engine just now")

// ask makes a request to the engine, before all who wait at the control socket.
func (k *Keeper) ask(request func(*uapi.Client) error) error { return k.askUntil(k.base, request) }

// askUntil is ask, which fails when ctx ends.
func (k *Keeper) askUntil(ctx context.Context, request func(*uapi.Client) error) error {
	e := k.running()
	if e == nil {
		return fmt.Errorf("configure %s: %w", k.name, errNoEngine)
	}
	conn, err := e.Connect()
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(uapiPatience)); err != nil {
		return err
	}
	c := uapi.NewClient(k.name, &bounded{Conn: conn, left: maxAnswer})
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		select {
		case <-e.Done():
		case <-ctx.Done():
		case <-answered:
		}
		_ = conn.Close()
	}()
	return request(c)
}

// maxAnswer bounds what an engine answers, in bytes: one that lies would never end.
// A million peers take a third of it.
const maxAnswer = 1 << 30

// bounded is a connection over which no more than that comes.
type bounded struct {
	net.Conn

	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the engine answers with more than %d bytes", maxAnswer)
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// given is what a new engine is given for l. The port is the one to keep where l
// gives none.
func (k *Keeper) given(l *loaded, port uint16) *uapi.Config {
	u := *l.set
	u.ReplacePeers = true
	if !l.live && (u.FwMark == nil || *u.FwMark == 0) {
		u.FwMark = &k.mark
	}
	if u.ListenPort == nil || *u.ListenPort == 0 {
		u.ListenPort = &port
	}
	named := make(map[key.Public][]netip.AddrPort)
	for _, p := range lookup.Peers(l.conf) {
		named[p.Key] = k.names.Known(p.Key)
	}
	u.Peers = append([]uapi.PeerConfig(nil), u.Peers...)
	for i := range u.Peers {
		p := &u.Peers[i]
		if known := named[p.PublicKey]; len(known) > 1 || len(known) == 1 && !p.Endpoint.IsValid() {
			p.Candidates = known
		}
	}
	return &u
}

// configure gives a new engine all that l says, and the port as in given.
func (k *Keeper) configure(ctx context.Context, l *loaded, port uint16) error {
	k.peers.Lock()
	defer k.peers.Unlock()
	u := k.given(l, port)
	if err := k.askUntil(ctx, func(c *uapi.Client) error { return c.Set(u) }); err != nil {
		return err
	}
	k.restored.Store(nil)
	if l.live {
		at := endpointsSet(u.Peers)
		k.restored.Store(&at)
	}
	return k.engine.Configured()
}

// endpointsSet returns where those peers are.
func endpointsSet(peers []uapi.PeerConfig) map[key.Public]netip.AddrPort {
	at := make(map[key.Public]netip.AddrPort, len(peers))
	for i := range peers {
		if p := &peers[i]; p.Endpoint.IsValid() {
			at[p.PublicKey] = p.Endpoint
		}
	}
	return at
}

// offer tells the engine at which addresses a peer may be.
func (k *Keeper) offer(peer key.Public, candidates []netip.AddrPort) error {
	k.peers.Lock()
	defer k.peers.Unlock()
	return k.ask(func(c *uapi.Client) error {
		return c.Set(&uapi.Config{Peers: []uapi.PeerConfig{{PublicKey: peer, UpdateOnly: true, Candidates: candidates}}})
	})
}
