package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/child"
	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/control"
	"vpn/cmd/internal/floor"
	"vpn/cmd/internal/logs"
	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/outside"
	"vpn/cmd/internal/systemd"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tun/host"
	"vpn/tun/host/dns"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// Config is what a keeper is started with.
type Config struct {
	File  configfile.File // without a path: the text lies where Pin put it
	Force bool            // cut SSH sessions if need be

	Log    *slog.Logger
	Format logs.Format // of the engine's log
	Level  string      // of the engine's log, as LOG_LEVEL has it
	Stderr *os.File    // the engine's; nil: our own

	Show  Show   // is told of the start
	Ready func() // called when the link is up

	// Impatient ends when hooks are not to be waited for any more, as after a second
	// signal; nil: never.
	Impatient context.Context

	// Signals, which do what a request would do.
	Reload, Restart <-chan os.Signal

	// Handed is what a program before this one, in the same process, has left; nil
	// if there was none.
	Handed *Handed
}

// Keeper is the process that keeps a link. The fields without a note are the main
// goroutine's.
type Keeper struct {
	c       Config
	name    string
	log     *slog.Logger
	started time.Time

	lock    *Lock
	control *net.UnixListener
	journal *host.Journal
	config  *conf.Config // in force, without its keys
	hash    string       // of its text
	mark    uint32
	limiter host.Limiter
	pending *pending    // a reload that waits to be kept
	expires *time.Timer // when to look for peers whose time is over; nil: never

	device   tun.Native
	gone     chan struct{} // closed when the link is
	listener *uapi.Listener
	ports    *child.Ports
	floors   *child.Floors
	waiting  *child.Waiting // for a link to run on; may be nil
	engine   *child.Engine
	backoff  backoff
	retry    <-chan time.Time // when to start an engine again
	keeping  keeping
	resolver *lookup.Resolver // may be used concurrently
	marked   chan struct{}    // closed when the resolver has its mark
	names    *lookup.Scheduler
	peers    sync.Mutex                                    // guards what the engine is told of peers, beside a reload
	tries    tries                                         // may be used concurrently
	restored atomic.Pointer[map[key.Public]netip.AddrPort] // where peers were under the engine before this one
	changes  <-chan host.Change
	settled  <-chan time.Time // when to look once more; nil if nothing has changed of late
	last     host.Change      // that was told of
	resolved <-chan struct{}

	base    context.Context // never ends
	told    context.Context // ends when a signal says that this is the end
	patient context.Context // of hooks at the end
	life    context.Context // of all that goes on while the link is up
	endLife context.CancelFunc
	work    chan job
	busy    atomic.Int32 // jobs that may take as long as they like
	stop    chan struct{}
	stopped sync.Once     // closes stop
	ended   chan struct{} // closed when the keeper has done its work
	result  error         // of Run, once ended is closed

	mu        sync.Mutex // guards what follows
	state     State
	said      []Message         // of the start
	scheduler *lookup.Scheduler // names
	serving   *child.Engine     // engine

	published atomic.Pointer[conf.Config] // what others are told of: its keys are not theirs to look at
	labelling sync.Mutex                  // guards labelled
	labelled  labels                      // as they were told last
}

// job is work for the main goroutine.
type job struct {
	do   func(context.Context) error
	done chan error
}

var errEnded = errors.New("the keeper is ending")

// Run brings a link up, or takes over one that an earlier keeper has left, and
// keeps it until ctx ends, a client says so, or the link or its control socket is
// deleted. Then nothing is left of it. Where the link does not come up, nothing is
// left either.
func Run(ctx context.Context, c Config) error {
	k := &Keeper{
		c:       c,
		name:    c.File.Name,
		log:     c.Log.With("interface", c.File.Name),
		started: time.Now(),
		floors:  child.NewFloors(floor.New(floor.Default)),
		ports:   child.NewPorts(udp.Spread(tunnel.Lines())),
		work:    make(chan job),
		marked:  make(chan struct{}),
		stop:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	if outside.Confined() {
		ctx = dns.WithRunner(ctx, resolvconf)
	}
	k.base, k.told, k.patient = context.WithoutCancel(ctx), ctx, c.Impatient
	if k.patient == nil {
		k.patient = k.base
	}
	k.life, k.endLife = context.WithCancel(k.base)
	defer k.endLife()
	k.state = State{Name: k.name, File: c.File.String(), PID: os.Getpid(), Started: k.started, Phase: Starting}

	k.launchEngine()
	defer k.cancelEngine()
	var err error
	if h := c.Handed; h != nil {
		k.lock, k.control = h.lock(k.name), h.Control
		if len(h.Sockets) > 0 {
			if err := k.ports.Adopt(h.Sockets, h.Mark); err != nil {
				k.log.Warn("the sockets of the program before this one are lost", "error", err)
			}
			for _, f := range h.Sockets {
				f.Close()
			}
		}
	} else {
		if k.lock, err = Acquire(k.name, "vpn run "+k.name); err != nil {
			return explainHeld(err)
		}
		if k.control, err = control.Listen(k.name); err != nil {
			k.lock.Release()
			return err
		}
	}
	catchCrash(k.name, k.log)
	server := serveControl(k, k.control)

	k.result = k.live(ctx)
	k.cancelEngine()
	close(k.ended)
	server.Close()
	if k.journal != nil {
		k.result = errors.Join(k.result, k.journal.Close())
		if k.journal.Empty() { // else there is something for the next one
			removeKept(k.name)
		}
	}
	_ = os.Remove(control.Path(k.name))
	_ = os.Remove(host.LibPath(k.name, "")) // fails if something is there
	endCatch(k.name)
	k.lock.Release()
	return k.result
}

// explainHeld makes of a lock that is held what it means to whoever wants a link
// up.
func explainHeld(err error) error {
	var held *HeldError
	if !errors.As(err, &held) {
		return err
	}
	return hint(fmt.Errorf("%w: it is up already, or on its way", err), "\"vpn reload %s\" brings a change of its file into force, \"vpn down %s\" ends it", held.Link, held.Link)
}

// live is the life between lock and release.
func (k *Keeper) live(ctx context.Context) error {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-k.stop:
			cancel()
		case <-starting.Done():
		}
	}()
	if err := k.start(starting); err != nil {
		told := starting.Err() != nil
		k.endWork()
		if told {
			return errors.Join(fmt.Errorf("%s was told to end before it was up", k.name), unlessCancelled(err))
		}
		return err
	}
	k.setPhase(Running)
	k.c.Ready()
	k.log.Info("the link is up", "file", k.c.File.String())
	k.ready()
	go k.watchdog()
	go k.watchSleep()
	go k.status()
	return k.loop(ctx)
}

// unlessCancelled leaves out what only says that a context has ended.
func unlessCancelled(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range joined.Unwrap() {
			rest = append(rest, unlessCancelled(e))
		}
		return errors.Join(rest...)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// loop does what there is to do, one thing after another, until the end.
func (k *Keeper) loop(ctx context.Context) error {
	gone, deleted := k.gone, k.listener.Deleted() // the same until the end
	begin := time.After(watchAfter)
	for {
		var engineDone, engineChanged <-chan struct{}
		if k.engine != nil {
			engineDone, engineChanged = k.engine.Done(), k.engine.Changed()
		}
		select {
		case <-ctx.Done():
			return k.down(k.logged)
		case <-gone:
			k.log.Info("the link was deleted")
			return k.down(k.logged)
		case <-deleted:
			k.log.Info("the link's control socket was deleted")
			return k.down(k.logged)
		case j := <-k.work:
			j.done <- j.do(k.life)
			if k.isStopped() { // before the link's end is taken for somebody else's doing
				return k.result
			}
		case <-engineDone:
			k.engineEnded()
		case <-engineChanged:
			k.keeping.soon()
		case <-k.keeping.due:
			k.keepChange()
		case <-k.retry:
			k.restartEngine()
		case <-begin:
			k.watch()
		case c, ok := <-k.changes:
			k.changed(c, ok)
		case <-k.settled:
			k.settled = nil
			k.heal(k.last, true)
		case _, ok := <-k.resolved:
			k.healDNS(ok)
		case <-k.pending.timeout():
			k.takeBack()
		case <-timeout(k.expires):
			k.expire()
		case <-k.c.Reload:
			k.reloadOnSignal()
		case <-k.c.Restart:
			if err := k.restart(); err != nil {
				k.log.Error("not restarted", "error", err)
			}
		}
	}
}

// isStopped says whether a client has had the keeper ended.
func (k *Keeper) isStopped() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// do has the main goroutine do something, and returns when it is done.
func (k *Keeper) do(ctx context.Context, f func(context.Context) error) error {
	j := job{f, make(chan error, 1)}
	select {
	case k.work <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-k.ended:
		return errEnded
	}
	return <-j.done
}

// ready tells the service manager that a start or a reload is complete.
func (k *Keeper) ready() {
	if systemd.Managed() {
		k.heard(systemd.Ready(k.statusLine()))
	}
}

// heard logs that the service manager could not be told something.
func (k *Keeper) heard(err error) {
	if err != nil {
		k.log.Warn("the service manager was not told", "error", err)
	}
}

// watchdog tells the service manager that the main goroutine gets on.
func (k *Keeper) watchdog() {
	err := systemd.Watchdog(k.life, func(ctx context.Context) bool {
		return k.busy.Load() > 0 || k.do(ctx, func(context.Context) error { return nil }) == nil
	})
	if err != nil && k.life.Err() == nil {
		k.log.Warn("no watchdog", "error", err)
	}
}

func (k *Keeper) setPhase(p Phase) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Phase = p
}
