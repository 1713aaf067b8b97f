package systemd

import (
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// exitStatuses is how systemd takes lists of exit codes and signals.
type exitStatuses struct{ Codes, Signals []int32 }

// command is how systemd takes one. Its library's has the last the wrong way round.
type command struct {
	Path          string
	Args          []string
	IgnoreFailure bool
}

// escape keeps systemd from putting variables into arguments.
func escape(args []string) []string {
	escaped := make([]string, len(args))
	for i, arg := range args {
		escaped[i] = strings.ReplaceAll(arg, "$", "$$")
	}
	return escaped
}

// configError is the exit code after which starting again is of no use.
const configError = 78 // EX_CONFIG

func (s Service) properties() []dbus.Property {
	const second = uint64(1e6) // systemd counts microseconds
	set := func(name string, value any) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	all := []dbus.Property{
		dbus.PropDescription(s.Description),
		set("PartOf", []string{"vpn.target"}),
		dbus.PropType("notify"),
		set("NotifyAccess", "main"),
		set("ExecStart", []command{{s.Args[0], escape(s.Args), false}}),
		set("Restart", "on-failure"),
		set("RestartUSec", 2*second),
		set("StartLimitIntervalUSec", uint64(0)),
		set("RestartPreventExitStatus", exitStatuses{[]int32{configError}, []int32{}}),
		set("TimeoutStopUSec", 90*second),
		set("WatchdogUSec", 30*second),
		set("KillMode", "mixed"),
		set("OOMPolicy", "continue"),
		set("UMask", uint32(0o077)),
		set("LimitNOFILE", uint64(65536)),
		set("LimitMEMLOCK", uint64(64<<20)),
	}
	if isPlain(s.Name) {
		other := "wg-quick@" + s.Name + ".service"
		all = append(all, dbus.PropConflicts(other), dbus.PropAfter(other))
	}
	if len(s.Env) > 0 {
		all = append(all, set("Environment", s.Env))
	}
	if s.Dir != "" {
		all = append(all, set("WorkingDirectory", s.Dir))
	}
	return all
}
