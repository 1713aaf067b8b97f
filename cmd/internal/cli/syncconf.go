package cli

import (
	"github.com/spf13/cobra"

	"vpn/cmd/internal/setting"
	"vpn/tunnel/uapi"
)

func newSyncconf() *cobra.Command {
	return newConfCommand(&cobra.Command{
		Use:   "syncconf INTERFACE FILE",
		Short: "Change what differs between an interface and a file",
		Long: `Bring an interface to the configuration in a file, changing only what differs:
sessions of peers that stay live on. Peers that the file doesn't have go.`,
		Example: `  vpn syncconf wg0 wg0.conf
  vpn syncconf wg0 <(wg-quick strip wg0)`,
	}, func(c *uapi.Client, config *uapi.Config) error {
		current, err := c.Get()
		if err != nil {
			return err
		}
		defer current.Erase()
		change := setting.Sync(current, config)
		if setting.Empty(change) {
			return nil
		}
		return apply(c, change)
	})
}
