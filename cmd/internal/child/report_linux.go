package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/report"
)

const (
	// linePatience is how long a line of a report may take, either way.
	linePatience = 10 * time.Second
	// maxReports is how many an engine tells at once.
	maxReports = 64
	// reportBuffer gathers lines, of which many come at once.
	reportBuffer = 32 << 10
)

var errTooManyReports = errors.New("too many reports at once")

// Source tells what the engine says of itself. All of it has been checked, and is the engine's word all the same.
func (e *Engine) Source() report.Source { return source{e} }

type source struct{ *Engine }

func (e source) Status(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	return e.report(ctx, &message{Kind: kindReport, Query: &q}, linePatience, tell)
}

func (e source) Events(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	return e.report(ctx, &message{Kind: kindReport, Query: &q, Follow: true}, 0, tell)
}

// report gives the engine one end of a stream, and tells what comes out of the other. A line may take as long as patience says; zero is
// no limit.
func (e *Engine) report(ctx context.Context, m *message, patience time.Duration, tell func(*report.Line) error) error {
	ours, theirs, err := newStream()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = e.pair.send(m, sendTime, theirs)
	unix.Close(theirs)
	if err != nil {
		return fmt.Errorf("ask the engine of %s: %w", e.config.Name, err)
	}
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	defer stop()
	await := func() error {
		if patience == 0 {
			return nil
		}
		return ours.SetReadDeadline(time.Now().Add(patience))
	}
	if err := await(); err != nil {
		return err
	}
	err = report.Read(ours, func(l *report.Line) error {
		if err := tell(l); err != nil {
			return err
		}
		return await()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// newStream makes a stream: our end, and the other as a descriptor that never blocks.
func newStream() (ours net.Conn, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	f := os.NewFile(uintptr(fds[0]), "report")
	defer f.Close()
	if ours, err = net.FileConn(f); err != nil {
		unix.Close(fds[1])
		return nil, -1, err
	}
	return ours, fds[1], nil
}

// report tells the keeper what it asks for, over the stream that came with the question.
func (k *Keeper) report(r *reply) {
	source := k.source.Load()
	if len(r.files) != 1 || r.Query == nil || source == nil {
		r.closeFiles() // which is an answer that was cut short
		return
	}
	f := r.files[0]
	n := k.asked.Add(1)
	go func() {
		defer k.asked.Add(-1)
		defer f.Close()
		w := bufio.NewWriterSize(f, reportBuffer)
		out := report.NewWriter(w, w.Flush)
		ask := source.Status
		if r.Follow {
			ask = source.Events
		}
		err := errTooManyReports
		if n <= maxReports {
			ctx, cancel := context.WithCancel(k.ctx)
			defer cancel()
			if r.Follow {
				go awaitHangUp(f, cancel)
			}
			err = ask(ctx, *r.Query, func(l *report.Line) error {
				if err := f.SetWriteDeadline(time.Now().Add(linePatience)); err != nil {
					return err
				}
				return out.Write(l)
			})
		}
		_ = f.SetWriteDeadline(time.Now().Add(linePatience)) // where it can't be set, the other end decides
		_ = out.Close(err)
	}()
}

// awaitHangUp returns when the other end of a stream, which says nothing, is closed.
func awaitHangUp(f *os.File, then func()) {
	var b [1]byte
	_, _ = f.Read(b[:]) // whatever it returns, that was all
	then()
}
