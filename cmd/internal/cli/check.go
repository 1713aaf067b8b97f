package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/facts"
	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/conf/lint"
)

func newCheck() *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "check NAME|FILE|- [--strict] [--json]",
		Short: "Say what is wrong with a config file",
		Long: `Say what of a file would be refused (errors), and where wg, wg-quick or "vpn up"
would silently do something else than its author meant (warnings): one prefix of
two peers, host bits, an endpoint inside its own tunnel, a DNS server outside of
it, an MTU that the path doesn't take, a file that others can read, and more.
Each comes with its line and a way out. Nothing is changed, and nothing is sent.

What the host is like - its links, networks, routes - is looked at too: check a
file on the machine that it is for.

The exit code is 0 if nothing would be refused, and 1 if something would; with
--strict it is 1 for warnings as well.`,
		Example: `  vpn check wg0
  vpn check ./office.conf --strict
  vpn check wg0 --json | jq -r '.[] | "\(.line): \(.message)"'`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&strict, "strict", false, "end with 1 for warnings as well")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := configfile.Find(args[0])
		if err != nil {
			return err
		}
		found, err := check(f, time.Now())
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if asJSON {
			j := json.NewEncoder(&b)
			j.SetEscapeHTML(false)
			j.SetIndent("", "\t")
			if err := j.Encode(append([]lint.Finding{}, found...)); err != nil {
				return err
			}
		} else {
			printFindings(&b, found)
		}
		if len(found) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: nothing is wrong with %v\n", f)
		}
		if err := flush(cmd, &b); err != nil {
			return err
		}
		if lint.Refused(found) || strict && len(found) > 0 {
			return errTold
		}
		return nil
	}
	return cmd
}

// check finds what is wrong with a file. The error is that it could not be read.
func check(f configfile.File, now time.Time) ([]lint.Finding, error) {
	text, warnings, err := f.Read()
	if wrong := (*conf.Error)(nil); errors.As(err, &wrong) { // that it may not be used, too, is a finding
		return lint.OfError(lint.RuleFile, err), nil
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	found := lint.OfWarnings(lint.RuleFile, warnings)
	var toward []netip.Addr
	if c, _, err := conf.Parse(f.String(), text, conf.WGQuick); err == nil {
		for _, e := range lint.Endpoints(c) {
			at, _ := e.Value.Addr()
			toward = append(toward, at.Addr().WithZone("").Unmap())
		}
		c.Erase()
	}
	host, err := facts.Read(f.Name, toward)
	if err != nil {
		return nil, err
	}
	host.KeyFile = func(name string, private bool) error {
		err := setting.CheckKeyFile(f.String(), name, private)
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			return nil // root will see
		}
		return err
	}
	return append(found, lint.Check(f.String(), text, now, host)...), nil
}

func printFindings(b *bytes.Buffer, found []lint.Finding) {
	for _, f := range found {
		fmt.Fprintf(b, "%s: %v\n", f.Severity, f)
		if f.Hint != "" {
			fmt.Fprintf(b, "hint: %s\n", f.Hint)
		}
	}
}
