package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

func newPeerList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list NAME|FILE [--json]",
		Short: "List the peers of a config file",
		Long: `List the peers of a file by their names, with their addresses, when each was
last heard of if the interface is up, and when its access ends. Those that
somebody has added to the interface by hand are listed too, and marked.`,
		Example: `  vpn peer list wg0
  vpn peer list wg0 --json | jq -r '.[] | select(.expired) | .name'`,
		Args:              exactly(1),
		ValidArgsFunction: completeConfig,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the names that wg-json uses where it has them")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openEdit(args[0], console(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer e.close()
		list := e.list(time.Now())
		var b bytes.Buffer
		if asJSON {
			j := json.NewEncoder(&b)
			j.SetEscapeHTML(false)
			j.SetIndent("", "\t")
			if err := j.Encode(list); err != nil {
				return err
			}
		} else {
			printPeers(&b, list, time.Now())
		}
		return flush(cmd, &b)
	}
	return cmd
}

// listed is a peer as it is listed.
type listed struct {
	Name            string         `json:"name,omitempty"`
	PublicKey       key.Public     `json:"publicKey"`
	AllowedIPs      []netip.Prefix `json:"allowedIps"`
	Endpoint        string         `json:"endpoint,omitempty"`        // where the peer is now, or else what the file says
	LatestHandshake int64          `json:"latestHandshake,omitempty"` // a Unix time
	Expires         time.Time      `json:"expires,omitzero"`
	Expired         bool           `json:"expired,omitempty"`
	Up              bool           `json:"up"`     // the interface has it
	InFile          bool           `json:"inFile"` // the file has it
}

// list joins what the file and the interface have: in the order of the file, and
// then what only the interface has.
func (e *edit) list(now time.Time) []*listed {
	list := []*listed{}
	byKey := map[key.Public]*listed{}
	for i := range e.conf.Peers {
		p := &e.conf.Peers[i]
		l := byKey[p.PublicKey.Value]
		if l == nil {
			l = &listed{PublicKey: p.PublicKey.Value, AllowedIPs: []netip.Prefix{}, InFile: true}
			byKey[l.PublicKey] = l
			list = append(list, l)
		}
		if p.Name.Given {
			l.Name = p.Name.Value
		}
		if p.Endpoint.Given {
			l.Endpoint = p.Endpoint.Value.String()
		}
		l.Expires, l.Expired = p.Expires.Value, p.Expired(now)
		for _, a := range p.AllowedIPs {
			if !a.Remove && !slices.Contains(l.AllowedIPs, a.Prefix) {
				l.AllowedIPs = append(l.AllowedIPs, a.Prefix)
			}
		}
	}
	c, d := e.device()
	if c == nil {
		return list
	}
	defer c.Close()
	defer d.Erase()
	for i := range d.Peers {
		p := &d.Peers[i]
		l := byKey[p.PublicKey]
		if l == nil {
			l = &listed{PublicKey: p.PublicKey, AllowedIPs: []netip.Prefix{}}
			list = append(list, l)
		}
		l.see(p)
	}
	return list
}

// see takes down what the interface has.
func (l *listed) see(p *uapi.Peer) {
	l.Up = true
	if !l.InFile {
		l.AllowedIPs = append(l.AllowedIPs, p.AllowedIPs...)
	}
	if p.Endpoint.IsValid() {
		l.Endpoint = p.Endpoint.String()
	}
	if !p.LastHandshake.IsZero() {
		l.LatestHandshake = p.LastHandshake.Unix()
	}
}

// printPeers prints a table, in which a dash is what is not known.
func printPeers(b *bytes.Buffer, list []*listed, now time.Time) {
	if len(list) == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tADDRESSES\tLAST HANDSHAKE\tEXPIRES\tPUBLIC KEY")
	for _, l := range list {
		var addresses []string
		for _, p := range l.AllowedIPs {
			text := p.String()
			if p.IsSingleIP() {
				text = p.Addr().String()
			}
			addresses = append(addresses, text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%v", cmp.Or(l.Name, "-"), cmp.Or(strings.Join(addresses, ", "), "-"), l.heard(now), l.ends(now), l.PublicKey)
		if !l.InFile {
			fmt.Fprint(w, "  (not in the file)")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// heard says when the last handshake was.
func (l *listed) heard(now time.Time) string {
	switch {
	case l.LatestHandshake != 0:
		return roughly(max(0, now.Sub(time.Unix(l.LatestHandshake, 0)))) + " ago"
	case l.Up:
		return "never"
	}
	return "-"
}

// ends says when the peer's access ends.
func (l *listed) ends(now time.Time) string {
	switch {
	case l.Expires.IsZero():
		return "-"
	case l.Expired:
		return "expired " + l.Expires.Format(time.DateOnly)
	}
	return "in " + roughly(l.Expires.Sub(now))
}

// roughly writes a duration in its largest unit.
func roughly(d time.Duration) string {
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= 2*unit.length {
			return fmt.Sprintf("%d %s", (d+unit.length/2)/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
