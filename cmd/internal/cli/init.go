package cli

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/facts"
	"vpn/cmd/internal/newconf"
	"vpn/conf"
	"vpn/conf/lint"
	"vpn/noise/key"
)

func newInit() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init NAME|FILE|- [--gateway [LINK]] [--endpoint HOST[:PORT]] [--address ADDRESS/LENGTH,...] [--port PORT]",
		Short: "Write a config file for a first machine",
		Long: `Write the config file of a machine that others are to reach: a new private key,
a port, and networks for the tunnel that are not in use on this host, a private
/24 and an IPv6 /64 drawn at random. "vpn up" brings it up, "vpn peer add" adds
the others and makes their files. A file that is there already is left as it is;
"-" is standard output.

With --gateway, peers reach what this machine reaches by LINK, the Internet for
one: their packets leave with this machine's address. Without LINK it is the
link of the default route.

The endpoint, at which peers reach this machine, is kept in the file for theirs:
as "#vpn: PublicEndpoint = HOST:PORT", a comment to wg and wg-quick. Where none
is given and this machine has a public address, that is taken.`,
		Example: `  vpn init wg0 --gateway --endpoint vpn.example.com
  vpn init wg0 --gateway=eth1 --address 10.9.0.1/24,fd00:9::1/64 --port 443
  vpn init ./office.conf --endpoint 203.0.113.7:51820`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && o.gateway == defaultRoute { // LINK stands by itself
				return nil
			}
			return exactly(1)(cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&o.gateway, "gateway", "", "let peers reach what this machine reaches by `LINK`")
	f.Lookup("gateway").NoOptDefVal = defaultRoute
	f.StringVar(&o.endpoint, "endpoint", "", "where peers reach this machine, as `HOST[:PORT]`")
	f.StringSliceVar(&o.addresses, "address", nil, "this machine's addresses in the tunnel, as `ADDRESS/LENGTH,...`")
	f.Uint16Var(&o.port, "port", 0, "the UDP `PORT` to listen on; else the first from 51820 up that is free")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			o.gateway = args[1]
		}
		return o.run(cmd, args[0])
	}
	return cmd
}

// defaultRoute stands for the link of the default route: no link has such a name.
const defaultRoute = "default route"

type initOptions struct {
	gateway   string
	endpoint  string
	addresses []string
	port      uint16
}

func (o *initOptions) run(cmd *cobra.Command, arg string) error {
	f, err := configfile.Find(arg)
	if err != nil {
		return err
	}
	if f.Path != "" {
		if _, err := os.Lstat(f.Path); err == nil {
			return hint(fmt.Errorf("%s is there already", f.Path), "it is left as it is; \"vpn peer add %s PEER\" adds a peer to it", arg)
		}
	}
	if cmd.Flags().Changed("port") && o.port == 0 {
		return usage(cmd, "--port 0 is no port that peers could know")
	}
	host, err := facts.Read(f.Name, nil)
	if err != nil {
		return err
	}
	m, err := o.machine(host, neighbours())
	if err != nil {
		return err
	}
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		return err
	}
	m.Interface.PrivateKey = conf.Given(k)
	defer m.Erase()
	text := m.Format()
	defer clear(text)
	if f.Path == "" {
		return writeAll(cmd, text)
	}
	if err := configfile.Create(f.Path, text); err != nil {
		return err
	}
	o.tell(cmd, f, arg, m)
	return nil
}

// tell says what was chosen, and what comes next.
func (o *initOptions) tell(cmd *cobra.Command, f configfile.File, arg string, m *conf.Config) {
	out, i := cmd.ErrOrStderr(), &m.Interface
	var addresses []string
	for _, a := range i.Addresses {
		addresses = append(addresses, a.Value.String())
	}
	fmt.Fprintf(out, "note: %s is written: addresses %s, port %d, public key %v\n", f.Path, strings.Join(addresses, " and "), i.ListenPort.Value, i.PrivateKey.Value.Public())
	if i.Masquerade.Given {
		fmt.Fprintf(out, "note: peers will reach what this machine reaches by %s\n", i.Masquerade.Value)
	}
	switch {
	case i.PublicEndpoint.Given:
		fmt.Fprintf(out, "note: peers will look for it at %v\n", i.PublicEndpoint.Value)
	default:
		fmt.Fprintf(out, "note: this machine has no public address that could be written into the files of peers: give \"vpn peer add\" an --endpoint\n")
	}
	if _, err := net.InterfaceByName(f.Name); err == nil {
		fmt.Fprintf(out, "warning: there is a link %s already: it has to go before this one can come up\n", f.Name)
	}
	fmt.Fprintf(out, "hint: \"vpn up %s\" brings it up, \"vpn peer add %s laptop\" adds a machine\n", arg, arg)
}

// machine is the file, but for the key.
func (o *initOptions) machine(host *lint.Host, others []*conf.Config) (*conf.Config, error) {
	m := &conf.Config{}
	i := &m.Interface
	addresses, err := o.chooseAddresses(host, others)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		i.Addresses = append(i.Addresses, conf.Given(a))
	}
	port := o.port
	if port == 0 {
		port = freePort(others)
	}
	i.ListenPort = conf.Given(port)
	switch {
	case o.endpoint != "":
		e, err := endpointOf(o.endpoint, port)
		if err != nil {
			return nil, err
		}
		i.PublicEndpoint = conf.Given(e)
	default:
		if a, ok := publicAddress(host); ok {
			i.PublicEndpoint = conf.Given(conf.Endpoint{Host: a.String(), Port: port})
		}
	}
	if o.gateway != "" {
		link, err := gatewayLink(o.gateway, host)
		if err != nil {
			return nil, err
		}
		i.Masquerade = conf.Given(link)
	}
	return m, nil
}

// chooseAddresses returns the addresses that were asked for, or else those of
// networks that nobody here has.
func (o *initOptions) chooseAddresses(host *lint.Host, others []*conf.Config) (addresses []netip.Prefix, err error) {
	for _, text := range o.addresses {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return nil, hint(fmt.Errorf("--address %q is not an address with the length of its network", text), "write it as in 10.9.0.1/24")
		case p.Addr() == p.Masked().Addr() && !p.IsSingleIP() && p.Bits() < p.Addr().BitLen()-1:
			return nil, hint(fmt.Errorf("--address %s is a network, and not an address in it", text), "the first is %v", newconf.First(p))
		}
		if r, taken := host.Taken(p.Masked()); taken {
			return nil, hint(fmt.Errorf("--address %s overlaps %v, which this host reaches by %s", text, r.Prefix, r.Link), "without --address a network is chosen that is free")
		}
		addresses = append(addresses, p)
	}
	if len(addresses) > 0 {
		return addresses, nil
	}
	var taken []netip.Prefix
	for _, r := range host.Routes {
		taken = append(taken, r.Prefix)
	}
	for _, l := range host.Links {
		for _, a := range l.Addresses {
			taken = append(taken, a.Masked())
		}
	}
	for _, c := range others {
		taken = append(taken, newconf.Taken(c)...)
		for _, a := range c.Interface.Addresses {
			taken = append(taken, a.Value.Masked())
		}
	}
	for _, choose := range []func() (netip.Prefix, error){
		func() (netip.Prefix, error) { return newconf.Network4(rand.Reader, taken) },
		func() (netip.Prefix, error) { return newconf.Network6(rand.Reader, taken) },
	} {
		network, err := choose()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, newconf.First(network))
	}
	return addresses, nil
}

// neighbours are the other files that are found by name, as far as they can be
// read.
func neighbours() (all []*conf.Config) {
	paths, _ := filepath.Glob(filepath.Join(configfile.Dir, "*.conf")) // the pattern is a good one
	for _, path := range paths {
		if c := configfile.Peek(path); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// freePort returns the first port from 51820 up that no other file has, and no
// program on this host.
func freePort(others []*conf.Config) uint16 {
	const usual = 51820
ports:
	for port := uint16(usual); port != 0; port++ {
		for _, c := range others {
			if c.Interface.ListenPort.Value == port {
				continue ports
			}
		}
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
		if err != nil {
			continue
		}
		conn.Close()
		return port
	}
	return usual
}

// publicAddress returns the address of the default route's link at which anybody
// can reach this host, if it has one.
func publicAddress(host *lint.Host) (netip.Addr, bool) {
	shared := netip.MustParsePrefix("100.64.0.0/10") // of providers that translate
	for _, six := range []bool{false, true} {
		r, ok := host.Default(six)
		if !ok {
			continue
		}
		for _, l := range host.Links {
			for _, p := range l.Addresses {
				if a := p.Addr(); l.Name == r.Link && a.Is6() == six && a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a) {
					return a, true
				}
			}
		}
	}
	return netip.Addr{}, false
}

// gatewayLink finds the link that packets are to leave by.
func gatewayLink(name string, host *lint.Host) (string, error) {
	if name == defaultRoute {
		for _, six := range []bool{false, true} {
			if r, ok := host.Default(six); ok {
				return r.Link, nil
			}
		}
		return "", hint(fmt.Errorf("this host has no default route, so it is not known by which link packets are to leave"), "name it: --gateway=LINK")
	}
	var names []string
	for _, l := range host.Links {
		if l.Name == name {
			return name, nil
		}
		if l.Name != "lo" {
			names = append(names, l.Name)
		}
	}
	return "", hint(fmt.Errorf("--gateway: there is no link %s", name), "%s", thereAre(names))
}

// thereAre lists what could have been meant.
func thereAre(names []string) string {
	if len(names) == 0 {
		return "there is none"
	}
	return "there are " + strings.Join(names, ", ")
}

// endpointOf reads HOST[:PORT].
func endpointOf(text string, port uint16) (conf.Endpoint, error) {
	full := text
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		full = netip.AddrPortFrom(a, port).String()
	} else if !strings.Contains(text, ":") {
		full = fmt.Sprintf("%s:%d", text, port)
	}
	e, err := conf.ParseEndpoint(full)
	if err != nil {
		return e, hint(fmt.Errorf("--endpoint %w", err), "write it as in vpn.example.com, 203.0.113.7:51820 or [2001:db8::7]:51820")
	}
	if e.Port == 0 {
		return e, fmt.Errorf("--endpoint %q: nothing can be sent to port 0", text)
	}
	return e, nil
}

// writeAll writes a file with keys in it to standard output.
func writeAll(cmd *cobra.Command, text []byte) error {
	out := cmd.OutOrStdout()
	if worldReadable(out) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the keys go to a file that everybody may read\nhint: run \"umask 077\" first\n")
	}
	_, err := out.Write(text)
	return err
}
