package cli

import (
	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
)

func newKillswitch() *cobra.Command {
	return &cobra.Command{
		Use:   "killswitch NAME|FILE",
		Short: "Load the kill switch of a file, before there is a network",
		Long: `Load the firewall table that "KillSwitch = on" stands for, and do nothing else:
from then on nothing leaves this host but through the link, which need not be up
yet. vpn-killswitch@.service does this early in a boot. "vpn down" lifts it.
There can be one at a time, since each would cut the other's tunnel: a second is
refused, with exit code 78.`,
		Example:           `  vpn killswitch wg0`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := linkFile(cmd, args[0])
			if err != nil {
				return err
			}
			return keeper.KillSwitch(cmd.Context(), f, console(cmd.ErrOrStderr()))
		},
	}
}
