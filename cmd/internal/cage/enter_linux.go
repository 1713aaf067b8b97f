package cage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// errMissing is why a step is left out on kernels, or processors, that have it
// not.
var errMissing = errors.New("not available here")

// Enter cages this process, all its threads, for good. Nobody may get new
// privileges in it, no file can be opened, and what Allowed does not name fails
// with EPERM. Each step that can't be done is logged, once, and left out: the
// others hold all the same. It is called when all is open that will be used, and
// before anything of strangers is read.
func Enter(log *slog.Logger) {
	// The zone is read from a file, at first use.
	_, _ = time.Now().Zone()
	steps := []struct {
		name string
		do   func() error
	}{
		{"no new privileges", noNewPrivileges},
		{"landlock", leaveFiles},
		{"seccomp", filterCalls},
	}
	for _, step := range steps {
		switch err := step.do(); {
		case errors.Is(err, errMissing):
			log.Info("the engine's cage is without one of its walls", "wall", step.name, "error", err)
		case err != nil:
			log.Warn("the engine's cage is without one of its walls", "wall", step.name, "error", err)
		}
	}
}

// noNewPrivileges is for this thread: its keeper has set it for all of them
// before they were there, and filterCalls does for those of an engine that was
// started otherwise.
func noNewPrivileges() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

// leaveFiles takes away all files that are not open, TCP, and what is outside: its
// signals and abstract sockets. UDP, which landlock knows from its tenth version
// on, is what an engine is for.
func leaveFiles() error {
	if _, err := landlocksys.LandlockGetABIVersion(); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	return landlock.V9.BestEffort().Restrict()
}
