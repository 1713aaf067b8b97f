package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// Addresses inside the tunnel.
var (
	serverAddr = netip.MustParseAddr("10.77.0.1")
	clientAddr = netip.MustParseAddr("10.77.0.2")
)

const (
	serverName = "server"
	clientName = "client"
	hidden     = "(hidden)"
)

// identities are the keys of both ends, before they are in files.
type identities struct {
	server, client key.Private
	preshared      key.Preshared
}

func newIdentities() (*identities, error) {
	ids := new(identities)
	var errs [3]error
	ids.server, errs[0] = key.NewPrivate(rand.Reader)
	ids.client, errs[1] = key.NewPrivate(rand.Reader)
	ids.preshared, errs[2] = key.NewPreshared(rand.Reader)
	return ids, errors.Join(errs[:]...)
}

func (ids *identities) erase() {
	ids.server.Erase()
	ids.client.Erase()
	ids.preshared.Erase()
}

// serverConf is the file of the end that is called, and so needs no endpoint.
func (ids *identities) serverConf() *conf.Config {
	return ids.conf(&ids.server, serverAddr, conf.Peer{
		Name:      conf.Given(clientName),
		PublicKey: conf.Given(ids.client.Public()),
	}, clientAddr)
}

// clientConf is the file of the end that calls, and that asks for new keys.
func (ids *identities) clientConf(server netip.AddrPort, limit uint64) *conf.Config {
	c := ids.conf(&ids.client, clientAddr, conf.Peer{
		Name:      conf.Given(serverName),
		PublicKey: conf.Given(ids.server.Public()),
		Endpoint:  conf.Given(conf.Endpoint{Host: server.Addr().String(), Port: server.Port()}),
	}, serverAddr)
	c.Interface.RekeyAfterPackets = conf.Given(limit)
	return c
}

// conf completes a file for one end, which is at addr, and the other end peer.
// The keys in it are copies.
func (ids *identities) conf(own *key.Private, addr netip.Addr, peer conf.Peer, peerAddr netip.Addr) *conf.Config {
	const bits = 24
	peer.Preshared = conf.Given(ids.preshared.Clone())
	peer.AllowedIPs = []conf.AllowedIP{{Prefix: netip.PrefixFrom(peerAddr, peerAddr.BitLen())}}
	return &conf.Config{
		Interface: conf.Interface{
			PrivateKey: conf.Given(own.Clone()),
			Addresses:  []conf.Setting[netip.Prefix]{conf.Given(netip.PrefixFrom(addr, bits))},
		},
		Peers: []conf.Peer{peer},
	}
}

// configFile is a config file on disk, and what a person may see of it.
type configFile struct {
	path  string
	shown []string // its lines, without secrets
}

// writeConfig writes c to a file in folder, erases the keys in c, and returns the
// file.
func writeConfig(folder, name string, c *conf.Config) (*configFile, error) {
	defer c.Erase()
	text := c.Format()
	defer clear(text)
	f := &configFile{path: filepath.Join(folder, name+".conf"), shown: withoutSecrets(text)}
	return f, os.WriteFile(f.path, text, 0o600)
}

// withoutSecrets returns the lines of a config file as they may be shown.
func withoutSecrets(text []byte) []string {
	var lines []string
	for line := range bytes.Lines(text) {
		name, _, _ := bytes.Cut(line, []byte("="))
		switch name := string(bytes.TrimSpace(name)); name {
		case "PrivateKey", "PresharedKey":
			lines = append(lines, name+" = "+hidden)
		default:
			lines = append(lines, strings.TrimRight(string(line), "\n"))
		}
	}
	return lines
}

// read reads the file back: the addresses for the device, and what the engine
// is to be told. The keys in it are the caller's to erase.
func (f *configFile) read(ctx context.Context) ([]netip.Prefix, *uapi.Config, error) {
	text, warnings, err := conf.ReadFile(f.path)
	if err != nil {
		return nil, nil, err
	}
	defer clear(text)
	c, more, err := conf.Parse(f.path, text, conf.WGQuick)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range append(warnings, more...) {
		return nil, nil, fmt.Errorf("our own file has something odd in it: %v", w)
	}
	resolver, err := setting.NewResolver("0", nil)
	if err != nil {
		return nil, nil, err
	}
	u, err := setting.FromConf(ctx, c, f.path, resolver, func(conf.Warning) {})
	if err != nil {
		return nil, nil, err
	}
	var addrs []netip.Prefix
	for _, a := range c.Interface.Addresses {
		addrs = append(addrs, a.Value)
	}
	return addrs, u, nil
}
