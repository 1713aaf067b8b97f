//go:build unix

package top

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// notify has signals sent: resize when the terminal has another size, stop when the process is to stop for a while, resume when it goes on
// after that, end when it is to end.
func notify(resize, stop, resume, end chan<- os.Signal) (cancel func()) {
	signal.Notify(resize, syscall.SIGWINCH)
	signal.Notify(stop, syscall.SIGTSTP)
	signal.Notify(resume, syscall.SIGCONT)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	return func() {
		for _, c := range []chan<- os.Signal{resize, stop, resume, end} {
			signal.Stop(c)
		}
	}
}

// suspend stops the process and those of its job, as the terminal does by itself where nobody takes its keys, and returns when the shell has
// them go on. In a job without a shell it does nothing. The signal is one that nobody has asked for: Go's runtime never gives SIGTSTP back
// what the kernel does with it.
func suspend(resume <-chan os.Signal) {
	select {
	case <-resume: // of an earlier stop
	default:
	}
	if syscall.Kill(0, syscall.SIGTTOU) != nil {
		return
	}
	select {
	case <-resume:
	case <-time.After(100 * time.Millisecond): // the kernel stops no job that nobody could have go on
	}
}
