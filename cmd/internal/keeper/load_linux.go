package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// loaded is what a file says, with its keys.
type loaded struct {
	file     configfile.File
	label    string // the file's, for errors and for the journal
	hash     string // of its text
	conf     *conf.Config
	set      *uapi.Config // shares the keys of conf
	warnings []string
}

// erase forgets the keys.
func (l *loaded) erase() {
	l.conf.Erase()
	l.set.Erase()
}

// Pin puts a configuration that no file of the user's has where the keeper of
// that link looks for it. The link's lock is held meanwhile.
func Pin(name string, text []byte) error {
	lock, err := Acquire(name, "vpn up "+name)
	if err != nil {
		return explainHeld(err)
	}
	err = writePin(name, text)
	if err != nil {
		removePin(name)
	}
	lock.Release()
	return err
}

func writePin(name string, text []byte) error {
	return host.Replace(host.RunPath(name, configFile), text)
}

// removePin deletes the pinned configuration, if there is one.
func removePin(name string) { _ = os.Remove(host.RunPath(name, configFile)) }

// pinned is the file of what is pinned.
func (k *Keeper) pinned() configfile.File {
	return configfile.File{Name: k.name, Path: host.RunPath(k.name, configFile)}
}

// load reads what is to be in force: what is pinned, or else the file.
func (k *Keeper) load(ctx context.Context) (*loaded, error) {
	text, _, err := k.pinned().Read()
	if errors.Is(err, os.ErrNotExist) && k.c.File.Path != "" {
		return Load(ctx, k.c.File)
	}
	if err != nil {
		return nil, err
	}
	return parse(ctx, k.c.File, text, nil)
}

// Check reads a file as a keeper would, and returns its warnings.
func Check(ctx context.Context, f configfile.File) (warnings []string, err error) {
	l, err := Load(ctx, f)
	if err != nil {
		return nil, err
	}
	l.erase()
	return l.warnings, nil
}

// Load reads a file.
func Load(ctx context.Context, f configfile.File) (*loaded, error) {
	text, warnings, err := f.Read()
	if errors.Is(err, os.ErrNotExist) {
		return nil, WithCode(err, CodeConfig) // trying again does not make the file
	}
	if err != nil {
		clear(text)
		return nil, ofConfig(err)
	}
	return parse(ctx, f, text, warnings)
}

// parse makes a loaded of a file's text, which it erases. Key files that it names
// are read, and peers whose time is over left out. Host names among the endpoints are left to be looked up.
func parse(ctx context.Context, f configfile.File, text []byte, warnings []conf.Warning) (*loaded, error) {
	defer clear(text)
	l := &loaded{file: f, label: f.String()}
	sum := sha256.Sum256(text)
	l.hash = hex.EncodeToString(sum[:])
	c, more, err := conf.Parse(l.label, text, conf.WGQuick)
	if err != nil {
		return nil, ofConfig(err)
	}
	warn := func(w conf.Warning) { l.warnings = append(l.warnings, w.String()) }
	for _, w := range append(warnings, more...) {
		warn(w)
	}
	for _, w := range c.DropExpired(l.label, time.Now()) {
		warn(w)
	}
	l.conf = c
	l.set, err = setting.FromConf(ctx, withoutNames(c), l.label, nil, warn)
	if err != nil {
		c.Erase()
		return nil, ofConfig(err)
	}
	return l, nil
}

// withoutNames returns the config with those endpoints only that are addresses.
// It shares all else.
func withoutNames(c *conf.Config) *conf.Config {
	plain := *c
	plain.Peers = make([]conf.Peer, len(c.Peers))
	copy(plain.Peers, c.Peers)
	for i := range plain.Peers {
		if _, is := plain.Peers[i].Endpoint.Value.Addr(); !is {
			plain.Peers[i].Endpoint = conf.Setting[conf.Endpoint]{}
		}
	}
	return &plain
}

// ofConfig gives errors that a file is to blame for their exit code.
func ofConfig(err error) error {
	var c *conf.Error
	if errors.As(err, &c) {
		return WithCode(err, CodeConfig)
	}
	return err
}

// endpointOf is what a file gives as a peer's endpoint, for each peer; the last
// section counts.
func endpointsOf(c *conf.Config) map[key.Public]conf.Endpoint {
	all := make(map[key.Public]conf.Endpoint, len(c.Peers))
	for i := range c.Peers {
		if p := &c.Peers[i]; p.Endpoint.Given {
			all[p.PublicKey.Value] = p.Endpoint.Value
		}
	}
	return all
}

// toward returns where the tunnel's messages will go, as far as that is known.
func toward(peers []lookup.Peer, known func(key.Public) []netip.AddrPort) []netip.Addr {
	var all []netip.Addr
	seen := make(map[netip.Addr]bool)
	for _, p := range peers {
		for _, at := range known(p.Key) {
			if a := at.Addr().Unmap(); !seen[a] {
				seen[a] = true
				all = append(all, a)
			}
		}
	}
	return all
}
