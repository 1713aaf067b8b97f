package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/keeper"
)

func newReload() *cobra.Command {
	var r keeper.ReloadRequest
	var keep bool
	cmd := &cobra.Command{
		Use:   "reload NAME|FILE [--dry-run] [--force] [--confirm 30s | --keep]",
		Short: "Bring a change of its file into force on a link that is up",
		Long: `Hold the file against the live state, and change only what differs: peers,
keys, addresses, routes, DNS, MTU, mark, firewall. Sessions of peers that stay
live on.
Peers that "wg set" has added go, and are named. A file with an error changes
nothing. PreUp and PostUp hooks are not run; those for the end are taken from
the file as it is now.

With SaveConfig, what was changed since the link came up would be lost; that
takes --force.

With --confirm, everything goes back to what it was before after that time,
unless "vpn reload --keep NAME" confirms it: for changes to a link that you
depend on.`,
		Example: `  vpn reload wg0
  vpn reload wg0 --dry-run
  vpn reload wg0 --confirm 30s && vpn reload wg0 --keep`,
		Args:              exactly(1),
		ValidArgsFunction: completeLink,
	}
	cmd.Flags().BoolVarP(&r.DryRun, "dry-run", "n", false, "print what would change, and change nothing")
	cmd.Flags().BoolVar(&r.Force, "force", false, "go on with SaveConfig, and if the kill switch would cut an SSH session")
	cmd.Flags().DurationVar(&r.Confirm, "confirm", 0, "go back after this `TIME`, such as 30s, unless it is confirmed")
	cmd.Flags().BoolVar(&keep, "keep", false, "confirm a reload that was made with --confirm")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if r.Confirm < 0 {
			return usage(cmd, "--confirm %v is no time to wait", r.Confirm)
		}
		if keep && cmd.Flags().NFlag() > 1 {
			return usage(cmd, "--keep confirms what was reloaded before, and goes with no other option")
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		f, err := linkFile(cmd, args[0])
		if err != nil {
			return err
		}
		if err := keeper.Within(f.Name, "reload"); err != nil {
			return err
		}
		c, err := dialKeeper(f.Name)
		if err != nil {
			return err
		}
		if keep {
			return c.Keep(ctx)
		}
		if err := sameSource(ctx, c, f, args[0]); err != nil {
			return err
		}
		show := console(cmd.ErrOrStderr())
		changed, err := c.Reload(ctx, r, show)
		if err != nil {
			return err
		}
		switch {
		case r.DryRun && !changed:
			show(keeper.Message{Note: "nothing would change"})
		case !changed:
			show(keeper.Message{Note: "nothing has changed"})
		}
		if r.Confirm > 0 && changed && !r.DryRun {
			show(keeper.Message{Note: fmt.Sprintf("taken back at %s unless \"vpn reload --keep %s\" confirms it",
				time.Now().Add(r.Confirm).Format(time.TimeOnly), f.Name)})
		}
		return nil
	}
	return cmd
}

// linkFile is the file of a link that an argument names. Standard input names none.
func linkFile(cmd *cobra.Command, arg string) (configfile.File, error) {
	f, err := configfile.Find(arg)
	if err == nil && f.Name == "" {
		err = usage(cmd, "standard input is not the name of a link")
	}
	return f, err
}

// dialKeeper connects to the keeper of a link.
func dialKeeper(name string) (*keeper.Client, error) {
	c, err := keeper.Dial(name)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, hint(fmt.Errorf("%s is not up", name), "\"vpn up %s\" brings it up", name)
	}
	return nil, err
}

// sameSource refuses a file that is another than the one that the link came from.
func sameSource(ctx context.Context, c *keeper.Client, f configfile.File, arg string) error {
	if arg == f.Name {
		return nil // whatever its file is
	}
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	o := upOptions{}
	s, err := o.source(arg)
	if err != nil {
		return err
	}
	if state.File != s.Path {
		return hint(fmt.Errorf("%s is up from %s, not from %s", f.Name, state.File, s.Path), "\"vpn down %s\" first", f.Name)
	}
	return nil
}
