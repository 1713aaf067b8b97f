//go:build linux

package testnet

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

//go:embed init.sh
var bootSystemd string

var bootCount atomic.Int64

// Systemd is a systemd that has booted on a host. What is started and called by
// way of it is beside it, in its namespaces: it talks to nobody outside.
type Systemd struct {
	*Host
	Init *Process
}

// StartSystemd boots systemd on a host of [NewMachine], with a journal and a system
// bus and few other units, and waits until it has. It is process 1 of a process
// namespace of its own, and what it starts belongs to the host. Units that were
// installed in /etc/systemd/system, with vpn in their names, are there from the
// start. Of the sysctls it can write those of the network only: the others are the
// test machine's. Of the units that come with the system, those that are named are
// there too; none is started.
func (h *Host) StartSystemd(units ...string) *Systemd {
	h.tb.Helper()
	const script = "/run/.init"
	h.WriteFile(script, bootSystemd, 0o644)
	name := fmt.Sprintf("vpn-testnet-%d-%d", os.Getpid(), bootCount.Add(1))
	init := h.Start([]string{"TESTNET_UNITS=" + strings.Join(units, " ")}, "bash", script, "start", name)
	Until(h.tb, "systemd listens", func() (listens bool) {
		if !init.Running() {
			h.tb.Fatalf("%s: systemd ended at once", h.Name)
		}
		h.Do(func() {
			_, err := os.Stat("/run/systemd/private")
			listens = err == nil
		})
		return listens
	})
	s := &Systemd{h.beside(), init}
	if state, _ := s.Run("systemctl", "is-system-running", "--wait"); strings.TrimSpace(state) != "running" {
		h.tb.Errorf("%s: systemd is %s%s", h.Name, state, s.MustRun("systemctl", "--failed", "--no-pager"))
	}
	return s
}

// beside returns the host as the first process of its namespace sees it.
func (h *Host) beside() *Host {
	h.tb.Helper()
	all := h.Processes()
	first := slices.IndexFunc(all, isFirst)
	if first < 0 {
		h.tb.Fatalf("%s: no process is the first of its namespace", h.Name)
	}
	inside := *h
	for _, kind := range []string{"mnt", "pid", "ipc", "uts", "cgroup"} {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", all[first], kind))
		h.check(err, "namespaces of systemd")
		h.tb.Cleanup(func() { _ = ns.Close() }) // it was only looked at
		if kind == "mnt" {
			inside.files = ns
		} else {
			inside.more = append(inside.more, ns)
		}
	}
	return &inside
}

// isFirst says whether a process is number 1 for those in its namespace.
func isFirst(pid int) bool {
	ids := strings.Fields(Status(pid, "NSpid"))
	return len(ids) > 1 && ids[len(ids)-1] == "1"
}

// Status returns a field of /proc/PID/status, empty where the process or the field
// is not there.
func Status(pid int, field string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
