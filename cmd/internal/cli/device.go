package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/engine"
	"vpn/cmd/internal/floor"
	"vpn/cmd/internal/logs"
	"vpn/cmd/internal/observe"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// The variables that wireguard-go knows.
const (
	envTunFD      = "WG_TUN_FD"             // number of a TUN descriptor to use
	envUAPIFD     = "WG_UAPI_FD"            // number of the control socket's
	envForeground = "WG_PROCESS_FOREGROUND" // "1": don't detach
	envLogLevel   = "LOG_LEVEL"
)

func newDevice() *cobra.Command {
	var d daemon
	var format string
	cmd := &cobra.Command{
		Use:   "device NAME [--foreground] [--log-format text|json]",
		Short: "Make a WireGuard interface, and run it",
		Long: `Make the link NAME and run it in the background, until it or its control socket
is deleted, or SIGTERM. "vpn set", "wg" and "ip" configure it. As root it keeps
in /var/lib/vpn/floor how far its timestamps have gone, so that peers hear it
also if it starts anew with the clock set back.

It takes the place of wireguard-go: a link to vpn by another name is "vpn
device", as WG_QUICK_USERSPACE_IMPLEMENTATION wants it, and these variables are
heeded:

  LOG_LEVEL               verbose, debug, info, error or silent; in the
                          background nothing is logged unless it is set
  WG_TUN_FD, WG_UAPI_FD   descriptors to use instead of opening a TUN link
                          and a control socket; of a link there may be several,
                          with commas between
  WG_PROCESS_FOREGROUND   1: as --foreground`,
		Example: `  vpn device wg0
  ip address add 10.0.0.1/24 dev wg0
  vpn setconf wg0 wg0.conf
  ip link set wg0 up

  WG_QUICK_USERSPACE_IMPLEMENTATION=/usr/local/bin/vpn-device wg-quick up wg0`,
		Args:              exactly(1),
		ValidArgsFunction: completeAt(),
	}
	cmd.Flags().BoolVarP(&d.foreground, "foreground", "f", false, "stay in the foreground, and log to stderr")
	cmd.Flags().StringVar(&format, "log-format", string(logs.Text), "the `FORMAT` of the log, text or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		d.name = args[0]
		if d.format, err = logs.ParseFormat(format); err != nil {
			return err
		}
		return d.start()
	}
	return cmd
}

// deviceMain is the program under wireguard-go's command line. It returns the
// exit code.
func deviceMain(args []string, stdout, stderr io.Writer) int {
	d := daemon{format: logs.Text}
	use := fmt.Sprintf("usage: %s [-f|--foreground] INTERFACE-NAME", args[0])
	switch rest := args[1:]; {
	case len(rest) == 1 && rest[0] == "--version":
		return exitCode(printVersion(stdout), stderr)
	case len(rest) == 1 && (rest[0] == "--help" || rest[0] == "-h"):
		_, err := fmt.Fprintln(stdout, use)
		return exitCode(err, stderr)
	case len(rest) == 2 && (rest[0] == "-f" || rest[0] == "--foreground"):
		d.foreground, d.name = true, rest[1]
	case len(rest) == 1 && rest[0] != "" && rest[0][0] != '-':
		d.name = rest[0]
	default:
		fmt.Fprintln(stderr, use)
		return 1
	}
	return exitCode(d.start(), stderr)
}

// A daemon is one interface that runs in this process, or in one that it
// starts.
type daemon struct {
	name       string
	foreground bool
	format     logs.Format

	device   tun.Device
	listener *uapi.Listener
}

// start opens what the daemon needs, so that errors are told where it was
// called, and then runs it, here or in the background.
func (d *daemon) start() error {
	if keeper, err := inheritedFile(envKeeperFD); keeper != nil || err != nil {
		return d.serve(keeper, err)
	}
	status, err := inheritStatus()
	if err != nil {
		return err
	}
	// From before there is anything to clean up.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err = d.open(); err != nil {
		return status.failed(err)
	}
	if d.foreground || os.Getenv(envForeground) == "1" || !canDetach {
		return status.failed(d.run(ctx, status))
	}
	return d.detach(ctx)
}

// open opens the link and the control socket, or takes over those that were
// handed down. From then on the link's name is the daemon's: it may be another
// than was asked for.
func (d *daemon) open() error {
	tunFiles, err := inheritedFiles(envTunFD)
	if err != nil {
		return err
	}
	uapiFile, err := inheritedFile(envUAPIFD)
	if err != nil {
		return err
	}
	if len(tunFiles) > 0 {
		d.device, err = tun.FromFile(tunFiles[0], 0, tunFiles[1:]...)
	} else {
		d.device, err = createDevice(d.name)
	}
	if err != nil {
		return err
	}
	d.name = d.device.Name()
	if uapiFile != nil {
		d.listener, err = takeListener(d.name, uapiFile)
	} else {
		d.listener, err = uapi.Listen(d.name)
	}
	if err != nil {
		d.device.Close()
		return permissionHint(err)
	}
	return nil
}

// createDevice makes a link. One that is in use has a control socket, too, and
// that knows who answers there.
func createDevice(name string) (tun.Device, error) {
	device, err := tun.Create(name, 0, tunnel.Lines())
	if errors.Is(err, syscall.EINVAL) && !uapi.ValidName(name) {
		return nil, invalidName(name)
	}
	if errors.Is(err, syscall.EBUSY) {
		l, inUse := uapi.Listen(name)
		if inUse != nil {
			return nil, inUse
		}
		l.Close()
	}
	return device, err // which says what to do
}

// permissionHint adds what helps where a permission is missing.
func permissionHint(err error) error {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return hint(err, "run it as root")
	}
	return err
}

// run runs the interface in this process.
func (d *daemon) run(ctx context.Context, status *statusPipe) error {
	log := d.harden()
	stopTelling := func() {}
	defer func() { stopTelling() }()
	return engine.Run(ctx, engine.Config{
		Device:   d.device,
		Listener: d.listener,
		Sockets:  udp.Spread(tunnel.Lines()),
		Clock:    tunnel.SystemClock(),
		Arena:    engine.NewArena(log),
		Floor:    ownFloor(),
		Log:      log,
		Ready: func(t *tunnel.Tunnel) {
			stopTelling = tellAbout(d.name, t, log)
			status.ready()
		},
	})
}

// tellAbout answers on the interface's control socket until stop is called. Where there can be none, as without root, the interface runs
// all the same.
func tellAbout(name string, t *tunnel.Tunnel, log *slog.Logger) (stop func()) {
	l, err := control.Listen(name)
	if err != nil {
		log.Info("nobody can be told how the interface is", "error", err)
		return func() {}
	}
	s := control.Serve(l, http.NewServeMux(), observe.New(name, t), log)
	return func() {
		s.Close()
		control.Remove(name)
	}
}

// harden protects the memory of this process, and makes its log.
func (d *daemon) harden() *slog.Logger {
	log := logs.New(os.Stderr, d.format, logs.Level(os.Getenv(envLogLevel))).With("interface", d.name)
	if err := engine.Harden(); err != nil {
		log.Warn("memory is not protected", "error", err)
	}
	return log
}

// ownFloor is where root keeps timestamps; others have no such place.
func ownFloor() tunnel.Floor {
	if os.Geteuid() != 0 {
		return nil
	}
	return floor.New(floor.Default)
}
