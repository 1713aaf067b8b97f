package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/logs"
	"vpn/cmd/internal/web"
)

// webListen is where the page is unless told otherwise, and webMemory where the collector begins to work harder.
const (
	webListen = "127.0.0.1:9587"
	webMemory = 36 << 20
)

// webOptions are the flags of "vpn web".
type webOptions struct {
	listen  string
	hosts   []string
	noToken bool
}

func newWeb() *cobra.Command {
	var o webOptions
	cmd := &cobra.Command{
		Use:   "web [INTERFACE...] [--listen ADDRESS:PORT] [--host NAME...] [--no-token]",
		Short: "Show interfaces and their peers on a page, for a browser",
		Long: `Serve one page that shows all interfaces, or those that are named, as they are
now: throughput over the last hour, the peers, each one's sessions with why they
ended, and what was dropped and why. It changes nothing, and runs until it is
interrupted; the hour begins when it starts.

The address that it prints holds a token, and what the page shows is for those
who have that: other users of this host reach the port too. The token is new
each time, and is printed once. --no-token does without, on loopback only.

It listens on ` + webListen + ` unless told otherwise. From another machine, use
SSH, or listen on an address inside a tunnel: the page is plain HTTP. A browser
has to use an address or localhost; --host allows another name.`,
		Example: `  vpn web
  vpn web wg0 --listen 10.0.0.1:9587
  ssh -L 9587:127.0.0.1:9587 gateway sudo vpn web`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := gather.Names() // what can't be listed is not offered
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", webListen, "where to listen, `ADDRESS:PORT`; port 0 is any")
	f.StringSliceVar(&o.hosts, "host", nil, "a further `NAME` by which browsers may know this host")
	f.BoolVar(&o.noToken, "no-token", false, "for every user of this host")
	cmd.RunE = func(cmd *cobra.Command, names []string) error { return forRoot(o.run(cmd, names)) }
	return cmd
}

func (o *webOptions) run(cmd *cobra.Command, names []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	at, err := netip.ParseAddrPort(o.listen)
	switch {
	case err != nil:
		return hint(fmt.Errorf("--listen %q: not an address and a port", o.listen), "write it like %s or [::1]:9587", webListen)
	case o.noToken && !at.Addr().IsLoopback():
		return hint(fmt.Errorf("--no-token: %s is not loopback, and everybody who reaches it could read the page", at.Addr()), "leave --no-token away")
	}
	if err := mayWatch(names); err != nil {
		return err
	}
	l, err := net.Listen("tcp", at.String())
	if errors.Is(err, syscall.EADDRINUSE) {
		return hint(err, "choose another port with --listen")
	} else if err != nil {
		return err
	}
	c := web.Config{Watch: web.NewWatch(names), Hosts: o.hosts}
	if !o.noToken {
		c.Token = web.NewToken()
	}
	debug.SetMemoryLimit(webMemory)
	s := web.NewServer(c, logs.New(os.Stderr, logs.Text, logs.Level(os.Getenv(envLogLevel))))
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	watched := make(chan struct{})
	go func() { defer close(watched); c.Watch.Run(ctx) }()
	fmt.Fprintln(cmd.OutOrStdout(), address(l.Addr(), c.Token))
	select {
	case err = <-failed:
		stop()
	case <-ctx.Done():
		err = endServer(s)
	}
	<-watched
	return err
}

// mayWatch reports why nothing would be seen.
func mayWatch(names []string) error {
	if len(names) == 0 {
		_, err := gather.Names()
		return err
	}
	for _, name := range names {
		if _, err := gather.Open(name); errors.Is(err, control.ErrForRoot) || err != nil && !errors.Is(err, gather.ErrNone) {
			return err
		} else if err != nil {
			return unreachable(name)
		}
	}
	return nil
}

// address is what the user opens. The token is behind a #: what stands there stays in the browser.
func address(at net.Addr, token string) string {
	u := url.URL{Scheme: "http", Host: at.String(), Path: "/"}
	if token != "" {
		u.Fragment = "token=" + token
	}
	return u.String()
}

// endServer lets answers that are under way arrive.
func endServer(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		return s.Close()
	}
	return nil
}
