package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/save"
)

// fileOf is the file that a link came up from, which may lie elsewhere than those that
// are found by a name.
func fileOf(ctx context.Context, f configfile.File) configfile.File {
	c, err := keeper.Dial(f.Name)
	if err != nil {
		return f // nobody keeps it
	}
	if s, err := c.State(ctx); err == nil && filepath.IsAbs(s.File) {
		f.Path = s.File
	}
	return f
}

func newSave() *cobra.Command {
	var kept bool
	cmd := &cobra.Command{
		Use:   "save NAME|FILE",
		Short: "Write to a file what its interface has by now",
		Long: `Bring a file up to what its interface has by now: keys, peers, port and mark,
and the link's addresses; the MTU if the file gives one. Comments, order and
directives stay, and so does the name of an endpoint's host, unless the peer is
at none of its addresses any more. Keys that the file takes from other files are
not copied into it.

The file of a NAME that is up is the one that it came from. With
"SaveConfig = true" in it "vpn down" does this by itself. A full disk or a power
cut leaves the old file, whole. Of a link whose processes were killed it writes
what is kept of them for those that "vpn up" starts next.`,
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
			if args[0] == f.Name {
				f = fileOf(cmd.Context(), f)
			}
			if !kept {
				c, err := dial(f.Name)
				if err == nil {
					return errors.Join(c.Close(), save.Save(cmd.Context(), f.Path, f.Name, nil))
				}
				if linkKind(f.Name) != otherLink { // one without its program
					return err // that the interface isn't there is told with a hint
				}
			}
			had, err := keeper.Had(f.Name)
			if err != nil {
				return err
			}
			defer had.Erase()
			return save.Save(cmd.Context(), f.Path, f.Name, had)
		},
	}
	cmd.Flags().BoolVar(&kept, "kept", false, "")
	_ = cmd.Flags().MarkHidden("kept") // it is there
	return cmd
}
