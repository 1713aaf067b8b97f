package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/keeper"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

func newUp() *cobra.Command {
	var o upOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "up NAME|FILE|- [--dry-run] [--wait [--timeout 30s]] [--name NAME] [--force]",
		Short: "Bring a link up as its file says",
		Long: `Make the link, give it keys and peers, addresses, routes, DNS and firewall as
the file says, and run its hooks. Each step is printed as the command that a
person would have typed. If one fails, all of them are undone.

NAME is /etc/wireguard/NAME.conf; what has a slash in it or ends in .conf is
a file's path, and - is standard input. Where systemd runs, the link is a unit
of its own, vpn@NAME.service or a transient one; elsewhere it is a process in
the background, which logs to syslog.

What an earlier run has left, because it was killed, is set right first.`,
		Example: `  vpn up wg0
  vpn up ./office.conf --wait --timeout 10s
  vpn up wg0 --dry-run
  pass show vpn/office | vpn up - --name office`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
	}
	o.flags(cmd)
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print the steps, and do none of them")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "return when all peers with an endpoint have shaken hands, or --timeout is over")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long --wait waits, as a `TIME` such as 30s or 2m; 0 is for ever")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if err := o.check(cmd); err != nil {
			return err
		}
		s, err := o.source(args[0])
		if err != nil {
			return err
		}
		defer clear(s.text)
		show := console(cmd.ErrOrStderr())
		if dryRun {
			return keeper.Preview(ctx, s.File, s.text, o.force, show)
		}
		return o.up(ctx, s, show)
	}
	return cmd
}

// forceUsage says what --force is for.
const forceUsage = "go on if the kill switch would cut an SSH session"

// upOptions are what "vpn up" and "vpn apply" have in common.
type upOptions struct {
	name    string // for standard input
	force   bool
	wait    bool
	timeout time.Duration
}

func (o *upOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.force, "force", false, forceUsage)
	cmd.Flags().StringVar(&o.name, "name", "", "the `NAME` of the link that standard input describes; else the first of wg0, wg1, ... that is free")
}

// check rejects flags that make no sense.
func (o *upOptions) check(cmd *cobra.Command) error {
	switch {
	case o.timeout < 0:
		return usage(cmd, "--timeout %v is no time to wait", o.timeout)
	case cmd.Flags().Changed("timeout") && !o.wait:
		return usage(cmd, "--timeout says nothing without --wait")
	}
	return nil
}

// source is where a configuration comes from.
type source struct {
	configfile.File
	text []byte // of standard input, else nil
	arg  string // for a process that runs elsewhere
}

// source finds the configuration that an argument names, and reads it if it is
// standard input.
func (o *upOptions) source(arg string) (source, error) {
	f, err := configfile.Find(arg)
	if err != nil {
		return source{}, keeper.WithCode(err, 1)
	}
	s := source{File: f, arg: arg}
	switch {
	case f.Path == "":
		return o.stdin()
	case o.name != "":
		return source{}, fmt.Errorf("--name is for standard input: a file gives the link its own")
	case strings.Contains(arg, "/") || strings.HasSuffix(arg, ".conf"):
		if s.Path, err = filepath.Abs(f.Path); err != nil {
			return source{}, err
		}
		s.arg = s.Path
	}
	return s, nil
}

func (o *upOptions) stdin() (source, error) {
	name := o.name
	if name == "" {
		name = freeName()
	}
	if !uapi.ValidName(name) {
		return source{}, hint(fmt.Errorf("%q can't be the name of an interface", name), "a name has 1 to 15 letters, digits, and _ = + . -")
	}
	f := configfile.File{Name: name}
	text, _, err := f.Read()
	var wrong *conf.Error
	if errors.As(err, &wrong) {
		err = keeper.WithCode(err, keeper.CodeConfig)
	}
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = keeper.WithCode(hint(errors.New("standard input is empty"), "the command that was to print a configuration may have failed"), keeper.CodeConfig)
	}
	return source{File: f, text: text}, err
}

// freeName returns the first name that no link has and no keeper.
func freeName() string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("wg%d", n)
		if _, err := net.InterfaceByName(name); err != nil && keeper.Held(name) == nil {
			return name
		}
	}
}

// up brings a link up, and waits for its peers if it is to.
func (o *upOptions) up(ctx context.Context, s source, show keeper.Show) error {
	if err := o.bring(ctx, s, show); err != nil || !o.wait {
		return err
	}
	return o.await(ctx, s.Name)
}

// bring brings a link up.
func (o *upOptions) bring(ctx context.Context, s source, show keeper.Show) error {
	if err := keeper.Refuse(s.Name); err != nil {
		return err
	}
	if s.text != nil {
		if err := keeper.Pin(s.Name, s.text); err != nil {
			return err
		}
	}
	return launch(ctx, s, o.force, show)
}

// await returns when all peers with an endpoint have shaken hands since the link came
// up, or says which have not.
func (o *upOptions) await(ctx context.Context, name string) error {
	c, err := keeper.Dial(name)
	if err != nil {
		return err
	}
	silent, err := c.Wait(ctx, o.timeout)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %s is up, and not all of its peers have answered", name)
	}
	if err != nil || len(silent) == 0 {
		return err
	}
	return hint(fmt.Errorf("%s is up, but not all of its peers have answered:\n  %s", name, strings.Join(silent, "\n  ")),
		"\"vpn diagnose %s\" finds out why; the link stays up until \"vpn down %s\"", name, name)
}
