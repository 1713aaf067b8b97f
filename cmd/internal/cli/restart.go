package cli

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
)

func newRestart() *cobra.Command {
	return &cobra.Command{
		Use:   "restart NAME|FILE",
		Short: "Have a link run by the program as it is installed now",
		Long: `Start the program anew, in the process that keeps the link: after an upgrade, or
when something is odd. Link, addresses, routes and port stay as they are, and
peers shake hands anew.`,
		Example:           `  vpn restart wg0`,
		Args:              exactly(1),
		ValidArgsFunction: completeLink,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			f, err := linkFile(cmd, args[0])
			if err != nil {
				return err
			}
			if err := keeper.Within(f.Name, "restart"); err != nil {
				return err
			}
			c, err := dialKeeper(f.Name)
			if err != nil {
				return err
			}
			return c.Restart(ctx, console(cmd.ErrOrStderr()))
		},
	}
}
