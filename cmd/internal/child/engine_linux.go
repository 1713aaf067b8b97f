package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/logs"
	"vpn/noise"
	"vpn/noise/key"
	"vpn/tunnel"
)

const (
	// patience is how long an engine that is alive may take to answer or to end,
	// and sendTime how long a message waits for room in the pair.
	patience = 5 * time.Second
	sendTime = time.Second
	// floorsApart is how often an engine may ask for timestamps: what it is given
	// lasts for longer, and none can run away from the clock.
	floorsApart = time.Second
)

// Config is what an engine is started with. Everything in it stays the
// caller's: the engine has duplicates.
type Config struct {
	Name     string     // of the link
	Device   []*os.File // the queues of the TUN link, in order; see tun.Native
	Listener *os.File   // the control socket, listening
	Ports    *Ports     // asked for sockets and marks
	Floors   *Floors

	Log    *slog.Logger
	Stderr *os.File    // where the engine logs to; nil: our own stderr
	Format logs.Format // of its log; empty: text
	Level  string      // of its log, as the variable LOG_LEVEL has it
}

// Engine is a running engine, as its keeper sees it. All methods may be called
// concurrently.
type Engine struct {
	config  Config
	process *process
	pair    *pair
	inbox   *outbox

	ready   chan struct{}
	events  chan tunnel.Event
	changed chan struct{} // holds one tick
	done    chan struct{}

	mu      sync.Mutex // guards what follows
	started bool       // ready is closed
	fault   error      // what the engine has done wrong, or has said before it failed
	err     error      // once done is closed
	lost    uint64     // events, by the engine's own account

	floored time.Time // when timestamps were asked for last
	writing bool      // timestamps
}

// listen takes what the engine says until the pair ends or the engine talks
// nonsense. Of one that says much at once the rest is read later.
func (e *Engine) listen() {
	said := newPace(time.Now())
	for {
		r, err := e.pair.receive(0)
		if err == nil {
			e.rest(said.after(time.Now(), r.Kind))
			err = e.heard(r)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed), errors.Is(err, unix.ECONNRESET):
			return
		default:
			e.blame(fmt.Errorf("it talks nonsense: %w", err))
			e.process.kill()
			return
		}
	}
}

// rest waits, unless the engine's process has ended.
func (e *Engine) rest(d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.process.ended:
	}
}

// blame keeps the first fault of an engine.
func (e *Engine) blame(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == nil {
		e.fault = err
	}
}

// end waits for the end of the process, which has closed its end of the pair.
func (e *Engine) end() {
	e.pair.close()
	select {
	case <-e.process.ended:
	case <-time.After(patience):
		e.process.kill()
		<-e.process.ended
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch failed := e.process.err; {
	case e.fault != nil:
		e.err = fmt.Errorf("the engine of %s: %w", e.config.Name, e.fault)
	case failed != nil:
		e.err = fmt.Errorf("the engine of %s ended: %w", e.config.Name, failed)
	}
}

// heard does what one message asks for. An error ends the engine.
func (e *Engine) heard(r *reply) error {
	m := r.message
	switch {
	case m.Kind == kindReply:
		e.pair.answered(r)
	case m.Kind == kindReady:
		e.mu.Lock()
		if !e.started {
			e.started = true
			close(e.ready)
		}
		e.mu.Unlock()
	case m.Kind == kindFailed:
		e.blame(errors.New(m.Error))
	case m.Kind == kindEvent && m.Event != nil:
		e.mu.Lock()
		e.lost = max(e.lost, m.Event.Lost)
		e.mu.Unlock()
		e.inbox.add(m.Event.tunnelEvent(time.Now()))
		if m.Event.Kind == tunnel.EndpointMoved {
			tick(e.changed)
		}
	case m.Kind == kindChange:
		tick(e.changed)
	case m.Kind == kindOpen:
		return e.open(m)
	case m.Kind == kindMark:
		answer := &message{Kind: kindReply, ID: m.ID}
		answer.fail(e.config.Ports.SetMark(m.Mark))
		return e.pair.send(answer, sendTime)
	case m.Kind == kindFloor && m.Peer != nil:
		return e.reserve(m)
	default:
		return fmt.Errorf("a message of kind %q", m.Kind)
	}
	return nil
}

// open answers with the sockets of a port. An engine that asks and doesn't read
// is at fault: nobody waits for it.
func (e *Engine) open(m *message) error {
	answer := &message{Kind: kindReply, ID: m.ID, Mark: m.Mark}
	files, port, err := e.config.Ports.Open(m.Port, m.Mark)
	answer.Port = port
	answer.fail(err)
	defer closeAll(files)
	return descriptors(files, func(fds []int) error { return e.pair.send(answer, sendTime, fds...) })
}

var errTooOften = errors.New("asked for timestamps too often")

// reserve answers with timestamps once they are on disk, which may take a while.
// Only our own clock says what time it is: an engine can't ask for the future.
func (e *Engine) reserve(m *message) error {
	answer := &message{Kind: kindReply, ID: m.ID}
	now := time.Now()
	e.mu.Lock()
	refused := e.writing || now.Sub(e.floored) < floorsApart || !e.config.Floors.admit(*m.Peer, now)
	if !refused {
		e.writing, e.floored = true, now
	}
	e.mu.Unlock()
	if refused {
		answer.fail(errTooOften)
		return e.pair.send(answer, sendTime)
	}
	from := noise.TAI64N(m.First)
	if stamp := noise.Stamp(now); from.After(stamp) {
		from = stamp
	}
	go func() {
		first, last, err := e.config.Floors.store.Reserve(*m.Peer, from)
		answer.First, answer.Last = stamp(first), stamp(last)
		answer.fail(err)
		e.mu.Lock()
		e.writing = false
		e.mu.Unlock()
		_ = e.pair.send(answer, sendTime) // who reads nothing goes without
	}()
	return nil
}

// deliver hands events to who reads them: when the engine has ended, those that
// are left, as long as somebody reads.
func (e *Engine) deliver() {
	defer close(e.events)
	done, tooLong := e.done, (<-chan time.Time)(nil)
	for {
		event, _, ok := e.inbox.take()
		switch {
		case ok:
		case done == nil:
			return
		default:
			select {
			case <-e.inbox.wake:
			case <-done:
				done, tooLong = nil, time.After(patience)
			}
			continue
		}
		for ok {
			select {
			case e.events <- event:
				ok = false
			case <-done:
				done, tooLong = nil, time.After(patience)
			case <-tooLong:
				return
			}
		}
	}
}

// PID is the engine's process id.
func (e *Engine) PID() int { return e.process.Pid }

// Ready is closed when the engine answers requests. It reads nothing of the device
// before Configured.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Done is closed when the engine's process has ended.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Events tells of sessions that start and end, of initiations and attempts that
// had no answer, and of peers that move. Whoever is slow loses events, though
// never the last endpoint of a peer; see Lost. After Done come those that are
// left, and then it is closed.
func (e *Engine) Events() <-chan tunnel.Event { return e.events }

// Changed has a tick when what the engine is configured with, and would have to be
// given to another in its place, may be something else than at the tick before:
// somebody has set something, or a peer has moved. Candidates don't count.
func (e *Engine) Changed() <-chan struct{} { return e.changed }

// Lost is how many events did not come through so far.
func (e *Engine) Lost() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost + e.inbox.count()
}

// Drops returns what the engine has dropped so far, by reason.
func (e *Engine) Drops(ctx context.Context) (tunnel.Drops, error) {
	r, err := e.ask(ctx, &message{Kind: kindDrops})
	if err != nil {
		return tunnel.Drops{}, err
	}
	return tunnelDrops(r.Drops), nil
}

// PeerDrops is Drops for one peer.
func (e *Engine) PeerDrops(ctx context.Context, peer key.Public) (tunnel.Drops, error) {
	r, err := e.ask(ctx, &message{Kind: kindDrops, Peer: &peer})
	if err != nil {
		return tunnel.Drops{}, err
	}
	return tunnelDrops(r.Drops), nil
}

// Connect returns a connection for configuration requests that no other client of
// the control socket stands before. It is the caller's.
func (e *Engine) Connect() (net.Conn, error) {
	ours, theirs, err := newStream()
	if err != nil {
		return nil, err
	}
	err = e.pair.send(&message{Kind: kindConnect}, sendTime, theirs)
	unix.Close(theirs)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("connect to the engine of %s: %w", e.config.Name, err)
	}
	return ours, nil
}

// Configured says that the engine knows its peers: from now on it reads the device,
// and answers at the control socket.
func (e *Engine) Configured() error { return e.pair.send(&message{Kind: kindRead}, sendTime) }

// Suspend has all session keys erased, and returns when they are. The tunnel is
// silent until Resume.
func (e *Engine) Suspend(ctx context.Context) error {
	_, err := e.ask(ctx, &message{Kind: kindSuspend})
	return err
}

// Resume ends what Suspend began: a handshake starts at once with each peer that
// had a session.
func (e *Engine) Resume(ctx context.Context) error {
	_, err := e.ask(ctx, &message{Kind: kindResume})
	return err
}

func (e *Engine) ask(ctx context.Context, m *message) (*reply, error) {
	r, err := e.pair.ask(m, patience, ctx.Done())
	if err != nil {
		return nil, fmt.Errorf("ask the engine of %s: %s: %w", e.config.Name, m.Kind, err)
	}
	return r, nil
}

// Stop asks the engine to end and waits until it has; it returns Err. When ctx
// ends first, the engine is killed.
func (e *Engine) Stop(ctx context.Context) error {
	_ = e.pair.send(&message{Kind: kindStop}, sendTime) // who doesn't read is killed in the end
	select {
	case <-e.done:
	case <-ctx.Done():
		e.process.kill()
		<-e.done
	}
	return e.Err()
}

// Clean reports, after Done, whether the engine has ended because it was asked to
// or because its device is gone.
func (e *Engine) Clean() bool {
	select {
	case <-e.done:
		return e.Err() == nil
	default:
		return false
	}
}

// Err is why the engine has ended, nil before that and if Clean.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
