package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
)

func newDown() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down NAME|FILE | --all",
		Short: "Take a link down, and undo all that was done for it",
		Long: `Undo what bringing the link up did, as it was done then, whatever the file says
today: addresses, routes, rules, DNS, firewall, and the link itself. It works
when the file, the link or the keeper is gone. If a PreDown hook fails, the link
stays up; if a PostDown hook fails, it is down all the same.`,
		Example: `  vpn down wg0
  vpn down --all`,
		ValidArgsFunction: completeLink,
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "take down all links that vpn has brought up")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		show := console(cmd.ErrOrStderr())
		if !all {
			if err := exactly(1)(cmd, args); err != nil {
				return err
			}
			f, err := linkFile(cmd, args[0])
			if err != nil {
				return err
			}
			return down(ctx, f.Name, show)
		}
		if len(args) > 0 {
			return usage(cmd, "--all takes no names")
		}
		names, err := keeper.Links()
		if err != nil {
			return err
		}
		var errs []error
		for _, name := range names {
			err := down(ctx, name, show)
			if errors.Is(err, keeper.ErrNotUp) {
				continue // it went by itself, or only its lock was left
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return cmd
}

// downPatience is how long another process may be at work on a link without
// answering.
const downPatience = 10 * time.Second

// down takes a link down, by its keeper if there is one, and returns when that is
// gone too.
func down(ctx context.Context, name string, show keeper.Show) error {
	if err := keeper.Within(name, "down", "PreDown", "PostDown"); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	const between = 10 * time.Millisecond
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		err := askDown(ctx, name, show)
		if ctx.Err() != nil {
			return downInterrupted(name)
		}
		if err != nil && (keeper.Ended(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)) {
			if err = stopUnit(ctx, name); err == nil {
				err = keeper.Clean(ctx, name, show)
			}
		}
		var held *keeper.HeldError
		if !errors.As(err, &held) {
			return explainNotUp(name, err)
		}
		select { // one that starts answers in a moment
		case <-tick.C:
		case <-wait.Done():
			return err
		}
	}
}

// downInterrupted says what becomes of a link whose end nobody waits for any more.
func downInterrupted(name string) error {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.New("interrupted")
	if c, dead := keeper.Dial(name); dead == nil {
		if s, silent := c.State(ctx); silent == nil && s.Phase == keeper.Running {
			return fmt.Errorf("%w: %s stays up", err, name)
		}
	}
	return hint(fmt.Errorf("%w: %s goes down all the same", err, name), "\"vpn down %s\" waits for it", name)
}

// askDown has the keeper take its link down.
func askDown(ctx context.Context, name string, show keeper.Show) error {
	c, err := keeper.Dial(name)
	if err != nil {
		return err
	}
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	down := c.Down(ctx, show)
	if down != nil {
		if s, err := c.State(ctx); err == nil && s.Phase == keeper.Running {
			return down // a hook has refused
		}
	}
	return cmp.Or(down, keeper.AwaitEnd(ctx, name, state.PID))
}

// explainNotUp says what else a link may be that no keeper knows.
func explainNotUp(name string, err error) error {
	if !errors.Is(err, keeper.ErrNotUp) {
		return err
	}
	switch linkKind(name) {
	case kernelLink:
		return hint(fmt.Errorf("%w, but there is a link of the kernel's WireGuard of that name", err), "if wg-quick made it: wg-quick down %s", name)
	case otherLink:
		return hint(fmt.Errorf("%w, but there is a link of that name, which \"vpn up\" has not made", err), "ip link delete %s", name)
	}
	return hint(err, "\"vpn up %s\" brings it up", name)
}
