package top

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/term"
)

// ErrNoTerminal says that there is nothing to draw on, or no keys to read.
var ErrNoTerminal = errors.New("standard input and output are not a terminal")

// Options say what is watched, and where it is shown.
type Options struct {
	Names    []string      // of interfaces; none: all that there are at any time
	Interval time.Duration // between two looks
	In, Out  *os.File      // a terminal
	Look     Look
}

// Run watches until a key or a signal ends it. The terminal is then as it was, also if this fails or panics. It fails before it draws
// anything where an interface can't be asked, or there is no terminal.
func Run(ctx context.Context, o Options) error {
	if !term.IsTerminal(int(o.In.Fd())) || !term.IsTerminal(int(o.Out.Fd())) {
		return ErrNoTerminal
	}
	first := ask(ctx, o.Names)
	if first.err != nil {
		return first.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &program{
		model: newModel(), look: o.Look, screen: &screen{in: o.In, out: o.Out},
		turns: make(chan turn), keys: make(chan string), lost: make(chan error, 1),
		resize: make(chan os.Signal, 1), stop: make(chan os.Signal, 1), resume: make(chan os.Signal, 1), end: make(chan os.Signal, 1),
	}
	p.model.take(first)
	defer notify(p.resize, p.stop, p.resume, p.end)()
	defer p.screen.guard()
	if err := p.screen.enter(); err != nil {
		return errors.Join(err, p.screen.leave())
	}
	go func() {
		defer p.screen.guard()
		watch(ctx, o.Names, o.Interval, p.turns)
	}()
	go func() {
		defer p.screen.guard()
		p.lost <- readKeys(ctx, o.In, p.keys)
	}()
	return errors.Join(p.run(ctx), p.screen.leave())
}

// program is what runs while the terminal is ours.
type program struct {
	model  *model
	look   Look
	screen *screen

	turns                     chan turn
	keys                      chan string
	lost                      chan error // there will be no more keys
	resize, stop, resume, end chan os.Signal
}

func (p *program) run(ctx context.Context) error {
	for {
		columns, lines := p.screen.size()
		if err := p.screen.show(p.model.draw(p.look, columns, lines)); err != nil {
			return err
		}
		select {
		case t := <-p.turns:
			p.model.take(t)
		case k := <-p.keys:
			switch k {
			case keySuspend:
				if err := p.suspend(); err != nil {
					return err
				}
			case keyRedraw:
				p.screen.clear()
			default:
				if !p.model.press(k) {
					return nil
				}
			}
		case <-p.stop:
			if err := p.suspend(); err != nil {
				return err
			}
		case <-p.resume: // it was stopped without being asked
			if err := p.screen.enter(); err != nil {
				return err
			}
		case <-p.resize:
			p.screen.clear()
		case err := <-p.lost:
			return err
		case <-p.end:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// suspend gives the terminal back for as long as the process is stopped.
func (p *program) suspend() error {
	if err := p.screen.leave(); err != nil {
		return err
	}
	suspend(p.resume)
	return p.screen.enter()
}

// readKeys sends keys as they are pressed, until there are no more or ctx ends. A read that waits for a key goes on after that.
func readKeys(ctx context.Context, in *os.File, keys chan<- string) error {
	var rest []byte
	for b := make([]byte, 256); ; {
		n, err := in.Read(b)
		if err != nil {
			return err
		}
		var pressed []string
		pressed, rest = parseKeys(append(rest, b[:n]...))
		for _, k := range pressed {
			select {
			case keys <- k:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
