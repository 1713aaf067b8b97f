// Package cli is the command line: one file per command. It and manuals, which
// describes the commands, are the only packages that know cobra. It holds no
// logic that another program could want; that lies in its neighbours:
//
//   - show prints what interfaces answer
//   - setting turns files and arguments into configuration for an interface
//   - engine runs a tunnel
//   - keeper brings a link up, and keeps it
//
// A command that fails prints one line "error: ..." and, where something
// helps, one line "hint: ...", and the program ends with 1.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
	"vpn/conf"
)

// programName is the name under which the whole command line is there. Called
// by any other, the program is "vpn device", so that a link to it stands in for
// wireguard-go.
const programName = "vpn"

// Main runs the program with the process's arguments and streams, and returns
// its exit code.
func Main() int {
	args := os.Args
	if len(args) > 0 && calledAs(args[0]) != programName {
		return deviceMain(args, os.Stdout, os.Stderr)
	}
	root := commandsFor(args[1:])
	root.SetArgs(args[1:])
	root.SetIn(os.Stdin)
	root.SetOut(os.Stdout)
	root.SetErr(os.Stderr)
	return exitCode(root.Execute(), os.Stderr)
}

// calledAs is the base name of a path to the program, without the ".exe" of
// Windows.
func calledAs(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// commands make the root's commands, by their names.
var commands = map[string]func() *cobra.Command{
	"addconf":    newAddconf,
	"apply":      privileged(newApply),
	"check":      privileged(newCheck),
	"completion": newCompletion,
	"demo":       newDemo,
	"device":     newDevice,
	"diagnose":   privileged(newDiagnose),
	"down":       privileged(newDown),
	"genkey":     newGenkey,
	"genpsk":     newGenpsk,
	"init":       newInit,
	"killswitch": privileged(newKillswitch),
	"metrics":    privileged(newMetrics),
	"peer":       newPeer,
	"pubkey":     newPubkey,
	"reload":     privileged(newReload),
	"restart":    privileged(newRestart),
	"run":        privileged(newRun),
	"save":       privileged(newSave),
	"set":        newSet,
	"setconf":    newSetconf,
	"show":       newShow,
	"showconf":   newShowconf,
	"status":     privileged(newStatus),
	"strip":      privileged(newStrip),
	"syncconf":   newSyncconf,
	"top":        privileged(newTop),
	"up":         privileged(newUp),
	"version":    newVersion,
	"web":        privileged(newWeb),
}

// privileged adds to the errors of a command what helps where a permission is missing.
func privileged(create func() *cobra.Command) func() *cobra.Command {
	return func() *cobra.Command {
		cmd := create()
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return permissionHint(run(cmd, args)) }
		return cmd
	}
}

// Commands returns all commands, as the tree that they are, for their manual
// pages.
func Commands() *cobra.Command {
	root := newRoot()
	for _, create := range commands {
		add(root, create())
	}
	return root
}

// commandsFor returns what the arguments need of Commands: to make all of them takes a
// sixth of the time in which the program starts.
func commandsFor(args []string) *cobra.Command {
	if len(args) == 0 || commands[args[0]] == nil {
		return Commands()
	}
	root := newRoot()
	add(root, commands[args[0]]())
	return root
}

// add gives root a command.
func add(root, cmd *cobra.Command) {
	for _, cmd := range append(cmd.Commands(), cmd) {
		cmd.DisableFlagsInUseLine = true
		completeFlags(cmd)
	}
	root.AddCommand(cmd)
}

// newRoot makes the root, without commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   programName,
		Short: "WireGuard in userspace",
		Long: `WireGuard in userspace: the device, what brings it up as a wg-quick file says,
and the tool that configures it. Commands that wg has take the same arguments
and print the same text.`,
		Example: `  vpn init wg0 --gateway
  vpn up wg0
  vpn peer add wg0 phone --full-tunnel
  vpn status`,
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},

		DisableFlagsInUseLine:      true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint(flagError(err), "see %q", cmd.CommandPath()+" --help")
	})
	return root
}

// noSuchCommand rejects arguments of the root, which are mistyped commands.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return hint(err, "did you mean %q?", cmd.CommandPath()+" "+near[0])
	}
	return hint(err, "see %q", cmd.CommandPath()+" --help")
}

// A hinted error carries a line of advice.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func (h *hinted) Hint() string { return h.hint }

// hint adds a line of advice to err.
func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// exitCode prints err and returns what the process is to end with.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case err.Error() == context.Canceled.Error(): // and nothing else is known
		fmt.Fprintln(stderr, "error: interrupted")
	case !errors.Is(err, errTold):
		printError(err, stderr)
	}
	return keeper.ExitCode(err)
}

// printError prints errors that were joined one after another, each with its
// hint.
func printError(err error, stderr io.Writer) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			printError(e, stderr)
		}
		return
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	var h interface{ Hint() string }
	var c *conf.Error
	switch {
	case errors.As(err, &h) && h.Hint() != "":
		fmt.Fprintf(stderr, "hint: %s\n", h.Hint())
	case errors.As(err, &c) && c.Hint != "":
		fmt.Fprintf(stderr, "hint: %s\n", c.Hint)
	}
}

// usage rejects arguments: it says what the command takes.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return hint(fmt.Errorf(format, args...), "usage: %s", cmd.UseLine())
}

// exactly is cobra.ExactArgs with our words.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > n:
			return usage(cmd, "unexpected argument %q", args[n])
		case len(args) < n:
			plural := "s"
			if n == 1 {
				plural = ""
			}
			return usage(cmd, "%s takes %d argument%s, not %d", cmd.CommandPath(), n, plural, len(args))
		}
		return nil
	}
}
