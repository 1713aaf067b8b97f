//go:build linux

package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long the package waits for what should come at once. It is
// long because machines are slow at times; no test measures it.
const Patience = 30 * time.Second

// Process is a program that runs in a host's namespace. Its output is kept, and
// logged when the test fails.
type Process struct {
	cmd    *exec.Cmd
	host   *Host
	name   string
	ended  chan struct{}
	output output
}

// output collects what a process prints; it wakes those who wait for more.
type output struct {
	mu   sync.Mutex // guards text and more
	text bytes.Buffer
	more chan struct{} // closed and replaced at each write
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) read() (text string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}

// raceReport begins what the race detector prints.
const raceReport = "WARNING: DATA RACE"

// Start runs a program in the host's namespace until the test's end, when it
// gets SIGTERM and has to obey. A data race that it reports fails the test.
func (h *Host) Start(env []string, program string, args ...string) *Process {
	h.tb.Helper()
	p := &Process{host: h, name: program, ended: make(chan struct{})}
	p.output.more = make(chan struct{})
	started := make(chan error)
	go func() {
		// The process lives no longer than the thread that started it: this one
		// waits for it, and ends with the goroutine.
		runtime.LockOSThread()
		err := h.enter()
		if err == nil && h.files == nil {
			err = ownState()
		}
		if err == nil {
			p.cmd = exec.Command(program, args...) // found where the host sees it
			p.cmd.Env = append(os.Environ(), env...)
			p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
			if h.more == nil { // those beside systemd end with it, and can't see who started them
				p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
			}
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the state is in cmd.ProcessState
			close(p.ended)
		}
	}()
	h.check(<-started, "start %s", program)
	h.tb.Cleanup(func() {
		p.stop()
		if strings.Contains(p.Output(), raceReport) {
			h.tb.Errorf("%s: %s has a data race", h.Name, program)
		}
		if h.tb.Failed() {
			h.tb.Logf("%s: %s %s printed:\n%s", h.Name, program, strings.Join(args, " "), p.Output())
		}
	})
	return p
}

// stop ends the process and reports one that has to be killed.
func (p *Process) stop() {
	p.Signal(unix.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.host.tb.Errorf("%s: %s does not end on SIGTERM: killed with SIGQUIT", p.host.Name, p.name)
		p.Signal(unix.SIGQUIT)
		<-p.ended
	}
}

// Signal sends a signal; a process that is gone already doesn't matter.
func (p *Process) Signal(s syscall.Signal) {
	p.host.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.host.check(err, "signal %s", p.name)
	}
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running says whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// WaitEnd waits until the process has ended by itself and returns its exit
// code, -1 if a signal ended it.
func (p *Process) WaitEnd() int {
	p.host.tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.host.tb.Fatalf("%s: %s goes on", p.host.Name, p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Run runs a program to its end and returns what it printed and its exit code.
func (h *Host) Run(program string, args ...string) (text string, code int) {
	h.tb.Helper()
	p := h.Start(nil, program, args...)
	code = p.WaitEnd()
	return p.Output(), code
}

// MustRun runs a program, which has to end well, and returns what it printed.
func (h *Host) MustRun(program string, args ...string) string {
	h.tb.Helper()
	text, code := h.Run(program, args...)
	if code != 0 {
		h.tb.Fatalf("%s: %s %s ended with %d:\n%s", h.Name, program, strings.Join(args, " "), code, text)
	}
	return text
}

// Output returns what the process has printed so far.
func (p *Process) Output() string {
	text, _ := p.output.read()
	return text
}

// WaitOutput waits until the process has printed text.
func (p *Process) WaitOutput(text string) {
	p.host.tb.Helper()
	p.WaitPrinted(fmt.Sprintf("%q", text), func(got string) bool { return strings.Contains(got, text) })
}

// WaitPrinted waits until the process has printed what holds wants, and looks as soon
// as it has printed more.
func (p *Process) WaitPrinted(what string, holds func(text string) bool) {
	p.host.tb.Helper()
	timeout := time.After(Patience)
	for {
		got, more := p.output.read()
		if holds(got) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if got, _ := p.output.read(); !holds(got) {
				p.host.tb.Fatalf("%s: %s ended without printing %s", p.host.Name, p.name, what)
			}
			return
		case <-timeout:
			p.host.tb.Fatalf("%s: %s does not print %s", p.host.Name, p.name, what)
		}
	}
}

// Until waits until holds returns true: for states that nothing announces.
func Until(tb TB, what string, holds func() bool) {
	tb.Helper()
	timeout := time.After(Patience)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-timeout:
			tb.Fatalf("waited for %v until %s", Patience, what)
		}
	}
}
