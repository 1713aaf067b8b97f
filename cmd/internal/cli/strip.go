package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/conf"
)

func newStrip() *cobra.Command {
	return &cobra.Command{
		Use:   "strip NAME|FILE",
		Short: "Print what of a file is wg's",
		Long: `Print a file without the settings that only wg-quick and "vpn up" know: what is
left, keys and all, is for "setconf" and "syncconf", and for those of wg. "-" is
standard input.`,
		Example:           `  vpn syncconf wg0 <(vpn strip wg0)`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := configfile.Find(args[0])
			if err != nil {
				return err
			}
			text, warnings, err := f.Read()
			defer clear(text)
			if err != nil {
				return err
			}
			stripped, more, err := conf.Strip(f.String(), text)
			defer clear(stripped)
			for _, w := range append(warnings, more...) {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(stripped)
			return err
		},
	}
}
