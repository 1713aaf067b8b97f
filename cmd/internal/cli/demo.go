package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo [--json] [--netns]",
		Short: "Show a tunnel at work, without root",
		Long: `Make two complete tunnels in this process, joined over loopback, and download a
file from one to the other while its session keys are replaced. It takes about
25 s, needs neither root nor a TUN device, and leaves nothing behind.

What was promised is checked: the file's SHA-256, three changes of keys or more,
the order of packets, and that no session key is left in memory. If something
is not so, it says what, and ends with 1.

--netns does the same with two real TUN devices, in network namespaces of their
own. That takes root.`,
		Example: `  vpn demo
  vpn demo --json | jq .mbps
  sudo vpn demo --netns`,
		Args: exactly(0),
	}
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object and nothing else")
	cmd.Flags().BoolVar(&o.Namespaces, "netns", false, "use real TUN devices in network namespaces (Linux, root)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// A reader that goes away, as in "vpn demo | head", ends it as Ctrl-C does.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		o.Out, o.Errors = cmd.OutOrStdout(), cmd.ErrOrStderr()
		o.Terminal = isTerminal(o.Out) && os.Getenv("TERM") != "dumb"
		o.Colour = o.Terminal && os.Getenv("NO_COLOR") == ""
		o.Unicode = speaksUnicode()
		return demo.Run(ctx, o)
	}
	return cmd
}

// speaksUnicode reports whether the locale's characters are UTF-8. Where there
// are no locales in the environment, they are.
func speaksUnicode() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set decides
		if locale := strings.ToLower(os.Getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}
