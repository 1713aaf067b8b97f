package cli

import (
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/logs"
)

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a completion script for a shell",
		Long: `Print a script that lets a shell complete commands, options, the names of
interfaces and of their peers, and files. scripts/install puts it where each
shell looks for it.`,
		Example: `  source <(vpn completion bash)
  vpn completion zsh > "${fpath[1]}/_vpn"
  vpn completion fish > ~/.config/fish/completions/vpn.fish`,
		Args:      exactly(1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return usage(cmd, "there is no completion for %q", args[0])
		},
	}
}

// completeAt makes a completion out of one for each position: words, or files
// where it is nil.
func completeAt(positions ...func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(positions) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := positions[len(args)]
		if words == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return words(), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeConfig completes the file that a command takes first: the names of
// those in /etc/wireguard, and any path that begins with what is typed.
func completeConfig(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return orFile(args, completeConfigs)
}

// completeLink does the same with the links that are up.
func completeLink(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return orFile(args, completeUp)
}

// orFile offers words for the first argument. Shells go on to files where none
// of the words fits.
func orFile(args []string, words func() []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return words(), cobra.ShellCompDirectiveDefault
}

// completeConfigs lists the names of the files in /etc/wireguard, for a shell.
func completeConfigs() []string {
	paths, err := filepath.Glob(filepath.Join(configfile.Dir, "*.conf"))
	if err != nil {
		return nil
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".conf"))
	}
	return names
}

// completeUp lists the links that are up, for a shell.
func completeUp() []string {
	names, err := keeper.Links()
	if err != nil {
		return nil
	}
	return names
}

// completeFlags has a shell offer what a flag of cmd takes: files only where it
// takes one.
func completeFlags(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, has := cmd.GetFlagCompletionFunc(f.Name); has || f.Value.Type() == "bool" {
			return
		}
		words, directive := func() []string { return nil }, cobra.ShellCompDirectiveNoFileComp
		switch what, _ := pflag.UnquoteUsage(f); {
		case f.Name == "log-format":
			words = func() []string { return []string{string(logs.Text), string(logs.JSON)} }
		case what == "LINK":
			words = links
		case strings.Contains(what, "FILE"):
			directive = cobra.ShellCompDirectiveDefault
		}
		err := cmd.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return words(), directive
		})
		if err != nil {
			panic(err) // the flag is there
		}
	})
}

// links lists the host's links but for its loopback, for a shell.
func links() (names []string) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name)
		}
	}
	return names
}
