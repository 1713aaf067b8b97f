package keeper

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"vpn/tun/host"
)

// maxTrace bounds what is told of a crash.
const maxTrace = 8 << 10

// catchCrash has the runtime write into the link's folder why this program crashes:
// the standard error of one in the background is nobody's. What the program before
// this one has left there is logged.
func catchCrash(name string, log *slog.Logger) {
	if trace := lastCrash(name); trace != "" {
		log.Error("the keeper before this one crashed", "trace", trace)
	}
	f, err := os.OpenFile(host.RunPath(name, crashFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		err = debug.SetCrashOutput(f, debug.CrashOptions{}) // of a copy of the descriptor
		f.Close()
	}
	if err != nil {
		log.Warn("if this program crashes, only its standard error tells why", "error", err)
	}
}

// endCatch ends what catchCrash has begun.
func endCatch(name string) {
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{}) // closing fails at nothing that matters
	_ = os.Remove(host.RunPath(name, crashFile))
}

// lastCrash is what a program that has crashed has written, without what was in its
// memory; empty if none has.
func lastCrash(name string) string {
	text, err := os.ReadFile(host.RunPath(name, crashFile))
	if err != nil {
		return ""
	}
	defer clear(text)
	// The lines that are told: why, and where it was. Values of arguments, of registers and
	// of the stack may be parts of keys.
	told := regexp.MustCompile(`^(panic: |fatal error: |\[signal |SIG|goroutine \d|created by |\t/|\t[^ ]+\.go:)`)
	// The line of a function, with its arguments.
	function := regexp.MustCompile(`^([\w./*()\[\]\-]+)\([^()]*\)$`)
	var b strings.Builder
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\n")
		switch f := function.FindSubmatch(line); {
		case b.Len() > maxTrace:
			return b.String()
		case f != nil:
			b.Write(f[1])
			b.WriteString("(...)\n")
		case told.Match(line):
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return strings.TrimSpace(b.String())
}
