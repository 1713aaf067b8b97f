//go:build !windows

package conf

import "syscall"

// modesMatter is true where a file's mode says who may use it.
const modesMatter = true

// dontWait opens a named pipe that nobody writes to, instead of waiting for
// somebody who does.
const dontWait = syscall.O_NONBLOCK
