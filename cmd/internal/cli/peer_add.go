package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/newconf"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

func newPeerAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add NAME|FILE PEER [--full-tunnel | --split PREFIX,...] [--expires 30d] [--public-key KEY] [--out FILE] [--qr] [--png FILE]",
		Short: "Add a peer, and make its own config file",
		Long: `Add a peer of the name PEER to a file, with the next addresses that are free in
the networks of the interface, and at once to the interface if that is up. All
else in the file stays as it is written.

Then print the peer's own file, with a private key that is kept nowhere else:
to standard output, followed by a QR code for the phone apps if that is a
terminal; or to --out, which only its owner can read. --qr asks for the code
where standard output is no terminal, too: then it goes to standard error.
With --public-key the peer's private key stays where it is, and its file is
printed without one.

Through the tunnel goes what is for its own networks; with --split what is for
those prefixes too, and with --full-tunnel everything.

--expires takes a time from now (30d, 12h, 2w), a day or a time (2030-12-31,
2030-12-31T18:00:00Z). It is kept in the file as "#vpn: Expires = ...". From
then on the peer is left out when the link comes up or is reloaded; one that is
up drops it within a minute. wg and wg-quick, to which this is a comment, do not.`,
		Example: `  vpn peer add wg0 laptop --full-tunnel --dns 9.9.9.9
  vpn peer add wg0 phone --split 192.168.1.0/24 --expires 30d --png phone.png
  vpn peer add wg0 office --out office.conf --keepalive 25
  vpn peer add wg0 server --public-key xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=`,
		Args:              exactly(2),
		ValidArgsFunction: completeConfig,
	}
	f := cmd.Flags()
	f.StringVar(&o.publicKey, "public-key", "", "the public `KEY` of a peer that has its private one already")
	f.StringVar(&o.endpoint, "endpoint", "", "where the peer reaches this machine, as `HOST[:PORT]`; else what PublicEndpoint in the file says")
	f.StringSliceVar(&o.addresses, "address", nil, "the peer's `ADDRESS,...` in the tunnel; else the next ones that are free")
	f.BoolVar(&o.fullTunnel, "full-tunnel", false, "send all of the peer's traffic through the tunnel")
	f.StringSliceVar(&o.split, "split", nil, "send what is for `PREFIX,...` through the tunnel, beside its own networks")
	f.StringSliceVar(&o.dns, "dns", nil, "DNS servers and search domains of the peer, as `ADDRESS|DOMAIN,...`")
	f.Uint16Var(&o.keepalive, "keepalive", 0, "have the peer send something every so many `SECONDS`, so that it can be reached behind a NAT")
	f.StringVar(&o.expires, "expires", "", "when the peer's access ends: a `TIME`, or how long from now")
	f.StringVarP(&o.out, "out", "o", "", "write the peer's file to `FILE`")
	f.BoolVar(&o.qr, "qr", false, "print the peer's file as a QR code")
	f.StringVar(&o.png, "png", "", "write the QR code to `FILE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.fullTunnel && len(o.split) > 0 {
			return usage(cmd, "--full-tunnel and --split can't both be meant")
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		e, err := openEdit(args[0], console(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer e.close()
		return o.run(ctx, cmd, e, args[1])
	}
	return cmd
}

type addOptions struct {
	publicKey  string
	endpoint   string
	addresses  []string
	fullTunnel bool
	split      []string
	dns        []string
	keepalive  uint16
	expires    string
	out        string
	qr         bool
	png        string
}

func (o *addOptions) run(ctx context.Context, cmd *cobra.Command, e *edit, name string) error {
	a := addition{edit: e, name: name}
	defer a.erase()
	if err := a.prepare(o, time.Now()); err != nil {
		return err
	}
	side := a.side.Config(e.conf).Format()
	defer clear(side)
	h, err := o.handOver(cmd, &a, side)
	if err != nil {
		return err
	}
	e.conf.Peers = append(e.conf.Peers, a.peer)
	live, err := e.commit(ctx, a.change())
	if err != nil {
		return errors.Join(err, h.discard())
	}
	places := e.Path
	if live {
		places += " and to " + e.Name + ", which is up"
	}
	var addresses []string
	for _, address := range a.side.Addresses {
		addresses = append(addresses, address.String())
	}
	e.show(keeper.Message{Note: fmt.Sprintf("%s is added to %s, with %s", name, places, strings.Join(addresses, " and "))})
	if o := e.conf.Interface.Masquerade; o.Value != "" && !a.side.FullTunnel && len(a.side.Split) == 0 {
		e.show(keeper.Message{Note: "only what is for the tunnel's own networks goes through it; with --full-tunnel everything would, with --split more"})
	}
	if err := h.print(); err != nil {
		return hint(err, "nobody has %s's private key now: \"vpn peer remove %s %s\", and add it again", name, e.arg, a.peer.PublicKey.Value)
	}
	return nil
}

// addition is a peer that is being added.
type addition struct {
	*edit
	name string
	peer conf.Peer    // in our file
	side newconf.Side // the peer's
}

// erase forgets the peer's private key; the preshared key is the file's.
func (a *addition) erase() {
	if a.side.Private != nil {
		a.side.Private.Erase()
	}
}

// prepare finds all that the peer and its file are made of.
func (a *addition) prepare(o *addOptions, now time.Time) error {
	for _, step := range []func(*addOptions) error{a.checkName, a.ownSide, a.chooseEndpoint, a.chooseAddresses, a.choosePrefixes, a.chooseDNS} {
		if err := step(o); err != nil {
			return err
		}
	}
	a.peer.Name = conf.Given(a.name)
	a.side.FullTunnel, a.side.Keepalive = o.fullTunnel, o.keepalive
	if o.expires != "" {
		at, err := expiry(o.expires, now)
		if err != nil {
			return err
		}
		a.peer.Expires = conf.Given(at)
	}
	return a.makeKeys(o)
}

func (a *addition) checkName(*addOptions) error {
	if _, err := key.ParsePublic(a.name); err == nil {
		return hint(errors.New("the peer's name is a key"), "give it a name for people, and the key with --public-key")
	}
	if strings.TrimSpace(a.name) != a.name || a.name == "" || len(a.name) > 255 || !utf8.ValidString(a.name) || strings.ContainsFunc(a.name, unicode.IsControl) {
		return fmt.Errorf("%q is not a name", a.name)
	}
	for i := range a.conf.Peers {
		if p := &a.conf.Peers[i]; p.Name.Given && p.Name.Value == a.name {
			return hint(fmt.Errorf("%s has a peer of the name %q already, in line %d", a.Path, a.name, p.Line), "\"vpn peer remove %s %s\" removes it", a.arg, word(a.name))
		}
	}
	return nil
}

// ownSide finds the public key of this machine, for the peer.
func (a *addition) ownSide(*addOptions) error {
	if a.side.Public = a.public; !a.public.IsZero() {
		return nil
	}
	if c, d := a.device(); c != nil { // a hook may have set it
		a.side.Public = d.PublicKey
		d.Erase()
		c.Close()
	}
	switch {
	case !a.side.Public.IsZero():
	case a.keyErr != nil:
		return a.keyErr
	default:
		return hint(fmt.Errorf("%s has no PrivateKey, so the peer can't be told the public one", a.Path), "\"vpn genkey\" makes one")
	}
	return nil
}

func (a *addition) chooseEndpoint(o *addOptions) (err error) {
	i := &a.conf.Interface
	switch {
	case o.endpoint != "":
		port := i.ListenPort.Value
		if i.PublicEndpoint.Given {
			port = i.PublicEndpoint.Value.Port
		}
		a.side.Endpoint, err = endpointOf(o.endpoint, port)
		return err
	case !i.PublicEndpoint.Given:
		return hint(fmt.Errorf("%s does not say where peers reach this machine", a.Path),
			"give --endpoint HOST[:PORT]; or add `#vpn: PublicEndpoint = HOST:PORT` to [Interface], for all peers")
	}
	a.side.Endpoint = i.PublicEndpoint.Value
	return nil
}

// chooseAddresses gives the peer addresses that nobody has, also none of those
// that were added by hand.
func (a *addition) chooseAddresses(o *addOptions) (err error) {
	networks, taken := newconf.Networks(a.conf), newconf.Taken(a.conf)
	if c, d := a.device(); c != nil {
		for i := range d.Peers {
			taken = append(taken, d.Peers[i].AllowedIPs...)
		}
		d.Erase()
		c.Close()
	}
	for _, text := range o.addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return hint(fmt.Errorf("--address %q is not an address", text), "write it without a length, as in 10.9.0.7")
		}
		if err := newconf.CheckFree(address, networks, taken); err != nil {
			return fmt.Errorf("--address: %w", err)
		}
		a.side.Addresses = append(a.side.Addresses, address)
	}
	if len(a.side.Addresses) == 0 {
		if a.side.Addresses, err = newconf.Next(networks, taken); err != nil {
			return hint(fmt.Errorf("%s: %w", a.Path, err), "give [Interface] another Address, with a larger network; or remove peers that are gone")
		}
	}
	for _, address := range a.side.Addresses {
		a.peer.AllowedIPs = append(a.peer.AllowedIPs, conf.AllowedIP{Prefix: netip.PrefixFrom(address, address.BitLen())})
	}
	return nil
}

func (a *addition) choosePrefixes(o *addOptions) error {
	for _, text := range o.split {
		p, err := netip.ParsePrefix(text)
		if address, is := netip.ParseAddr(text); is == nil {
			p, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return hint(fmt.Errorf("--split %q is not a prefix", text), "write it as in 192.168.1.0/24")
		}
		a.side.Split = append(a.side.Split, p)
	}
	return nil
}

func (a *addition) chooseDNS(o *addOptions) error {
	for _, text := range o.dns {
		if address, err := netip.ParseAddr(text); err == nil {
			a.side.DNS = append(a.side.DNS, address)
			continue
		}
		if strings.ContainsAny(text, " \t/:") || strings.Trim(text, "0123456789.") == "" {
			return hint(fmt.Errorf("--dns %q is neither an address nor a domain", text), "write it as in 9.9.9.9 or corp.example")
		}
		a.side.DNSSearch = append(a.side.DNSSearch, text)
	}
	return nil
}

func (a *addition) makeKeys(o *addOptions) error {
	if o.publicKey != "" {
		public, err := key.ParsePublic(o.publicKey)
		if err != nil {
			return fmt.Errorf("--public-key: %w", err)
		}
		for i := range a.conf.Peers {
			if p := &a.conf.Peers[i]; p.PublicKey.Value == public {
				return hint(fmt.Errorf("%s has a peer of that key already, in line %d", a.Path, p.Line), "\"vpn peer remove %s %v\" removes it", a.arg, public)
			}
		}
		if public == a.side.Public {
			return errors.New("--public-key: it is the key of this machine")
		}
		a.peer.PublicKey = conf.Given(public)
	} else {
		private, err := key.NewPrivate(rand.Reader)
		if err != nil {
			return err
		}
		a.side.Private = &private
		a.peer.PublicKey = conf.Given(private.Public())
	}
	preshared, err := key.NewPreshared(rand.Reader)
	if err != nil {
		return err
	}
	a.peer.Preshared = conf.Given(preshared)
	a.side.Preshared = &a.peer.Preshared.Value
	return nil
}

// change is what the interface is told.
func (a *addition) change() *uapi.Config {
	p := uapi.PeerConfig{PublicKey: a.peer.PublicKey.Value, Preshared: &a.peer.Preshared.Value, ReplaceAllowedIPs: true}
	for _, ip := range a.peer.AllowedIPs {
		p.AllowedIPs = append(p.AllowedIPs, uapi.AllowedIP{Prefix: ip.Prefix})
	}
	return &uapi.Config{Peers: []uapi.PeerConfig{p}}
}

// word is a name as a shell takes it.
func word(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r)
	}) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}
