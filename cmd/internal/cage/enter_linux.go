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

// Begin begins to cage this process, all its threads, for good: nobody may get new
// privileges in it, and no file can be opened from then on. Finish does the rest: what
// the rules do not name fails with EPERM. It is called when all is open that will be
// used, and before anything of strangers is read. Each step that can't be done is
// logged, once, and left out: the others hold all the same.
func Begin(log *slog.Logger) (finish func()) {
	// The zone is read from a file, at first use.
	_, _ = time.Now().Zone()
	build(log, "no new privileges", noNewPrivileges)
	build(log, "landlock", leaveFiles)
	filterCalls := prepareFilter()
	return func() { build(log, "seccomp", filterCalls) }
}

// build logs if a wall can't be had.
func build(log *slog.Logger, wall string, do func() error) {
	switch err := do(); {
	case errors.Is(err, errMissing):
		log.Info("the engine's cage is without one of its walls", "wall", wall, "error", err)
	case err != nil:
		log.Warn("the engine's cage is without one of its walls", "wall", wall, "error", err)
	}
}

// noNewPrivileges is for this thread: its keeper has set it for all of them
// before they were there, and the filter does for those of an engine that was
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
