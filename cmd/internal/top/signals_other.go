//go:build !unix

package top

import (
	"os"
	"os/signal"
)

// notify has the signals sent that there are: that the terminal has another size is seen when something is drawn.
func notify(_, _, _, end chan<- os.Signal) (cancel func()) {
	signal.Notify(end, os.Interrupt)
	return func() { signal.Stop(end) }
}

// suspend does nothing: this system stops no processes.
func suspend(<-chan os.Signal) {}
