package tunnel

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/allowedips"
	"vpn/tunnel/udp"
)

// Config is what a Tunnel is made of. All of it was opened elsewhere; the Tunnel owns the device from now on, and closes it.
type Config struct {
	Device  tun.Device
	Sockets udp.Opener
	Clock   Clock
	Arena   *aead.Arena // where session keys live
	Rand    io.Reader   // for keys, indices and jitter; safe for concurrent use, as crypto/rand.Reader is
	Log     *slog.Logger

	// Floor keeps the timestamps of initiations across restarts. Nil: nobody does.
	Floor Floor

	// Observe is told of handshakes and sessions, if it is not nil. It is called with a peer locked, from many goroutines: it must
	// neither block nor call the Tunnel.
	Observe func(Event)

	// Configured is closed when packets of the device may be read, if it is not nil: until then they wait there, and none is
	// answered as if its peer were unknown.
	Configured <-chan struct{}

	// Processors bounds how many lanes work at once.
	Processors int
}

// A Tunnel moves packets between its device and its peers. It may be used concurrently.
type Tunnel struct {
	device   tun.Device
	queues   []tun.Queue
	opener   udp.Opener
	clock    Clock
	arena    *aead.Arena
	rand     io.Reader
	log      *slog.Logger
	observer func(Event)

	lanes       lanes
	timers      *schedule
	handshakes  *handshakes
	limiter     *cookie.Limiter
	index       indexTable
	timestamps  *timestamps
	peers       peerTable
	allowed     allowedips.Table[*Peer]
	senders     sync.Pool // of *sender, for what is sent outside of a lane
	stagedBytes atomic.Int64
	drops       dropCounters
	unreachable unreachables
	strangers   strangers
	tally       tally
	followers   followers
	recently    recently
	sources     tokenBucket      // of noteSource
	refusals    chan udp.Refusal // to be matched with peers
	started     time.Duration
	complaints  tokenBucket

	identity atomic.Pointer[identity] // nil without a private key
	sockets  atomic.Pointer[udp.Sockets]
	up       atomic.Bool // the link is up and there is an identity: peers may talk

	config settings

	rebind  Timer         // ticks when missing sockets are to be opened again
	stop    chan struct{} // closed when the end begins
	done    chan struct{} // closed when all goroutines have ended
	running sync.WaitGroup
}

// New makes a Tunnel and starts it. It stays silent until the device says that it is up and there is a private key.
func New(c Config) (*Tunnel, error) {
	queues := c.Device.Queues()
	if len(queues) == 0 {
		return nil, errors.New("tunnel: the device has no queue")
	}
	t := &Tunnel{
		device: c.Device, queues: queues, opener: c.Sockets, clock: c.Clock, arena: c.Arena, rand: c.Rand, log: c.Log, observer: c.Observe,
		lanes:   lanes{processors: int32(max(c.Processors, 1))},
		timers:  newSchedule(c.Clock),
		limiter: cookie.NewLimiter(),

		timestamps: &timestamps{floor: c.Floor, clock: c.Clock, log: c.Log},

		index:   indexTable{rand: c.Rand, entries: make(map[uint32]indexEntry)},
		senders: sync.Pool{New: func() any { return new(sender) }},
		rebind:  c.Clock.NewTimer(),
		stop:    make(chan struct{}),
		started: c.Clock.Now(),

		refusals: make(chan udp.Refusal, refusalQueueLen),
		done:     make(chan struct{}),
	}
	t.handshakes = newHandshakes(t)
	t.unreachable.queue = make(chan []byte, unreachableQueueLen)

	for range max(1, t.lanes.processors-1) { // where there are several, one is left for packets
		t.running.Go(t.handshakes.run)
	}
	t.running.Go(t.answerUnreachable)
	t.running.Go(t.noteRefusals)
	t.running.Go(func() { t.timers.run(t.stop) })
	for i := range queues {
		t.running.Go(func() {
			if t.await(c.Configured) {
				newLine(&t.lanes, func() batch { return newOutbound(t, i) }).timed(t.clock, &t.tally.waits[WaitOut]).run()
			}
		})
	}
	t.running.Go(t.watch)
	go func() {
		t.running.Wait()
		t.eraseIdentities()
		close(t.done)
	}()
	return t, nil
}

// await waits until it is configured, and is false if the tunnel ends before that.
func (t *Tunnel) await(configured <-chan struct{}) bool {
	if configured == nil {
		return true
	}
	select {
	case <-configured:
		return true
	case <-t.stop:
		return false
	}
}

// Done is closed when the Tunnel has ended: after Close, or because its device is gone. All keys are erased then.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Close ends all sessions, erases all keys, and closes the sockets and the device. It returns when everything has ended, and may be called
// more than once.
func (t *Tunnel) Close() error {
	t.end()
	<-t.done
	return nil
}

// end begins the end.
func (t *Tunnel) end() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if t.config.closed {
		return
	}
	t.config.closed = true
	t.config.linkUp = false
	t.closeSockets() // first: whoever waits to send holds up all else
	t.rest()
	close(t.stop)
	t.handshakes.close()
	if err := t.device.Close(); err != nil {
		t.log.Debug("close device", "error", err)
	}
}

// watch follows the device until it is gone.
func (t *Tunnel) watch() {
	defer t.end()
	defer t.rebind.Stop()
	for {
		select {
		case <-t.rebind.C():
			t.retryBind()
		case e, ok := <-t.device.Events():
			switch {
			case !ok:
				return
			case e == tun.Up:
				t.linkUp()
			case e == tun.Down:
				t.linkDown()
			}
		}
	}
}

func (t *Tunnel) linkUp() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if t.config.closed || t.config.linkUp {
		return
	}
	t.config.linkUp = true
	t.bind()
	t.wake()
}

// bind opens the sockets for a link that came up. If that fails, as it does while somebody else has the port, it is tried again.
// The caller holds config.mu.
func (t *Tunnel) bind() {
	if err := t.openSockets(t.config.port, t.config.mark); err != nil {
		t.log.Error("link is up, but there is no socket yet", "error", err, "retry", bindRetryTime)
		t.rebind.Set(t.clock.Now() + bindRetryTime)
	}
}

// bindRetryTime is how long after a failure the sockets are opened again.
const bindRetryTime = 5 * time.Second

// retryBind opens the sockets that are still missing.
func (t *Tunnel) retryBind() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if t.config.linkUp && t.sockets.Load() == nil {
		t.bind()
	}
}

func (t *Tunnel) linkDown() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if !t.config.linkUp {
		return
	}
	t.config.linkUp = false
	t.closeSockets() // first: whoever waits to send holds up all else
	t.rest()
}

// wake lets peers talk, if the link is up and there is an identity. The caller holds config.mu.
func (t *Tunnel) wake() {
	if !t.config.linkUp || t.config.asleep || t.identity.Load() == nil || t.up.Swap(true) {
		return
	}
	now := t.clock.Now()
	for _, p := range t.peers.all() {
		p.mu.Lock()
		p.apply(p.machine.Up(now), now)
		p.mu.Unlock()
	}
}

// rest ends all sessions and makes the peers silent. The caller holds config.mu.
func (t *Tunnel) rest() {
	if !t.up.Swap(false) {
		return
	}
	now := t.clock.Now()
	for _, p := range t.peers.all() {
		p.mu.Lock()
		p.forget(rekey.Down, now)
		p.mu.Unlock()
	}
}

// openSockets replaces the sockets; those before them stay if it fails. The caller holds config.mu.
func (t *Tunnel) openSockets(port uint16, mark uint32) error {
	s, err := t.opener.Open(port, mark)
	if err != nil {
		return err
	}
	if old := t.sockets.Swap(s); old != nil {
		old.Close()
	}
	s.Watch(t.refused)
	t.config.port, t.config.mark = s.Port, mark
	for i, socket := range s.All() {
		q := t.queues[i%len(t.queues)]
		t.running.Go(newLine(&t.lanes, func() batch { return newInbound(t, socket, q) }).timed(t.clock, &t.tally.waits[WaitIn]).run)
	}
	return nil
}

// closeSockets also ends the lines that read from them. The caller holds config.mu.
func (t *Tunnel) closeSockets() {
	if old := t.sockets.Swap(nil); old != nil {
		old.Close()
	}
}

// eraseIdentities erases every long-term secret. All goroutines have ended.
func (t *Tunnel) eraseIdentities() {
	for _, p := range t.peers.all() {
		p.mu.Lock()
		p.remote.Erase()
		p.mu.Unlock()
	}
	if id := t.identity.Swap(nil); id != nil {
		id.erase()
	}
	t.config.mu.Lock()
	t.config.privateKey.Erase()
	t.config.mu.Unlock()
}

func (t *Tunnel) mtu() int { return t.device.MTU() }

// random64 is never zero.
func (t *Tunnel) random64() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(t.rand, b[:]); err != nil {
		panic("tunnel: no randomness: " + err.Error())
	}
	return max(binary.LittleEndian.Uint64(b[:]), 1)
}

// jitter keeps peers that lost each other from retrying in step.
func (t *Tunnel) jitter() time.Duration {
	return time.Duration(t.random64() % uint64(rekey.RekeyTimeoutJitterMax))
}

// complaintLimit bounds log lines about what the kernel refuses, per second.
const complaintLimit = 1

// complain logs an error that may come with every message, at a limited rate.
func (t *Tunnel) complain(what string, err error) {
	if t.complaints.allow(t.clock.Now(), complaintLimit) {
		t.log.Warn(what, "error", err)
	}
}

// Drops returns what was dropped so far.
func (t *Tunnel) Drops() Drops { return t.drops.read() }

// PeerDrops returns what was dropped so far of one peer's messages and packets, nothing if there is no such peer.
func (t *Tunnel) PeerDrops(public key.Public) (d Drops) {
	if p := t.peers.get(public); p != nil {
		if c := p.drops.Load(); c != nil {
			d = c.read()
		}
	}
	return d
}
