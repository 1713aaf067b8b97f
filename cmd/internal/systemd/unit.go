package systemd

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// isPlain says whether systemd takes a name for an instance as it is.
func isPlain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(":_.-", r)
	})
}

// Template returns the unit of an interface whose file is in the place where all
// are, vpn@NAME.service; false if NAME has characters, + or =, that no unit's
// name may have.
func Template(name string) (string, bool) {
	return "vpn@" + name + ".service", isPlain(name)
}

// Transient returns the name of the unit that Run makes for an interface.
func Transient(name string) string {
	return "vpn-" + unit.UnitNameEscape(name) + ".service"
}

// State is what systemd says of a unit.
type State struct {
	Load     string // "loaded", "not-found", "masked", ...
	Active   string // "active", "activating", "deactivating", "failed", "inactive", "reloading"
	Sub      string // of a service: "running", "start", "auto-restart", ...
	Result   string // of a service: "success", "exit-code", "signal", "timeout", "watchdog", ...
	MainPID  int    // 0 if none runs
	ExitCode int    // of the last main process; 128 and the signal if one ended it
	invoked  string // the invocation's id, in hexadecimal
	lastPID  uint32 // the last main process, which may have ended
	began    uint64 // when that began, in microseconds of Unix time
}

// StartError is a unit that did not start.
type StartError struct {
	Unit   string
	Result string // of the job: "failed", "timeout", "canceled", "dependency", ...
	State  State  // after it
	Log    string // the last lines that the unit logged in this attempt; may be empty
}

func (e *StartError) Error() string {
	why := e.Result
	switch {
	case e.State.Result == "exit-code":
		why = fmt.Sprintf("exit code %d", e.State.ExitCode)
	case e.State.Result != "" && e.State.Result != "success":
		why = e.State.Result
	}
	return fmt.Sprintf("%s did not start: %s", e.Unit, strings.ReplaceAll(why, "-", " "))
}
