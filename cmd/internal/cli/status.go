package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/cmd/internal/status"
	"vpn/noise/key"
)

// rateSpan is for how long traffic is watched to tell its rate, and statusEvents how much of a peer's past goes into a verdict.
const (
	rateSpan     = 500 * time.Millisecond
	statusEvents = 8
)

func newStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [INTERFACE...] [--json]",
		Short: "Say how interfaces and their peers are, in plain words",
		Long: `Say of each interface, or of those that are named, how it is and how each of its
peers is: whether it answers, where it is and how that was found, the session's
age and when it is replaced, traffic now and in all, and what was dropped, with
the reason. Traffic is watched for half a second.

Interfaces of the kernel's WireGuard and of other programs are shown too, with
what they tell. --json prints the names of wg-json where it has them, and else
those of the control socket, /run/vpn/INTERFACE/control.sock. No private or
preshared key is ever shown.`,
		Example: `  vpn status
  vpn status wg0
  vpn status --json | jq '.wg0.peers[] | {name, state, verdict}'`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := gather.Names() // what can't be listed is not offered
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return forRoot(runStatus(cmd, args, asJSON)) }
	return cmd
}

// forRoot adds what helps where only root may ask.
func forRoot(err error) error {
	if errors.Is(err, control.ErrForRoot) {
		return hint(err, "run it as root")
	}
	return err
}

func runStatus(cmd *cobra.Command, names []string, asJSON bool) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	all := len(names) == 0
	if all {
		var err error
		if names, err = gather.Names(); err != nil {
			return err
		}
		if len(names) == 0 && !asJSON {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "No WireGuard interface is there. \"vpn up NAME\" brings one up.")
			return err
		}
	}
	var is []status.Interface
	var errs []error
	for _, name := range names {
		i, err := look(ctx, name)
		switch {
		case all && errors.Is(err, gather.ErrNone): // it has just gone
		case errors.Is(err, gather.ErrNone):
			errs = append(errs, unreachable(name))
		case err != nil:
			errs = append(errs, forRoot(err))
		default:
			is = append(is, i)
		}
	}
	rates(ctx, is)
	var err error
	if asJSON {
		err = status.JSON(cmd.OutOrStdout(), is)
	} else {
		err = status.Draw(cmd.OutOrStdout(), is, newStyle(cmd).Colour)
	}
	return errors.Join(append(errs, err)...)
}

// look asks an interface how it is.
func look(ctx context.Context, name string) (status.Interface, error) {
	s, err := gather.Open(name)
	if err != nil {
		return status.Interface{}, err
	}
	i, peers, err := gather.Snapshot(ctx, s, report.Query{Events: statusEvents})
	return status.Interface{Interface: i, Peers: peers}, err
}

// rates watches the interfaces for a while, and puts what is newer in the place of what was known, with the rates of peers. What can't be
// asked once more has none.
func rates(ctx context.Context, is []status.Interface) {
	if len(is) == 0 {
		return
	}
	select {
	case <-time.After(rateSpan):
	case <-ctx.Done():
		return
	}
	for n := range is {
		before := &is[n]
		now, err := look(ctx, before.Name)
		if err != nil {
			continue
		}
		was := make(map[key.Public]*report.Peer, len(before.Peers))
		for m := range before.Peers {
			was[before.Peers[m].PublicKey] = &before.Peers[m]
		}
		for m := range now.Peers {
			if old := was[now.Peers[m].PublicKey]; old != nil {
				now.Peers[m].Rates(old, now.Now.Sub(before.Now))
			}
		}
		is[n] = now
	}
}
