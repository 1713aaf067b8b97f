package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/top"
)

// minInterval is the shortest time between two looks of `vpn top`: a rate over less says little.
const minInterval = 100 * time.Millisecond

func newTop() *cobra.Command {
	interval := time.Second
	cmd := &cobra.Command{
		Use:   "top [INTERFACE...] [--interval 1s]",
		Short: "Watch interfaces and their peers, live in the terminal",
		Long: `Watch all interfaces, or those that are named: traffic of each peer now and
plotted over the last minutes, how old its session is, and below what "vpn
status" says of the peer that is selected.

The bar of a session empties until the session is replaced, and is full again
then. Where the other side is to replace it, it empties toward the session's
end, which it does not reach as long as there is traffic.

Keys:
  up, down, page up, page down, home, end    select a peer (or j, k, g, G)
  s, S           sort by the next or previous column (or right, left)
  r              reverse the order
  /              filter: by name, key, address, interface, state; escape ends it
  space          pause, and go on
  enter          show or hide the details of the selected peer
  q              quit

NO_COLOR is honoured, and where the locale is not one of UTF-8 all is drawn in
ASCII.`,
		Example: `  vpn top
  vpn top wg0 --interval 2s`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := gather.Names() // what can't be listed is not offered
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", interval, "`TIME` between two looks")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if interval < minInterval {
			return hint(fmt.Errorf("--interval %v: less than %v", interval, minInterval), "give it as in \"--interval 2s\"")
		}
		in, isIn := cmd.InOrStdin().(*os.File)
		out, isOut := cmd.OutOrStdout().(*os.File)
		if !isIn || !isOut {
			return noTerminal(top.ErrNoTerminal)
		}
		if os.Getenv("TERM") == "dumb" {
			return noTerminal(errors.New("a terminal that is \"dumb\" has no screen to draw on"))
		}
		err := top.Run(context.Background(), top.Options{
			Names: names, Interval: interval, In: in, Out: out,
			Look: top.Look{Colour: os.Getenv("NO_COLOR") == "", Unicode: speaksUnicode()},
		})
		if errors.Is(err, top.ErrNoTerminal) {
			return noTerminal(err)
		}
		if errors.Is(err, gather.ErrNone) {
			return hint(err, "\"vpn status\" lists those that are there")
		}
		return forRoot(err)
	}
	return cmd
}

func noTerminal(err error) error {
	return hint(err, "\"vpn status\" prints the same once, \"vpn status --json\" for programs")
}
