package lookup

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// control returns what a Dialer does with a socket before it connects: mark it.
func (r *Resolver) control() func(network, address string, conn syscall.RawConn) error {
	mark := r.mark.Load()
	if mark == 0 {
		return nil
	}
	return func(_, _ string, conn syscall.RawConn) (err error) {
		if e := conn.Control(func(fd uintptr) {
			err = os.NewSyscallError("set the mark", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
		}); e != nil {
			return e
		}
		return err
	}
}
