package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// envStatusFD is the number of the pipe by which a daemon tells the process
// that started it how that went: statusReady, or the text of its error.
const (
	envStatusFD = "VPN_STATUS_FD"
	statusReady = "ready\n"
)

// errTold is an error of which everything has been said.
var errTold = errors.New("told already")

// inheritedFile returns the descriptor whose number a variable holds, nil if it
// is not set. The variable is taken away: the number means nothing to others.
func inheritedFile(variable string) (*os.File, error) {
	value := os.Getenv(variable)
	if value == "" {
		return nil, nil
	}
	os.Unsetenv(variable)
	return descriptor(variable, value)
}

// inheritedFiles is inheritedFile for a variable that may hold several numbers, with commas between them.
func inheritedFiles(variable string) (files []*os.File, err error) {
	value := os.Getenv(variable)
	if value == "" {
		return nil, nil
	}
	os.Unsetenv(variable)
	for number := range strings.SplitSeq(value, ",") {
		f, err := descriptor(variable, number)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// descriptor returns the file of a number that a variable holds.
func descriptor(variable, number string) (*os.File, error) {
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s is not the number of a descriptor: %q", variable, number)
	}
	closeOnExec(uintptr(fd)) // it was meant for this process
	f := os.NewFile(uintptr(fd), variable)
	if _, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("%s: descriptor %d can't be used: %w", variable, fd, err)
	}
	return f, nil
}

// A statusPipe leads to the process that waits for this daemon. Nil is one that
// nobody waits at.
type statusPipe struct{ f *os.File }

func inheritStatus() (*statusPipe, error) {
	f, err := inheritedFile(envStatusFD)
	if f == nil || err != nil {
		return nil, err
	}
	return &statusPipe{f}, nil
}

// ready tells that requests are answered.
func (s *statusPipe) ready() { s.tell([]byte(statusReady)) }

// failed tells an error of the start. It returns what is left to say of it.
func (s *statusPipe) failed(err error) error {
	if s == nil || s.f == nil || err == nil {
		return err
	}
	var b bytes.Buffer
	printError(err, &b)
	s.tell(b.Bytes())
	return errTold
}

// tell ends the pipe. If nobody waits any more the write fails, and there is
// nobody to tell that.
func (s *statusPipe) tell(text []byte) {
	if s == nil || s.f == nil {
		return
	}
	_, _ = s.f.Write(text)
	s.f.Close()
	s.f = nil
}
