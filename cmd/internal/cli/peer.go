package cli

import (
	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
)

func newPeer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "Add, list and remove the peers of a config file",
		Long: `Edit the peers in a config file. All else in the file stays as it is written,
and if its interface is up, the change is made there too.`,
		Example: `  vpn peer add wg0 laptop --full-tunnel
  vpn peer list wg0
  vpn peer remove wg0 laptop`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPeerAdd(), newPeerList(), newPeerRemove())
	return cmd
}

// completePeerNames lists the names of a file's peers, for a shell.
func completePeerNames(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return completeConfig(cmd, args, word)
	case 1:
		return peerNames(args[0]), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func peerNames(arg string) (names []string) {
	c := configfile.Peek(arg)
	if c == nil {
		return nil
	}
	for i := range c.Peers {
		if p := &c.Peers[i]; p.Name.Given {
			names = append(names, p.Name.Value)
		}
	}
	return names
}
