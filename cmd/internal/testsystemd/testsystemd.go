//go:build linux

// Package testsystemd boots a systemd of its own for tests: process 1 of
// namespaces, with a network, a file system and control groups that go with it.
// It needs root and a machine on which systemd is installed, whether it runs
// there or not.
//
// The system sees the machine's /usr, read-only, and a copy of its /etc without
// units and without /etc/wireguard. There is a D-Bus, and no udev.
package testsystemd

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

//go:embed boot.sh
var script string

// Config is what a system has besides what all have.
type Config struct {
	Files map[string]string // texts by path; scripts, which begin with #!, can be run
	Binds map[string]string // folders of the machine, by their path in the system
}

// System is a systemd that runs. Its methods fail the test where they fail.
type System struct {
	tb    testnet.TB
	pid1  int
	ended chan struct{}
}

var systems atomic.Int32

// Boot starts a system that lives as long as the test, and waits until it is up.
func Boot(tb testnet.TB, c Config) *System {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root, for namespaces")
	}
	s := &System{tb: tb, ended: make(chan struct{})}
	build, err := os.MkdirTemp("", "vpn-testsystemd-")
	s.check(err, "folder")
	tb.Cleanup(func() { s.check(os.RemoveAll(build), "remove the folder") })
	s.check(os.Chmod(build, 0o755), "folder")
	for path, text := range c.Files {
		mode := os.FileMode(0o600)
		switch {
		case strings.HasPrefix(text, "#!"):
			mode = 0o755
		case strings.HasPrefix(path, "/etc/systemd/"):
			mode = 0o644
		}
		path = filepath.Join(build, "files", path)
		s.check(os.MkdirAll(filepath.Dir(path), 0o755), "folder")
		s.check(os.WriteFile(path, []byte(text), mode), "file")
	}
	s.check(os.MkdirAll(filepath.Join(build, "files"), 0o755), "folder")
	// A new control group namespace begins where its maker is: boot.sh is in the
	// group when it makes one.
	args := []string{"--cgroup", "bash", "-c", script, "boot.sh", build}
	for path, outside := range c.Binds {
		args = append(args, path, outside)
	}
	s.start(exec.Command("unshare", args...), s.group())
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("journal:\n%s", s.Run("journalctl", "--no-pager", "--lines=200").Output)
		}
	})
	testnet.Until(tb, "systemd is up", func() bool {
		if s.off() {
			tb.Fatalf("testsystemd: it does not boot")
		}
		out := s.Run("systemctl", "is-system-running").Output
		return out == "running\n" || out == "degraded\n"
	})
	return s
}

func (s *System) check(err error, what string) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatalf("testsystemd: %s: %v", what, err)
	}
}

// group makes a control group, in the hierarchy that systemd knows how to use.
func (s *System) group() *os.File {
	s.tb.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	s.check(err, "mounts")
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if f[2] != "cgroup2" {
			continue
		}
		path := filepath.Join(f[1], fmt.Sprintf("vpn-testsystemd-%d-%d", os.Getpid(), systems.Add(1)))
		s.check(os.Mkdir(path, 0o755), "control group")
		s.tb.Cleanup(func() {
			testnet.Until(s.tb, "the control group is gone", func() bool { return removeGroup(path) == nil })
		})
		group, err := os.Open(path)
		s.check(err, "control group")
		return group
	}
	s.tb.Fatalf("testsystemd: no cgroup2 is mounted here")
	return nil
}

// removeGroup removes a control group with all below it.
func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeGroup(filepath.Join(path, e.Name())))
		}
	}
	return errors.Join(err, unix.Rmdir(path))
}

func (s *System) start(cmd *exec.Cmd, group *os.File) {
	s.tb.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		UseCgroupFD: true,
		CgroupFD:    int(group.Fd()),
		Pdeathsig:   unix.SIGKILL,
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // it dies with the thread
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // what it printed is all there is to know
			close(s.ended)
		}
	}()
	s.check(<-started, "start")
	group.Close()
	s.pid1 = cmd.Process.Pid
	s.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // with it go all others
		<-s.ended
		if s.tb.Failed() {
			s.tb.Logf("boot: %s", &output)
		}
	})
}

// Result is how a command ended.
type Result struct {
	Output string // of both kinds
	Code   int
}

// Run runs a command as root of the system, beside its services.
func (s *System) Run(args ...string) Result {
	s.tb.Helper()
	enter := []string{"-t", fmt.Sprint(s.pid1), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		s.check(err, strings.Join(args, " "))
	}
	return Result{string(out), cmd.ProcessState.ExitCode()}
}

// Must runs a command that has to succeed, and returns what it prints.
func (s *System) Must(args ...string) string {
	s.tb.Helper()
	r := s.Run(args...)
	if r.Code != 0 {
		s.tb.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), r.Code, r.Output)
	}
	return r.Output
}

// PowerOff shuts the system down in good order, and waits until it is off.
func (s *System) PowerOff() {
	s.tb.Helper()
	s.Run("systemctl", "poweroff", "--no-block")
	testnet.Until(s.tb, "the system is off", s.off)
}

func (s *System) off() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}
