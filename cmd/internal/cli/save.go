package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/save"
)

func newSave() *cobra.Command {
	return &cobra.Command{
		Use:   "save NAME|FILE",
		Short: "Write to a file what its interface has by now",
		Long: `Bring a file up to what its interface has by now: keys, peers, port and mark,
and the link's addresses; the MTU if the file gives one. Comments, order and
directives stay, and so does the name of an endpoint's host, unless the peer is
at none of its addresses any more. Keys that the file takes from other files are
not copied into it.

With "SaveConfig = true" in the file "vpn down" does this by itself. A full disk
or a power cut leaves the old file, whole.`,
		Example:           `  vpn save wg0`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := configfile.Find(args[0])
			if err != nil {
				return err
			}
			if f.Path == "" {
				return usage(cmd, "standard input can't be written to")
			}
			// That the interface isn't there is told with a hint.
			c, err := dial(f.Name)
			if err != nil {
				return err
			}
			return errors.Join(c.Close(), save.Save(cmd.Context(), f.Path, f.Name))
		},
	}
}
