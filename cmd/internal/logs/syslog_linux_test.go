package logs

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listen is the reader of a system's log.
func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// next returns the next datagram.
func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 64<<10)
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func socketFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "vpn-log-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "log")
}

func TestSyslog(t *testing.T) {
	path := socketFolder(t)
	l := slog.New(newSyslog(path, "vpn-wg0", slog.LevelDebug)).With("interface", "wg0")
	l.Info("nobody reads it")
	reader := listen(t, path)
	all(l)
	l.Info("two\nlines")
	for _, want := range []string{
		"<31>TIME vpn-wg0[PID]: msg=a interface=wg0",
		"<30>TIME vpn-wg0[PID]: msg=b interface=wg0 n=1",
		"<28>TIME vpn-wg0[PID]: msg=c interface=wg0",
		"<27>TIME vpn-wg0[PID]: msg=d interface=wg0",
		`<30>TIME vpn-wg0[PID]: msg="two\nlines" interface=wg0`,
	} {
		got := next(t, reader)
		pattern := strings.NewReplacer("TIME", "[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}", "PID", fmt.Sprint(os.Getpid())).Replace(regexp.QuoteMeta(want))
		if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	l.Info(strings.Repeat("x", 1<<20))
	if got := next(t, reader); len(got) != syslogLine {
		t.Errorf("a long line has %d bytes", len(got))
	}
}

// TestSyslogRestarted has a reader that is replaced, and one that is stuck.
func TestSyslogRestarted(t *testing.T) {
	path := socketFolder(t)
	l := slog.New(newSyslog(path, "vpn", slog.LevelInfo))
	for i := range 3 {
		reader := listen(t, path)
		l.Info(fmt.Sprint("reader ", i))
		if got, want := next(t, reader), fmt.Sprintf(`msg="reader %d"`, i); !strings.HasSuffix(got, want) {
			t.Errorf("got %q", got)
		}
		reader.Close()
		os.Remove(path)
		l.Info("nobody")
	}
	stuck := listen(t, path)
	handler := newSyslog(path, "vpn", slog.LevelInfo)
	full := func() bool {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, strings.Repeat("x", 4096), 0)
		return handler.Handle(t.Context(), r) != nil
	}
	for lines := 0; !full(); lines++ { // the end is what is tested: nobody waits for the reader for ever
		if lines > 1e6 {
			t.Fatal("the queue has no end")
		}
	}
	next(t, stuck)
	if full() {
		t.Error("a reader that goes on is sent nothing")
	}
}

func TestSyslogSilent(t *testing.T) {
	if NewSyslog("vpn", Silent).Enabled(t.Context(), slog.LevelError) {
		t.Error("silent, but logs")
	}
}
