package top

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen is a terminal that is ours for a while: its other screen, keys as they are pressed, no cursor.
type screen struct {
	in, out *os.File

	mu    sync.Mutex  // guards all below: leave is also called from a goroutine that panics
	was   *term.State // nil: the terminal is as it was
	drawn []string    // what stands on it
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// enter takes the terminal. It may be called again where something else has changed the terminal since.
func (s *screen) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return fmt.Errorf("take the terminal: %w", err)
	}
	if s.was == nil {
		s.was = was
	}
	s.drawn = nil
	_, err = s.out.WriteString(enterScreen)
	return err
}

// leave makes the terminal what it was; once is enough.
func (s *screen) leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.was == nil {
		return nil
	}
	_, err := s.out.WriteString(leaveScreen)
	if restored := term.Restore(int(s.in.Fd()), s.was); err == nil {
		err = restored
	}
	s.was = nil
	return err
}

// guard is deferred by each goroutine that runs beside the screen: the words of a panic are for a terminal that can show them.
func (s *screen) guard() {
	if v := recover(); v != nil {
		_ = s.leave() // there is worse to tell
		panic(v)
	}
}

// size is that of the terminal. One that does not know is 80 columns of 24 lines.
func (s *screen) size() (columns, lines int) {
	columns, lines, err := term.GetSize(int(s.out.Fd()))
	if err != nil || columns <= 0 || lines <= 0 {
		return 80, 24
	}
	return columns, lines
}

// clear has all be drawn anew next time.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = nil
}

// show writes the lines that are others than those that stand there, at once.
func (s *screen) show(lines []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	if s.drawn == nil {
		b.WriteString("\x1b[2J")
	}
	for n := range max(len(lines), len(s.drawn)) {
		now, before := "", ""
		if n < len(lines) {
			now = lines[n]
		}
		if n < len(s.drawn) {
			before = s.drawn[n]
		}
		if now != before {
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[2K%s", n+1, now)
		}
	}
	s.drawn = lines
	if b.Len() == 0 {
		return nil
	}
	_, err := s.out.WriteString(b.String())
	return err
}
