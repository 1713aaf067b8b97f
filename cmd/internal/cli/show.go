package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/show"
	"vpn/tunnel/uapi"
)

func newShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [INTERFACE|all|interfaces] [FIELD] [--json]",
		Short: "Show what interfaces do",
		Long: `Show the state of one interface or of all, as "wg show" does.

FIELD is public-key, private-key, listen-port, fwmark, peers, preshared-keys,
endpoints, allowed-ips, latest-handshakes, transfer, persistent-keepalive, or
dump for all of them. It is printed for scripts: with tabs between values, and
with the interface's name first if all are asked. "interfaces" lists the names.

Keys are shown as "(hidden)" unless WG_HIDE_KEYS is "never"; "dump", the fields
of keys and --json always hold them. WG_COLOR_MODE is "always", "never" or
"auto"; with "auto" NO_COLOR is heeded.`,
		Example: `  vpn show
  vpn show wg0
  vpn show wg0 latest-handshakes
  vpn show all transfer
  vpn show --json | jq '.wg0.peers | length'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(cmd, "unexpected argument %q", args[2])
			}
			return nil
		},
		ValidArgsFunction: completeAt(
			func() []string { return append(completeInterfaces(), "all", "interfaces") },
			show.Fields,
		),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the names that wg-json uses")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, field := "all", ""
		if len(args) > 0 {
			name = args[0]
		}
		if len(args) > 1 {
			field = args[1]
			if name == "interfaces" {
				return usage(cmd, "unexpected argument %q", field)
			}
			if !slices.Contains(show.Fields(), field) {
				return hint(fmt.Errorf("there is no field %q", field), "it is one of %s", strings.Join(show.Fields(), ", "))
			}
		}
		return runShow(cmd, name, field, asJSON)
	}
	return cmd
}

func runShow(cmd *cobra.Command, name, field string, asJSON bool) error {
	names := []string{name}
	if name == "all" || name == "interfaces" {
		var err error
		if names, err = uapi.Interfaces(); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if name == "interfaces" {
		listInterfaces(&b, names, asJSON)
		return flush(cmd, &b)
	}

	var is []show.Interface
	var failed error
	for _, n := range names {
		i, err := get(n)
		if err != nil && len(names) == 1 {
			return err
		}
		if err != nil { // the others are shown all the same
			fmt.Fprintf(cmd.ErrOrStderr(), "error: %v\n", err)
			failed = errors.New("not every interface could be shown")
			continue
		}
		defer i.Erase()
		is = append(is, i)
	}
	switch {
	case asJSON:
		show.JSON(&b, is, field)
	case field != "":
		for _, i := range is {
			show.Field(&b, i, field, name == "all")
		}
	default:
		style := newStyle(cmd)
		for n, i := range is {
			if n > 0 {
				b.WriteByte('\n')
			}
			show.Pretty(&b, i, style)
		}
	}
	if err := flush(cmd, &b); err != nil {
		return err
	}
	return failed
}

func listInterfaces(b *bytes.Buffer, names []string, asJSON bool) {
	switch {
	case asJSON:
		text, err := json.Marshal(append([]string{}, names...))
		if err != nil {
			panic(err) // strings always have a form
		}
		b.Write(text)
		b.WriteByte('\n')
	case len(names) > 0:
		b.WriteString(strings.Join(names, " ") + "\n")
	}
}

// flush writes what was gathered to standard output, and forgets it.
func flush(cmd *cobra.Command, b *bytes.Buffer) error {
	text := b.Bytes()
	defer clear(text)
	_, err := cmd.OutOrStdout().Write(text)
	return err
}

// newStyle heeds wg's variables, and NO_COLOR where WG_COLOR_MODE leaves the
// choice.
func newStyle(cmd *cobra.Command) show.Style {
	s := show.Style{ShowKeys: os.Getenv("WG_HIDE_KEYS") == "never", Now: time.Now()}
	switch os.Getenv("WG_COLOR_MODE") {
	case "always":
		s.Colour = true
	case "never":
	default:
		s.Colour = os.Getenv("NO_COLOR") == "" && isTerminal(cmd.OutOrStdout())
	}
	return s
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
