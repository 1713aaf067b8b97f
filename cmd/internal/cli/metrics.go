package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/engine"
	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/logs"
	"vpn/cmd/internal/metrics"
	"vpn/cmd/internal/systemd"
)

// metricsOptions are the flags of "vpn metrics".
type metricsOptions struct {
	listen   string
	maxPeers int
	once     bool
	format   string
}

func newMetrics() *cobra.Command {
	var o metricsOptions
	cmd := &cobra.Command{
		Use:   "metrics [--listen ADDRESS:PORT] [--max-peers N] [--once]",
		Short: "Tell Prometheus of all interfaces of this host",
		Long: `Answer Prometheus at http://127.0.0.1:9586/metrics about all WireGuard
interfaces of this host, in the foreground: those that vpn runs, the kernel's,
and those of other programs, with what they tell. Interfaces may come and go. A
tunnel needs none of it, and is never held up by it. As a service it is
vpn-metrics.service, whose arguments are ARGS in /etc/default/vpn-metrics.

Peers have the names that other exporters use, so that their dashboards work:

  wireguard_sent_bytes_total         wireguard_latest_handshake_seconds
  wireguard_received_bytes_total     wireguard_latest_handshake_delay_seconds

with the labels interface, public_key, allowed_ips and friendly_name, which is
the Name in the interface's file. What only vpn knows begins with vpn_: peers by
state, rekeys, age of sessions, handshakes by outcome, drops by reason, time in
queues. Each is described where it is told. scripts/grafana.json of the source
is a dashboard for Grafana.

Of an interface with more than --max-peers peers, so many have series of their
own: those seen to talk first, as long as they are configured. The others that
talk are added up under public_key="other".

Who can reach the listener can read all public keys, names and addresses. Where
it is on loopback, as it is by default, that is every user of this host, but no
web page: a request has to name the host by address, as localhost or by the
host's own name. --once prints the metrics and ends, as for the text file
collector of node_exporter.`,
		Example: `  vpn metrics
  vpn metrics --listen 10.0.0.1:9586
  vpn metrics --once > /var/lib/node_exporter/vpn.prom
  systemctl enable --now vpn-metrics`,
		Args: exactly(0),
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", metrics.DefaultListen, "where to listen for Prometheus, `ADDRESS:PORT`")
	f.IntVar(&o.maxPeers, "max-peers", metrics.DefaultMaxPeers, "at most `N` peers of an interface have series of their own")
	f.BoolVar(&o.once, "once", false, "print the metrics, and end")
	f.StringVar(&o.format, "log-format", string(logs.Text), "`FORMAT` of the log: text or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return forRoot(o.run(cmd)) }
	return cmd
}

func (o metricsOptions) run(cmd *cobra.Command) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.maxPeers < 0 {
		return usage(cmd, "--max-peers %d: must not be negative", o.maxPeers)
	}
	format, err := logs.ParseFormat(o.format)
	if err != nil {
		return err
	}
	log := logs.New(os.Stderr, format, logs.Level(os.Getenv(envLogLevel)))
	if err := engine.Harden(); err != nil { // some interfaces tell more than they are asked
		log.Warn("memory is not protected", "error", err)
	}
	if _, err := gather.Names(); err != nil {
		return err
	}
	c := metrics.New(metrics.Config{MaxPeers: o.maxPeers, Version: version(), Log: log})
	if o.once {
		return c.Collect(ctx, cmd.OutOrStdout())
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return hint(fmt.Errorf("--listen %s: %w", o.listen, err), "--listen takes an address of this host, and a port that is free")
	}
	log.Info("answers Prometheus", "url", fmt.Sprintf("http://%s/metrics", l.Addr()))
	if err := systemd.Ready("answers at " + l.Addr().String()); err != nil {
		log.Warn("not ready for the service manager", "error", err)
	}
	return metrics.Serve(ctx, l, c)
}
