package logs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const (
	syslogPath     = "/dev/log"
	syslogDaemon   = 3 << 3 // the facility
	syslogLine     = 8 << 10
	syslogPatience = 50 * time.Millisecond
)

// NewSyslog makes a logger for a daemon that has no stream: it writes to the
// system's log, as tag, what is at least of that level. Where nobody reads that
// log, or not in time, lines are lost; as soon as somebody does, they are not.
func NewSyslog(tag string, level slog.Level) *slog.Logger {
	if level >= Silent {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(newSyslog(syslogPath, tag, level))
}

func newSyslog(path, tag string, level slog.Level) slog.Handler {
	return newLines(&syslog{path: path}, level, func(l slog.Level) string {
		return fmt.Sprintf("<%d>%s %s[%d]: ", syslogDaemon|priority(l), time.Now().Format(time.Stamp), tag, os.Getpid())
	})
}

// syslog is the socket of the system's log, a datagram a line (RFC 3164).
type syslog struct {
	path string

	mu   sync.Mutex // guards conn
	conn net.Conn   // nil until there is something to write
}

// Write sends a line, cut where it is very long. It never waits for long: a daemon
// goes on when the one that should read its log doesn't.
func (s *syslog) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := bytes.TrimSuffix(text, []byte("\n"))
	line = line[:min(len(line), syslogLine)]
	if s.conn != nil {
		err := s.send(line)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return len(text), err
		}
		_ = s.conn.Close() // it has failed already
	}
	conn, err := net.Dial("unixgram", s.path) // the other daemon may have been restarted
	if err != nil {
		s.conn = nil
		return 0, err
	}
	s.conn = conn
	return len(text), s.send(line)
}

func (s *syslog) send(line []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogPatience)); err != nil {
		return err
	}
	_, err := s.conn.Write(line)
	return err
}
