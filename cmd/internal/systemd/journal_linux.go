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
	// What was written a moment ago may not be in the files yet.
	_ = exec.CommandContext(ctx, program, "--sync").Run() // then some lines may be missing
	text, err := exec.CommandContext(ctx, program, "--no-pager", "--quiet", "--output=cat",
		"--lines="+strconv.Itoa(logLines), "--since=@"+strconv.FormatUint(s.began/1e6, 10),
		"_SYSTEMD_INVOCATION_ID="+s.invoked, "_SYSTEMD_UNIT="+unit,
		// Of a process that has ended by the time that the journal looks, only this is known.
		"+", "_PID="+strconv.FormatUint(uint64(s.lastPID), 10)).Output()
	if err != nil {
		return ""
	}
	if len(text) > logBytes {
		text = text[len(text)-logBytes:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return strings.TrimSpace(string(text))
}
