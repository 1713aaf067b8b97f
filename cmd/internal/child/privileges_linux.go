package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// nobody is the user that has no rights on any system.
	nobody = 65534
	// ownUser is the user that is there for engines alone, where it is.
	ownUser = "vpn"
	// lastSystem is the last number that a service's user has; a person's come after.
	lastSystem = 999
)

// startUnprivileged starts the engine as a user without rights, whom nothing that
// it starts can leave. Where we are not allowed to be another, or that one is not
// allowed to run this program, it stays root, but without any capability. The
// calling thread is to be used for nothing else after.
func startUnprivileged(c *Config, end *os.File) (*exec.Cmd, error) {
	cmd := command(c, end)
	if err := giveUpNew(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		if err := dropCapabilities(); err != nil {
			return nil, err
		}
		return cmd, cmd.Start()
	}
	cmd.SysProcAttr.Credential = engineUser()
	err := cmd.Start()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES) {
		c.Log.Debug("the engine has no user of its own: it is root without capabilities", "error", err)
		cmd = command(c, end)
		if err = dropCapabilities(); err == nil {
			err = cmd.Start()
		}
	}
	return cmd, err
}

// engineUser is the engine's own user, else nobody.
func engineUser() *syscall.Credential {
	none := &syscall.Credential{Uid: nobody, Gid: nobody}
	u, err := user.Lookup(ownUser)
	if err != nil {
		return none
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil || uid == 0 || uid > lastSystem {
		return none // a person may be called so
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil || gid == 0 {
		return none
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// giveUpNew has neither the calling thread nor what it starts get privileges that
// it has not, and no capability outlives a change of user. The bounding set goes
// as far as it may be taken away: without new privileges nobody can draw on it.
func giveUpNew() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	// EINVAL: the kernel has no ambient capabilities.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return fmt.Errorf("give up ambient capabilities: %w", err)
	}
	for capability := uintptr(0); ; capability++ {
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err {
		case nil:
		case unix.EINVAL, unix.EPERM: // past the last one, or not allowed
			return nil
		default:
			return fmt.Errorf("give up capability %d: %w", capability, err)
		}
	}
}

// dropCapabilities takes all capabilities from the calling thread, and from the
// processes that it starts: without new privileges, root has none given back
// when it starts a program.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}
