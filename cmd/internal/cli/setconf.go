package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

func newSetconf() *cobra.Command {
	return newConfCommand(&cobra.Command{
		Use:   "setconf INTERFACE FILE",
		Short: "Give an interface the configuration in a file",
		Long: `Replace the configuration of an interface by a file's. All sessions end, also
those of peers that stay; "syncconf" keeps them.`,
		Example: `  vpn setconf wg0 wg0.conf
  wg-quick strip wg0 | vpn setconf wg0 /dev/stdin`,
	}, func(c *uapi.Client, config *uapi.Config) error {
		current, err := c.Get()
		if err != nil {
			return err
		}
		defer current.Erase()
		setting.Whole(config, current)
		return apply(c, config)
	})
}

// newConfCommand completes a command that takes an interface and a file, which
// it hands to change.
func newConfCommand(cmd *cobra.Command, change func(*uapi.Client, *uapi.Config) error) *cobra.Command {
	cmd.Long += `

The file has the settings of "wg setconf", not those of wg-quick ("wg-quick
strip" takes those away), and of our own directives RekeyAfterTime,
RekeyAfterPackets, PrivateKeyFile and PresharedKeyFile. "-" is standard input.`
	cmd.Args = exactly(2)
	cmd.ValidArgsFunction = completeAt(completeInterfaces, nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// A name that isn't there is told before host names are waited for.
		c, err := dial(args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		config, err := readConf(cmd, args[1])
		if err != nil {
			return err
		}
		defer config.Erase()
		return change(c, config)
	}
	return cmd
}

// readConf reads a file, or standard input for "-", and says on stderr what is
// odd about it.
func readConf(cmd *cobra.Command, path string) (*uapi.Config, error) {
	name, text, warnings, err := readText(path)
	defer clear(text)
	if err != nil {
		return nil, err
	}
	warn := func(w conf.Warning) { fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w) }
	c, more, err := conf.Parse(name, text, conf.WG)
	for _, w := range append(warnings, more...) {
		warn(w)
	}
	if err != nil {
		return nil, err
	}
	for _, w := range c.DropExpired(name, time.Now()) {
		warn(w)
	}
	resolver, err := newResolver(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return setting.FromConf(cmd.Context(), c, name, resolver, warn)
}

func readText(path string) (name string, text []byte, warnings []conf.Warning, err error) {
	if path == "-" {
		name = "standard input"
		text, warnings, err = conf.Read(os.Stdin, name)
		return name, text, warnings, err
	}
	text, warnings, err = conf.ReadFile(path)
	return path, text, warnings, err
}
