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
func journal(ctx context.Context, unit, invoked string) string {
	program, err := exec.LookPath("journalctl")
	if err != nil || invoked == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logLimit)
	defer cancel()
	// What was written a moment ago may not be in the files yet.
	_ = exec.CommandContext(ctx, program, "--sync").Run() // then some lines may be missing
	text, err := exec.CommandContext(ctx, program, "--no-pager", "--quiet", "--output=cat",
		"--lines="+strconv.Itoa(logLines), "_SYSTEMD_INVOCATION_ID="+invoked, "_SYSTEMD_UNIT="+unit).Output()
	if err != nil {
		return ""
	}
	if len(text) > logBytes {
		text = text[len(text)-logBytes:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return strings.TrimSpace(string(text))
}
