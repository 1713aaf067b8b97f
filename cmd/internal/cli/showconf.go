package cli

import (
	"bytes"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/show"
)

func newShowconf() *cobra.Command {
	return &cobra.Command{
		Use:   "showconf INTERFACE",
		Short: "Print an interface's configuration as a file",
		Long: `Print the configuration of an interface, keys and all, as a file that "setconf"
takes.`,
		Example: `  umask 077
  vpn showconf wg0 > wg0.conf`,
		Args:              exactly(1),
		ValidArgsFunction: completeAt(completeInterfaces),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := get(args[0])
			if err != nil {
				return err
			}
			defer i.Erase()
			var b bytes.Buffer
			show.Conf(&b, i)
			return flush(cmd, &b)
		},
	}
}
