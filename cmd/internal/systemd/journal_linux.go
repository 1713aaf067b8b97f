package systemd

import (
	"bytes"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	logLines = 20
	logBytes = 8 << 10
	logLimit = 5 * time.Second
	logReads = 5
)

// journal returns the last lines that a unit logged since it was invoked, if
// there is a journal; empty if not.
func journal(ctx context.Context, unit string, s State) string {
	program, err := exec.LookPath("journalctl")
	if err != nil || s.invoked == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logLimit)
	defer cancel()
	var text []byte
	// What was written a moment ago may not have been read by the journal yet: it has
	// when it says the same twice.
	for range logReads {
		_ = exec.CommandContext(ctx, program, "--sync").Run() // then some lines may be missing
		now, err := exec.CommandContext(ctx, program, "--no-pager", "--quiet", "--output=cat",
			"--since=@"+strconv.FormatUint(s.began/1e6, 10), // with which --lines would give the first ones
			"_SYSTEMD_INVOCATION_ID="+s.invoked, "_SYSTEMD_UNIT="+unit,
			// Of a process that has ended by the time that the journal looks, only this is known.
			"+", "_PID="+strconv.FormatUint(uint64(s.lastPID), 10)).Output()
		if err != nil {
			break
		}
		same := bytes.Equal(now, text)
		if text = now; same && len(text) > 0 {
			break
		}
	}
	if len(text) > logBytes {
		text = text[len(text)-logBytes:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}
