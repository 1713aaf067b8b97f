package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vpn/tun"
	"vpn/tunnel/uapi"
)

// envHanded tells a program which of its descriptors the one before it has left.
const envHanded = "VPN_KEEPER_HANDED"

// Handed is what one program leaves to the next in the same process: the lock, the
// link, and the sockets.
type Handed struct {
	Control  *net.UnixListener
	Device   []*os.File
	Listener *os.File
	Sockets  []*os.File
	Mark     uint32 // that the sockets have
	locked   *os.File
}

// handedFDs is Handed as numbers of descriptors.
type handedFDs struct {
	Lock     int    `json:"lock"`
	Control  int    `json:"control"`
	Listener int    `json:"listener"`
	Device   []int  `json:"device"`
	Sockets  []int  `json:"sockets"`
	Mark     uint32 `json:"mark"`
}

// handleRestart is `vpn restart`. Where it works, there is no answer: the
// connection ends with the program.
func (k *Keeper) handleRestart(ctx context.Context, _ []byte, _ Show) (*Result, error) {
	return nil, k.do(ctx, func(context.Context) error { return k.restart() })
}

// restart puts the program that lies in this one's place now into its process. The
// link, with all that lies on it, the port and the lock stay; the engine does not.
// It returns only if that fails: then all is as before, with a new engine.
func (k *Keeper) restart() error {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if out, err := exec.Command(self, "version").CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not run: %w: %s", self, err, out)
	}
	if k.pending != nil {
		return hint(errors.New("a reload waits to be confirmed"), "\"vpn reload --keep %s\" confirms it", k.name)
	}
	if k.engine != nil { // else it is kept what the last one had
		if err := k.keepEngine(k.hash); err != nil {
			return fmt.Errorf("%w: %s runs on as it is", err, k.name)
		}
	}
	k.log.Info("starting anew in place", "program", self)
	k.stopEngine()
	err = k.exec(self)
	k.retry = time.After(0)
	return fmt.Errorf("start %s in place of this program: %w", self, err)
}

func (k *Keeper) exec(self string) (err error) {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	inheritable := func(c syscall.Conn) int {
		raw, e := c.SyscallConn()
		if e != nil {
			err = errors.Join(err, e)
			return -1
		}
		copied := -1
		e = raw.Control(func(fd uintptr) {
			var e error
			if copied, e = unix.FcntlInt(fd, unix.F_DUPFD, 3); e != nil {
				err = errors.Join(err, e)
				return
			}
			fds = append(fds, copied)
		})
		err = errors.Join(err, e)
		return copied
	}
	port, mark := k.ports.Current()
	h := handedFDs{
		Lock:     inheritable(k.lock.f),
		Control:  inheritable(k.control),
		Listener: inheritable(k.listener.UnixListener),
		Mark:     mark,
	}
	for _, f := range k.device.Files() {
		h.Device = append(h.Device, inheritable(f))
	}
	if port != 0 {
		sockets, _, e := k.ports.Open(port, mark)
		err = errors.Join(err, e)
		for _, f := range sockets {
			defer f.Close()
			h.Sockets = append(h.Sockets, inheritable(f))
		}
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, envHanded+"=") {
			env = append(env, e)
		}
	}
	return unix.Exec(self, os.Args, append(env, envHanded+"="+string(text)))
}

// Inherit returns what the program before this one has left, nil if there was
// none.
func Inherit() (*Handed, error) {
	text := os.Getenv(envHanded)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(envHanded)
	var fds handedFDs
	if err := json.Unmarshal([]byte(text), &fds); err != nil {
		return nil, fmt.Errorf("%s: %w", envHanded, err)
	}
	file := func(fd int) *os.File {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true) // as it was: a bad number is told below
		return os.NewFile(uintptr(fd), "handed on")
	}
	h := &Handed{locked: file(fds.Lock), Listener: file(fds.Listener), Mark: fds.Mark}
	for _, fd := range fds.Device {
		h.Device = append(h.Device, file(fd))
	}
	for _, fd := range fds.Sockets {
		h.Sockets = append(h.Sockets, file(fd))
	}
	control := file(fds.Control)
	defer control.Close()
	l, err := net.FileListener(control)
	if err != nil {
		return nil, fmt.Errorf("%s: the control socket: %w", envHanded, err)
	}
	var is bool
	if h.Control, is = l.(*net.UnixListener); !is {
		return nil, fmt.Errorf("%s: the control socket is none", envHanded)
	}
	h.Control.SetUnlinkOnClose(false)
	return h, nil
}

func (h *Handed) lock(name string) *Lock { return &Lock{name, h.locked} }

// takeHanded makes of what was handed on what create would make.
func (k *Keeper) takeHanded(h *Handed) error {
	device, err := tun.FromFile(h.Device[0], 0, h.Device[1:]...)
	if err != nil {
		return err
	}
	h.Device = nil
	k.device = device.(tun.Native)
	k.listener, err = uapi.Default.ListenerFromFile(k.name, h.Listener)
	if err != nil {
		return err
	}
	h.Listener.Close()
	k.listener.SetUnlinkOnClose(true)
	return nil
}
