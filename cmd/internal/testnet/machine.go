//go:build linux

package testnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NewMachine makes a host for programs that change more than the network: /run,
// /etc and /var are its own. What is changed there is seen by this host alone, and
// gone with it. /run and /etc/wireguard are empty at first, there is no /var/lib/vpn,
// and /sys shows the host's own links. All else is the test machine's, its processes too.
func NewMachine(tb TB, name string) *Host {
	tb.Helper()
	return newHost(tb, name, ownFiles)
}

// ownFiles moves the calling thread into a mount namespace with files of its own,
// and returns the namespace.
func ownFiles() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	for _, m := range []struct {
		target, kind string
		flags        uintptr
		data         string
	}{
		{"/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"/sys", "sysfs", unix.MS_RDONLY, ""},
	} {
		if err := unix.Mount(m.kind, m.target, m.kind, m.flags, m.data); err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	const changes = "/run/.changes"
	for _, folder := range []string{"/etc", "/var"} {
		if err := overlay(folder, changes+folder); err != nil {
			return nil, err
		}
	}
	// What lies beneath the overlays is nobody's business.
	if err := unix.Mount("tmpfs", changes, "tmpfs", 0, "mode=700"); err != nil {
		return nil, fmt.Errorf("mount %s: %w", changes, err)
	}
	for _, folder := range []string{"/etc/wireguard", "/var/lib/vpn"} {
		if err := os.RemoveAll(folder); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir("/etc/wireguard", 0o700); err != nil {
		return nil, err
	}
	return os.Open("/proc/thread-self/ns/mnt")
}

// ownState gives the calling thread an empty /var/lib: what a daemon keeps there
// is of no use after the test. All other files are the machine's.
func ownState() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /var/lib: %w", err)
	}
	return nil
}

// overlay lets changes of a folder go to another one.
func overlay(folder, changes string) error {
	upper, work := changes+"/upper", changes+"/work"
	for _, f := range []string{upper, work} {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", folder, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, work)); err != nil {
		return fmt.Errorf("mount %s: %w", folder, err)
	}
	return nil
}

// WriteFile writes a file of the host.
func (h *Host) WriteFile(path, text string, mode os.FileMode) {
	h.tb.Helper()
	h.Do(func() {
		h.check(os.WriteFile(path, []byte(text), mode), "write")
		h.check(os.Chmod(path, mode), "write") // whatever the umask
	})
}

// Processes returns the ids of the processes in the host's network namespace.
func (h *Host) Processes() []int {
	h.tb.Helper()
	var own unix.Stat_t
	h.check(unix.Fstat(int(h.ns), &own), "own namespace")
	var pids []int
	for _, pid := range allProcesses() {
		var s unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &s) == nil && s.Ino == own.Ino && s.Dev == own.Dev {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills what left its parents behind, as daemons do.
func (h *Host) killAll() {
	h.tb.Helper()
	Until(h.tb, "the host's processes are gone", func() bool {
		left := h.Processes()
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // it may be gone by now
		}
		return len(left) == 0
	})
}

// killFrom kills the processes whose program lies in a folder.
func killFrom(folder string) {
	for _, pid := range allProcesses() {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && strings.HasPrefix(exe, folder+"/") {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// allProcesses returns the ids of those that run; one that has ended and waits for its parent is none.
func allProcesses() (pids []int) {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		stat, err := os.ReadFile(filepath.Join(folder, "stat"))
		end := bytes.LastIndexByte(stat, ')')
		if err != nil || end < 0 || bytes.HasPrefix(stat[end:], []byte(") Z")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}
