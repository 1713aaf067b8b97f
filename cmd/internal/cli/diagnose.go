package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/diagnose"
	"vpn/cmd/internal/gather"
)

func newDiagnose() *cobra.Command {
	var asJSON bool
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "diagnose INTERFACE [PEER] [--watch 3s] [--json]",
		Short: "Say why a tunnel does not work, and what to do",
		Long: `Watch an interface for a few seconds, have its peers shake hands, try what
passes through the tunnel and how large it may be, and say what is wrong, what
shows it (-) and what to do (>). A PEER is named by its Name in the file or by
its public key; without one all peers are looked at, up to 64.

What goes wrong only with traffic is seen only while there is some: start what
doesn't work first. The path's size is measured with echo requests to those of
a peer's addresses that its AllowedIPs name singly (/32, /128). A session that
is there goes on until the new one is.

What can be told apart here is: name_unresolved, no_route, icmp_error,
wrong_key_for_us, unknown_key, preshared_key, clock_behind, cookie_demanded,
source_refused, allowed_ips_overlap, route_elsewhere, endpoint_inside,
not_forwarding, reverse_path, path_mtu, dropped, not_called and off. What is
left is silence, with how to tell its causes apart at the other end.

The exit code is 0 if all is healthy, and 1 if not.`,
		Example: `  vpn diagnose wg0
  vpn diagnose wg0 gateway
  vpn diagnose wg0 --json | jq -r '.findings[] | "\(.verdict): \(.text)"'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(cmd, "%s takes an interface, and perhaps a peer", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				names, _ := gather.Names() // what can't be listed is not offered
				return names, cobra.ShellCompDirectiveNoFileComp
			case 1:
				return completePeers(args[0]), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&watch, "watch", 3*time.Second, "for how long to watch, at least, as a `TIME`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		peer := ""
		if len(args) == 2 {
			peer = args[1]
		}
		seen, err := diagnose.Run(ctx, args[0], peer, watch)
		switch {
		case errors.Is(err, gather.ErrNone):
			return unreachable(args[0])
		case err != nil:
			return forRoot(err)
		}
		result := diagnose.Judge(seen)
		if asJSON {
			j := json.NewEncoder(cmd.OutOrStdout())
			j.SetEscapeHTML(false)
			j.SetIndent("", "\t")
			err = j.Encode(result)
		} else {
			err = diagnose.Draw(cmd.OutOrStdout(), result, newStyle(cmd).Colour)
		}
		if err == nil && !result.Healthy {
			err = errTold
		}
		return err
	}
	return cmd
}
