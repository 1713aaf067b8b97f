package cli

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

func newPeerRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME|FILE PEER",
		Short: "Remove a peer from a config file, and from its interface",
		Long: `Remove a peer, by its name or its public key: from the file, together with the
comments of its section, and at once from the interface if that is up. Nothing
the peer sends is taken from then on.`,
		Example: `  vpn peer remove wg0 laptop
  vpn peer remove wg0 xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=`,
		Args:              exactly(2),
		ValidArgsFunction: completePeerNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			show := console(cmd.ErrOrStderr())
			e, err := openEdit(args[0], show)
			if err != nil {
				return err
			}
			defer e.close()
			id, err := e.find(args[1])
			if err != nil {
				return err
			}
			e.conf.Peers = slices.DeleteFunc(e.conf.Peers, func(p conf.Peer) bool {
				if p.PublicKey.Value == id {
					p.Preshared.Value.Erase()
					return true
				}
				return false
			})
			live, err := e.commit(ctx, &uapi.Config{Peers: []uapi.PeerConfig{{PublicKey: id, Remove: true}}})
			if err != nil {
				return err
			}
			places := e.Path
			if live {
				places += " and from " + e.Name + ", which is up"
			}
			show(keeper.Message{Note: fmt.Sprintf("%s is removed from %s", args[1], places)})
			return nil
		},
	}
}
