package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

func newSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: `set INTERFACE [listen-port PORT] [fwmark MARK] [private-key FILE] [peer KEY [remove] [preshared-key FILE] ` +
			`[endpoint HOST:PORT] [persistent-keepalive SECONDS] [allowed-ips [+|-]PREFIX[,[+|-]PREFIX]...]]...`,
		Short: "Change an interface, and add, change and remove its peers",
		Long: `Change what is named and nothing else. Keys are read from files, because other
users see a command's arguments; an empty file such as /dev/null takes the key
away. "off" ends fwmark and persistent-keepalive.

A list of allowed-ips replaces the peer's own, and an empty one clears it; with
+ or - before every prefix it changes it. A prefix that another peer has moves.

A host name is looked up once, now; if that fails for a reason that may pass,
again WG_ENDPOINT_RESOLUTION_RETRIES times (15, or "infinity").`,
		Example: `  vpn set wg0 listen-port 51820 private-key /etc/wireguard/private.key
  vpn set wg0 peer KEY= endpoint vpn.example.com:51820 allowed-ips 10.0.0.0/24,fd00::/64
  vpn set wg0 peer KEY= allowed-ips +10.1.0.0/24,-10.0.0.0/24
  vpn set wg0 peer KEY= remove`,
		DisableFlagParsing: true, // "-10.0.0.0/24" is a value
		ValidArgsFunction:  completeSet,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "--help") || slices.Equal(args, []string{"-h"}) {
			return cmd.Help()
		}
		if len(args) < 2 {
			return usage(cmd, "nothing to set")
		}
		return runSet(cmd, args[0], args[1:])
	}
	return cmd
}

func runSet(cmd *cobra.Command, name string, args []string) error {
	// A name that isn't there is told before host names are waited for.
	c, err := dial(name)
	if err != nil {
		return err
	}
	defer c.Close()
	resolver, err := newResolver(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	config, err := setting.FromArgs(cmd.Context(), args, resolver, func(text string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", text)
	})
	if errors.Is(err, setting.ErrUnexpected) {
		return hint(err, "see %q", cmd.CommandPath()+" --help")
	}
	if err != nil {
		return err
	}
	defer config.Erase()
	return apply(c, config)
}

// newResolver makes a resolver that tells on stderr why it waits.
func newResolver(stderr io.Writer) (*setting.Resolver, error) {
	return setting.NewResolver(os.Getenv("WG_ENDPOINT_RESOLUTION_RETRIES"), func(e conf.Endpoint, err error, again time.Duration) {
		fmt.Fprintf(stderr, "warning: endpoint %q: %v; trying again in %.2f seconds\n", e, err, again.Seconds())
	})
}

// apply sets c on an interface. Other programs than ours refuse settings that
// they don't know.
func apply(c *uapi.Client, config *uapi.Config) error {
	err := c.Set(config)
	limits := config.RekeyAfterTime != nil || config.RekeyAfterPackets != nil
	if limits && errors.Is(err, uapi.EINVAL) {
		return hint(err, "only an interface of vpn knows RekeyAfterTime and RekeyAfterPackets")
	}
	if errors.Is(err, uapi.EADDRINUSE) {
		return hint(err, "another program has the port; \"ss -ulpn\" tells which")
	}
	return err
}

// completeSet offers, after the interface, what may stand where the word
// begins; for peers, the keys of those that are there.
func completeSet(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		return completeInterfaces(), none
	}
	switch args[len(args)-1] {
	case "private-key", "preshared-key":
		return nil, cobra.ShellCompDirectiveDefault
	case "peer":
		return completePeers(args[0]), none
	case "listen-port", "endpoint", "allowed-ips":
		return nil, none
	case "fwmark", "persistent-keepalive":
		return []string{"off"}, none
	}
	if slices.Contains(args, "peer") {
		return []string{"peer", "remove", "preshared-key", "endpoint", "persistent-keepalive", "allowed-ips"}, none
	}
	return []string{"listen-port", "fwmark", "private-key", "peer"}, none
}

func completePeers(name string) []string {
	i, err := get(name)
	if err != nil {
		return nil
	}
	defer i.Erase()
	keys := make([]string, len(i.Peers))
	for n := range i.Peers {
		keys[n] = i.Peers[n].PublicKey.String()
	}
	return keys
}
