package cli

import (
	"github.com/spf13/cobra"
)

func newAddconf() *cobra.Command {
	return newConfCommand(&cobra.Command{
		Use:     "addconf INTERFACE FILE",
		Short:   "Add the configuration in a file to an interface's",
		Long:    `Set what a file gives, and add its peers to those that are there.`,
		Example: `  vpn addconf wg0 more-peers.conf`,
	}, apply)
}
