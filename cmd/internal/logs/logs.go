// Package logs makes the loggers of daemons: text for people, JSON, or lines
// for the journal of systemd.
package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// Format is how a log is written.
type Format string

// The formats. Text becomes lines with a priority where the journal reads them.
const (
	Text Format = "text"
	JSON Format = "json"
)

// ParseFormat parses the name of a Format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Text, JSON:
		return f, nil
	}
	return "", fmt.Errorf("log format %q is neither text nor json", s)
}

// Silent is above every level that is logged.
const Silent = slog.Level(100)

// Level reads the variable LOG_LEVEL as wireguard-go does: "verbose" or
// "debug", "error", "silent"; besides "info", which all else means too.
func Level(variable string) slog.Level {
	switch variable {
	case "verbose", "debug":
		return slog.LevelDebug
	case "error":
		return slog.LevelError
	case "silent":
		return Silent
	}
	return slog.LevelInfo
}

// New makes a logger that writes what is at least of that level to f, a line a
// record.
func New(f *os.File, format Format, level slog.Level) *slog.Logger {
	switch {
	case level >= Silent:
		return slog.New(slog.DiscardHandler)
	case format == JSON:
		return slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: level}))
	case isJournal(f):
		return slog.New(newJournal(f, level))
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: level}))
}

// newJournal writes lines that begin with a priority, such as <6>. See sd-daemon(3).
func newJournal(w io.Writer, level slog.Level) slog.Handler {
	return newLines(w, level, func(l slog.Level) string { return fmt.Sprintf("<%d>", priority(l)) })
}

// lines is a handler for a log that has time and level of its own: it writes
// each record as text without them, after a prefix and in one piece.
type lines struct {
	*line
	slog.Handler // writes to line.text
}

type line struct {
	prefix func(slog.Level) string
	mu     sync.Mutex // guards text and w
	text   bytes.Buffer
	w      io.Writer
}

func newLines(w io.Writer, level slog.Level, prefix func(slog.Level) string) slog.Handler {
	l := &line{prefix: prefix, w: w}
	return lines{l, slog.NewTextHandler(&l.text, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

// priority is syslog's.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

func (l lines) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
	l.text.WriteString(l.prefix(r.Level))
	if err := l.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := l.w.Write(l.text.Bytes())
	return err
}

func (l lines) WithAttrs(as []slog.Attr) slog.Handler {
	return lines{l.line, l.Handler.WithAttrs(as)}
}

func (l lines) WithGroup(name string) slog.Handler {
	return lines{l.line, l.Handler.WithGroup(name)}
}
