package cli

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
)

func newApply() *cobra.Command {
	var o upOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply NAME|FILE|- [--dry-run] [--wait [--timeout 30s]] [--name NAME] [--force]",
		Short: "Make a link what its file says: up, reload, or nothing",
		Long: `Bring the link up if it isn't, or else change what differs from the file, as
"vpn reload" does. It can be done again and again, and prints one word to
standard output: "changed" or "unchanged".`,
		Example: `  vpn apply wg0
  vpn apply wg0 --dry-run
  generate-config | vpn apply - --name wg0`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
	}
	o.flags(cmd)
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would change, and change nothing")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "return when all peers with an endpoint have shaken hands, or --timeout is over")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long --wait waits, as a `TIME` such as 30s or 2m; 0 is for ever")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if err := o.check(cmd); err != nil {
			return err
		}
		if args[0] == "-" && o.name == "" {
			return usage(cmd, "standard input needs --name: to be done again it has to be the same link")
		}
		s, err := o.source(args[0])
		if err != nil {
			return err
		}
		defer clear(s.text)
		changed, err := o.applyTo(ctx, s, args[0], dryRun, console(cmd.ErrOrStderr()))
		if err == nil && o.wait && !dryRun {
			err = o.await(ctx, s.Name)
		}
		if err != nil {
			return err
		}
		word := "unchanged"
		if changed {
			word = "changed"
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), word)
		return err
	}
	return cmd
}

func (o *upOptions) applyTo(ctx context.Context, s source, arg string, dryRun bool, show keeper.Show) (changed bool, err error) {
	if err := keeper.Within(s.Name, "apply"); err != nil {
		return false, err
	}
	c, err := keeper.Dial(s.Name)
	switch {
	case err != nil && dryRun: // there is none
		return true, keeper.Preview(ctx, s.File, s.text, o.force, show)
	case err != nil:
		if err := o.bring(ctx, s, show); err != nil || s.text != nil {
			return true, err
		}
		if c, err = keeper.Dial(s.Name); err != nil {
			return true, err
		}
		state, err := c.State(ctx)
		if err == nil && state.Adopted { // with what was in force before
			_, err = c.Reload(ctx, keeper.ReloadRequest{Force: o.force}, show)
		}
		return true, err
	}
	if s.text == nil {
		if err := sameSource(ctx, c, s.File, arg); err != nil {
			return false, err
		}
	}
	return c.Reload(ctx, keeper.ReloadRequest{DryRun: dryRun, Force: o.force, Text: s.text}, show)
}
