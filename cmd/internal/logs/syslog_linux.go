package logs

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const (
	syslogPath     = "/dev/log"
	syslogDaemon   = 3 << 3 // the facility
	syslogPatience = 200 * time.Millisecond
)

// NewSyslog makes a logger for a daemon that has no stream: it writes to the
// system's log, as tag, what is at least of that level. Where nobody reads that
// log, or not in time, lines are lost; as soon as somebody does, they are not.
func NewSyslog(tag string, level slog.Level) *slog.Logger {
	if level >= Silent {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(newLines(&syslog{path: syslogPath}, level, func(l slog.Level) string {
		return fmt.Sprintf("<%d>%s %s[%d]: ", syslogDaemon|priority(l), time.Now().Format(time.Stamp), tag, os.Getpid())
	}))
}

// syslog is the socket of the system's log, a datagram a line (RFC 3164).
type syslog struct {
	path string

	mu   sync.Mutex // guards conn
	conn net.Conn   // nil until there is something to write
}

// Write sends a line. It never waits for long: a daemon whose log is stuck goes on.
func (s *syslog) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line = line[:max(len(line)-1, 0)] // without its newline
	if s.conn != nil {
		if s.send(line) == nil {
			return len(line) + 1, nil
		}
		_ = s.conn.Close() // it has failed already
		s.conn = nil
	}
	conn, err := net.Dial("unixgram", s.path) // the daemon may have been restarted
	if err != nil {
		return 0, err
	}
	s.conn = conn
	if err := s.send(line); err != nil {
		return 0, err
	}
	return len(line) + 1, nil
}

func (s *syslog) send(line []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogPatience)); err != nil {
		return err
	}
	_, err := s.conn.Write(line)
	return err
}

var _ io.Writer = (*syslog)(nil)
