package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"vpn/conf"
)

// Message is one line of what a keeper says while it works, to whoever asked for
// it. Of the fields one is set.
type Message struct {
	Step    string  `json:"step,omitempty"`    // is being done: the command a person would have typed
	Output  string  `json:"output,omitempty"`  // a line of a hook's
	Warning string  `json:"warning,omitempty"` // for the user
	Note    string  `json:"note,omitempty"`    // what else is worth a line
	Result  *Result `json:"result,omitempty"`  // the last message
}

// Result is how a request ended.
type Result struct {
	Changed bool     `json:"changed,omitempty"` // of a reload
	Silent  []string `json:"silent,omitempty"`  // of a wait: peers that have not shaken hands, and why
	Failed  *Failed  `json:"failed,omitempty"`
}

// Show is told what is being done. It may be called from any goroutine, and does
// not wait for long.
type Show func(Message)

// Logged is a Show that writes to a log.
func Logged(log *slog.Logger) Show {
	return func(m Message) {
		switch {
		case m.Step != "":
			log.Info("[#] " + m.Step)
		case m.Output != "":
			log.Info(m.Output)
		case m.Warning != "":
			log.Warn(m.Warning)
		case m.Note != "":
			log.Info(m.Note)
		}
	}
}

// Failed is an error that crosses a process's border: each of the errors that it
// joins with its hint, and the exit code.
type Failed struct {
	Causes []Cause `json:"causes"`
	Code   int     `json:"code"`
}

// Cause is one error, and what helps.
type Cause struct {
	Text   string `json:"text"`
	Advice string `json:"hint,omitempty"`
}

func (c Cause) Error() string { return c.Text }

// Hint is what to do about it; it may be empty.
func (c Cause) Hint() string { return c.Advice }

func (f *Failed) Error() string { return errors.Join(f.Unwrap()...).Error() }

// Unwrap returns the causes.
func (f *Failed) Unwrap() []error {
	causes := make([]error, len(f.Causes))
	for i, c := range f.Causes {
		causes[i] = c
	}
	return causes
}

// ExitCode is what the process that tells it should end with.
func (f *Failed) ExitCode() int { return f.Code }

// Failure makes a Failed of an error, nil of nil.
func Failure(err error) *Failed {
	if err == nil {
		return nil
	}
	var f *Failed
	if errors.As(err, &f) {
		return f
	}
	f = &Failed{Code: ExitCode(err)}
	f.add(err)
	return f
}

func (f *Failed) add(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			f.add(e)
		}
		return
	}
	cause := Cause{Text: err.Error()}
	var h interface{ Hint() string }
	var c *conf.Error
	switch {
	case errors.As(err, &h):
		cause.Advice = h.Hint()
	case errors.As(err, &c):
		cause.Advice = c.Hint
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		cause.Advice = "run it as root"
	}
	f.Causes = append(f.Causes, cause)
}

// CodeConfig is the exit code for a configuration that cannot be right, so that
// starting again is of no use (EX_CONFIG of sysexits.h).
const CodeConfig = 78

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (c *coded) Unwrap() error { return c.error }

// WithCode gives an error an exit code.
func WithCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

// ExitCode is what a process should end with that fails with err, not nil.
func ExitCode(err error) int {
	var f *Failed
	var c *coded
	switch {
	case errors.As(err, &f):
		return f.Code
	case errors.As(err, &c):
		return c.code
	}
	return 1
}

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func (h *hinted) Hint() string { return h.hint }

func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}
