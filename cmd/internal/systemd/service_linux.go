package systemd

import (
	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// exitStatuses is how systemd takes lists of exit codes and signals.
type exitStatuses struct{ Codes, Signals []int32 }

// configError is the exit code after which starting again is of no use.
const configError = 78 // EX_CONFIG

func (s Service) properties() []dbus.Property {
	const second = uint64(1e6) // systemd counts microseconds
	set := func(name string, value any) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	all := []dbus.Property{
		dbus.PropDescription(s.Description),
		dbus.PropType("notify"),
		set("NotifyAccess", "main"),
		dbus.PropExecStart(s.Args, true),
		set("Restart", "on-failure"),
		set("RestartUSec", 2*second),
		set("StartLimitIntervalUSec", uint64(0)),
		set("RestartPreventExitStatus", exitStatuses{[]int32{configError}, []int32{}}),
		set("TimeoutStartUSec", 90*second),
		set("TimeoutStopUSec", 90*second),
		set("KillMode", "mixed"),
		set("CollectMode", "inactive-or-failed"),
	}
	if unit, ok := Template(s.Name); ok {
		all = append(all, dbus.PropConflicts(unit, "wg-quick@"+s.Name+".service"))
	}
	if len(s.Env) > 0 {
		all = append(all, set("Environment", s.Env))
	}
	if s.Dir != "" {
		all = append(all, set("WorkingDirectory", s.Dir))
	}
	return all
}
