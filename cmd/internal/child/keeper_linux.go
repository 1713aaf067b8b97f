package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/observe"
	"vpn/noise"
	"vpn/noise/key"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

const (
	// answerTime is how long the keeper may take for sockets and marks.
	answerTime = 10 * time.Second
	// eventTime is how long an event waits for room.
	eventTime = time.Second
	// maxQueues bounds the queues of a device: the kernel's own limit.
	maxQueues = 250
	// maxSockets come with a reply: those of both families.
	maxSockets = 2 * tunnel.MaxLines
)

var (
	// ErrStopped is the cause of the end of an engine that was asked to end.
	ErrStopped = errors.New("the keeper asks for it")
	// ErrKeeperGone is the cause of the end of an engine that nobody keeps.
	ErrKeeperGone = errors.New("the keeper is gone")
)

// Keeper is the privileged process, as its engine sees it: it opens and marks
// sockets (udp.Opener, udp.Marker), keeps timestamps (tunnel.Floor), and is told
// of events. All methods may be called concurrently.
type Keeper struct {
	// Device are the queues of the TUN link, and Listener is the control socket.
	// They are the caller's.
	Device   []*os.File
	Listener *os.File

	pair   *pair
	outbox *outbox
	news   chan struct{} // holds one tick: the configuration has changed
	orders chan *message // for the tunnel
	own    *streams      // the keeper's own connections
	public chan struct{} // closed when the control socket may be served
	read   chan struct{} // closed when the device may be read
	source atomic.Pointer[observe.Engine]
	asked  atomic.Int32 // reports that are being told
	ctx    context.Context
	end    context.CancelCauseFunc
}

// Connect takes the descriptor that EnvKeeper names, which becomes its own, and
// waits for what the keeper gives to start with.
func Connect(f *os.File) (*Keeper, error) {
	p, err := pairOf(f)
	if err != nil {
		return nil, fmt.Errorf("connect to the keeper: %w", err)
	}
	k := &Keeper{pair: p, outbox: newOutbox(), news: make(chan struct{}, 1), orders: make(chan *message, 16), own: newStreams(), read: make(chan struct{})}
	if err := k.begin(); err != nil {
		p.close()
		return nil, fmt.Errorf("connect to the keeper: %w", err)
	}
	k.ctx, k.end = context.WithCancelCause(context.Background())
	go k.listen()
	go k.tell()
	return k, nil
}

// begin takes the first message, which may be long in coming: the keeper may have
// something else to do first.
func (k *Keeper) begin() error {
	r, err := k.pair.receive(1 + maxQueues)
	if err != nil {
		return err
	}
	if r.Kind != kindStart || len(r.files) < 2 {
		r.closeFiles()
		return fmt.Errorf("a message of kind %q with %d descriptors", r.Kind, len(r.files))
	}
	k.Listener, k.Device = r.files[0], r.files[1:]
	if k.public = k.read; !r.Private {
		k.public = make(chan struct{})
		close(k.public)
	}
	return nil
}

// Context ends when the keeper asks for the end, or is gone: see context.Cause.
func (k *Keeper) Context() context.Context { return k.ctx }

// Configured is closed when the keeper has given all that it had to give, so that
// packets of the device may be read.
func (k *Keeper) Configured() <-chan struct{} { return k.read }

// Public is closed when requests at Listener may be answered.
func (k *Keeper) Public() <-chan struct{} { return k.public }

// Own is where the keeper itself connects.
func (k *Keeper) Own() net.Listener { return k.own }

// Close ends the connection.
func (k *Keeper) Close() { k.pair.close() }

// Failed tells the keeper why there is no tunnel.
func (k *Keeper) Failed(err error) {
	_ = k.pair.send(&message{Kind: kindFailed, Error: err.Error()}, answerTime) // it is all that can be done
}

// Ready tells the keeper that requests are answered, and has t, whose link has that name, obey it.
func (k *Keeper) Ready(name string, t *tunnel.Tunnel) {
	k.source.Store(observe.New(name, t))
	go k.obey(t)
	_ = k.pair.send(&message{Kind: kindReady}, answerTime) // where it can't be told, Context ends
}

// listen takes what the keeper says until the end of the pair.
func (k *Keeper) listen() {
	defer k.pair.close()
	may := sync.OnceFunc(func() { close(k.read) })
	for {
		r, err := k.pair.receive(maxSockets)
		if err != nil {
			k.end(ErrKeeperGone)
			return
		}
		switch r.Kind {
		case kindReply:
			k.pair.answered(r)
		case kindRead:
			may()
		case kindStop:
			k.end(ErrStopped)
		case kindReport:
			k.report(r)
		case kindConnect:
			k.own.add(r)
		default:
			select {
			case k.orders <- r.message:
			default: // who asks so much waits in vain
			}
		}
	}
}

// obey does what the keeper asks of the tunnel. It is apart from listen because
// the tunnel may be waiting for a reply.
func (k *Keeper) obey(t *tunnel.Tunnel) {
	for {
		select {
		case <-k.ctx.Done():
			return
		case m := <-k.orders:
			answer := &message{Kind: kindReply, ID: m.ID}
			switch m.Kind {
			case kindSuspend:
				t.Suspend()
			case kindResume:
				t.Resume()
			case kindDrops:
				answer.Drops = k.drops(t, m.Peer)
			default:
				answer.fail(fmt.Errorf("asked for %q", m.Kind))
			}
			_ = k.pair.send(answer, answerTime) // who doesn't read waits in vain
		}
	}
}

func (k *Keeper) drops(t *tunnel.Tunnel, peer *key.Public) map[string]uint64 {
	if peer == nil {
		return dropsOf(t.Drops())
	}
	return dropsOf(t.PeerDrops(*peer))
}

// Observe is for tunnel.Config: it never waits.
func (k *Keeper) Observe(e tunnel.Event) {
	if told(e.Kind) {
		k.outbox.add(e)
	}
}

// Changed tells the keeper that the configuration is another now. It never waits.
func (k *Keeper) Changed() { tick(k.news) }

// tick leaves a tick in a channel for one, unless one waits there.
func tick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tell passes events on, and that there is a change.
func (k *Keeper) tell() {
	for {
		select {
		case <-k.news:
			if k.pair.send(&message{Kind: kindChange}, eventTime) != nil && k.ctx.Err() == nil {
				k.Changed() // it is to be told again
			}
		default:
		}
		e, lost, ok := k.outbox.take()
		if !ok {
			select {
			case <-k.outbox.wake:
				continue
			case <-k.news:
				k.Changed()
				continue
			case <-k.ctx.Done():
				return
			}
		}
		if err := k.pair.send(&message{Kind: kindEvent, Event: eventOf(&e, lost)}, eventTime); err != nil {
			if k.ctx.Err() != nil {
				return
			}
			k.outbox.dropped()
		}
	}
}

// Open implements udp.Opener: the sockets are the keeper's.
func (k *Keeper) Open(port uint16, mark uint32) (*udp.Sockets, error) {
	r, err := k.pair.ask(&message{Kind: kindOpen, Port: port, Mark: mark}, answerTime, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for UDP port %d: %w", port, err)
	}
	defer r.closeFiles()
	sockets, err := udp.FromFiles(r.files...)
	if err != nil {
		return nil, fmt.Errorf("ask for UDP port %d: %w", port, err)
	}
	return sockets, nil
}

// SetMark implements udp.Marker.
func (k *Keeper) SetMark(mark uint32) error {
	if _, err := k.pair.ask(&message{Kind: kindMark, Mark: mark}, answerTime, nil); err != nil {
		return fmt.Errorf("ask for mark %#x: %w", mark, err)
	}
	return nil
}

// Reserve implements tunnel.Floor.
func (k *Keeper) Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error) {
	r, err := k.pair.ask(&message{Kind: kindFloor, Peer: &public, First: stamp(from)}, answerTime, nil)
	if err != nil {
		return first, last, fmt.Errorf("ask for timestamps: %w", err)
	}
	return noise.TAI64N(r.First), noise.TAI64N(r.Last), nil
}
