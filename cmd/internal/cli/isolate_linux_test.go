package cli

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const envIsolated = "VPN_TEST_ISOLATED"

// isolate runs the tests once more, if this is root, where they can harm nobody
// and nobody can disturb them: with links, processes and a /run of their own.
// All of it goes with the process.
func isolate() {
	if os.Geteuid() != 0 {
		return
	}
	if os.Getenv(envIsolated) != "" {
		must("furnish the namespaces", furnish())
		return
	}
	setup := exec.Command("../../../scripts/setup") // while there is a network
	setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
	must("scripts/setup", setup.Run())

	self, err := os.Executable()
	must("find this program", err)
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Programs that were built with the race detector would sleep for a second
	// before they end.
	cmd.Env = append(os.Environ(), envIsolated+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	err = cmd.Run()
	if _, ended := err.(*exec.ExitError); !ended {
		must("run the tests in namespaces", err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// furnish gives the namespaces what programs expect.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	for path, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/run": "tmpfs", "/var/lib": "tmpfs"} {
		if err := unix.Mount(kind, path, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	if err := os.Mkdir("/run/wireguard", 0o755); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// isolated reports whether a test may use interfaces, and says so if not.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envIsolated) == "" {
		t.Log("needs root, for interfaces of its own: nothing was tested")
		return false
	}
	return true
}
