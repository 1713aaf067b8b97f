//go:build linux

package installtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// In the unit's sandbox the engine is root, by number: it is caged all the same,
// by a filter of its own besides those that the unit has given to both.
func TestServiceCagesItsEngine(t *testing.T) {
	s := newSite(t)
	s.write(0, "")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	keeper := s.pid("vpn@wg0")
	engine := s.child(keeper)
	if ours, all := testnet.Status(keeper, "Seccomp_filters"), testnet.Status(engine, "Seccomp_filters"); len(all) < len(ours) || len(all) == len(ours) && all <= ours {
		t.Errorf("the keeper has %s filters, the engine %s", ours, all)
	}
	shadow := testnet.Call{Number: unix.SYS_OPENAT, Args: [6]uintptr{^uintptr(0) - 99, testnet.Here}, Memory: []byte("/etc/shadow\x00")}
	socket := testnet.Call{Number: unix.SYS_SOCKET, Args: [6]uintptr{unix.AF_INET, unix.SOCK_DGRAM}}
	program := testnet.Call{Number: unix.SYS_EXECVE, Args: [6]uintptr{testnet.Here}, Memory: []byte("/bin/true\x00")}
	trace := testnet.Call{Number: unix.SYS_PTRACE, Args: [6]uintptr{unix.PTRACE_SEIZE, 1}}
	for _, tid := range testnet.Threads(t, engine) {
		results, _ := testnet.Inject(t, engine, tid, shadow, socket, program, trace)
		for i, err := range results {
			if err != unix.EPERM {
				t.Errorf("thread %d, attempt %d: %v", tid, i, err)
			}
		}
	}
	s.ping(0)
	if s.child(keeper) != engine {
		t.Error("the engine is another")
	}
}
