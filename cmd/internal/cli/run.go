package cli

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/engine"
	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/logs"
)

// runOptions are the flags of "vpn run".
type runOptions struct {
	force    bool
	detached bool   // started by "vpn up": it waits at the status pipe, and nobody reads stderr
	pinned   string // the name of a link whose configuration is pinned
	format   string
}

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run NAME|FILE [--log-format text|json] [--force]",
		Short: "Bring a link up and keep it, in the foreground",
		Long: `Do what "vpn up" does, and stay: this is what services run. SIGTERM takes the
link down, and a second one doesn't wait for its hooks. SIGHUP reads the file
anew, as "vpn reload" does, and SIGUSR2 starts the program that lies in this
one's place now without taking the link away, as "vpn restart" does.

If this process is killed the link stays, with its addresses and routes, and
nothing leaks. The next "vpn run" takes it over.

To a service manager it tells when it is ready, when it reloads and when it
ends, what it does, and that it is alive (see sd_notify(3)). The exit code is 78
for a configuration that cannot be right, and that of a hook that fails.`,
		Example: `  vpn run wg0
  systemctl start vpn@wg0`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeConfig,
	}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, forceUsage)
	f.StringVar(&o.format, "log-format", string(logs.Text), "the `FORMAT` of the log, text or json")
	f.BoolVar(&o.detached, "detached", false, "")
	f.StringVar(&o.pinned, "pinned", "", "")
	_ = f.MarkHidden("detached") // they are there
	_ = f.MarkHidden("pinned")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.pinned == "" && len(args) == 1:
		case o.pinned != "" && len(args) == 0:
		default:
			return usage(cmd, "%s takes 1 argument, not %d", cmd.CommandPath(), len(args))
		}
		return o.run(cmd, args)
	}
	return cmd
}

func (o runOptions) run(cmd *cobra.Command, args []string) error {
	// From before there is anything to clean up.
	ctx, impatient, stop := untilTold()
	defer stop()
	reload, restart := make(chan os.Signal, 1), make(chan os.Signal, 1)
	notifyKeeper(reload, restart)
	status, err := inheritedFile(envStatusFD)
	if err != nil {
		return err
	}
	handed, err := keeper.Inherit()
	if err != nil {
		return err
	}
	config := keeper.Config{
		File: configfile.File{Name: o.pinned}, Force: o.force, Level: os.Getenv(envLogLevel),
		Reload: reload, Restart: restart, Handed: handed,
		Show: console(cmd.ErrOrStderr()), Ready: func() {}, Impatient: impatient,
	}
	if o.pinned == "" {
		if config.File, err = configfile.Find(args[0]); err != nil {
			return err
		}
	}
	if config.Format, err = logs.ParseFormat(o.format); err != nil {
		return err
	}
	config.Log = logs.New(os.Stderr, config.Format, logs.Level(config.Level))
	if config.Format == logs.JSON { // each line is to be read as that
		config.Show = keeper.Logged(config.Log.With("interface", config.File.Name))
	}
	if o.detached {
		config.Log = logs.NewSyslog(programName, logs.Level(config.Level))
		if config.Stderr, err = logWriter(config.Log); err != nil {
			return err
		}
		config.Show = func(keeper.Message) {}
	}
	if err := engine.Harden(); err != nil {
		config.Log.Warn("memory is not protected", "error", err)
	}
	if status == nil {
		return keeper.Run(ctx, config)
	}
	return runFor(ctx, status, config)
}

// untilTold returns a context that ends with the first signal to end, and one that
// ends with the second: whoever has to say it twice does not wait for hooks.
func untilTold() (told, impatient context.Context, stop func()) {
	told, first := context.WithCancel(context.Background())
	impatient, second := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for _, end := range []context.CancelFunc{first, second} {
			select {
			case <-signals:
				end()
			case <-impatient.Done():
			}
		}
	}()
	return told, impatient, func() {
		signal.Stop(signals)
		first()
		second()
	}
}

// runFor runs a keeper for the process that waits at the other end of the pipe
// until the link is up.
func runFor(ctx context.Context, status *os.File, config keeper.Config) error {
	out := newStatusMessages(status)
	config.Show, config.Ready = out.show, func() { out.end(&keeper.Result{Changed: true}) }
	err := keeper.Run(ctx, config)
	if out.end(&keeper.Result{Failed: keeper.Failure(err)}) {
		return keeper.WithCode(errTold, codeOf(err))
	}
	if err != nil {
		config.Log.Error("ended", "error", err)
	}
	return err
}

// statusMessages leads to the process that waits for the start.
type statusMessages struct {
	mu    sync.Mutex // guards what follows
	f     *os.File   // nil when it is over
	write keeper.Show
}

func newStatusMessages(f *os.File) *statusMessages {
	return &statusMessages{f: f, write: messages(f)}
}

func (s *statusMessages) show(m keeper.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != nil {
		s.write(m)
	}
}

// end tells how it went, and reports whether anybody had waited for that.
func (s *statusMessages) end(r *keeper.Result) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return false
	}
	s.write(keeper.Message{Result: r})
	s.f.Close()
	s.f = nil
	return true
}

// logWriter returns a file whose lines are logged.
func logWriter(log *slog.Logger) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer read.Close()
		for lines := bufio.NewScanner(read); lines.Scan(); {
			log.Info(lines.Text())
		}
	}()
	return write, nil
}

func codeOf(err error) int {
	if err == nil {
		return 0
	}
	return keeper.ExitCode(err)
}
