package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// loaded is what a file says, with its keys.
type loaded struct {
	file     configfile.File
	label    string // the file's, for errors and for the journal
	hash     string // of its text
	text     []byte
	conf     *conf.Config
	set      *uapi.Config // shares the keys of conf, unless live
	live     bool         // set is what an engine had, and not what the file says
	expired  []key.Public // peers of the file whose time is over
	warnings []string
}

// erase forgets the keys.
func (l *loaded) erase() {
	clear(l.text)
	l.conf.Erase()
	if l.set != nil {
		l.set.Erase()
	}
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

// parse makes a loaded of a file's text, which becomes its own. Key files that it
// names are read, and peers whose time is over left out. Host names among the
// endpoints are left to be looked up.
func parse(ctx context.Context, f configfile.File, text []byte, warnings []conf.Warning) (*loaded, error) {
	l, err := parseText(f, text, warnings...)
	if err != nil {
		return nil, err
	}
	return l, l.fromConf(ctx)
}

// parseText is parse without what the engine is given.
func parseText(f configfile.File, text []byte, warnings ...conf.Warning) (*loaded, error) {
	l := &loaded{file: f, label: f.String(), hash: hashOf(text), text: text}
	c, more, err := conf.Parse(l.label, text, conf.WGQuick)
	if err != nil {
		clear(text)
		return nil, ofConfig(err)
	}
	all := make(map[key.Public]bool)
	for i := range c.Peers {
		all[c.Peers[i].PublicKey.Value] = true
	}
	more = append(more, c.DropExpired(l.label, time.Now())...)
	for _, w := range append(warnings, more...) {
		l.warnings = append(l.warnings, w.String())
	}
	for i := range c.Peers {
		delete(all, c.Peers[i].PublicKey.Value)
	}
	l.expired = slices.Collect(maps.Keys(all))
	l.conf = c
	return l, nil
}

// fromConf makes of the file what the engine is given. If it fails, l is erased.
func (l *loaded) fromConf(ctx context.Context) (err error) {
	warn := func(w conf.Warning) { l.warnings = append(l.warnings, w.String()) }
	l.set, err = setting.FromConf(ctx, withoutNames(l.conf), l.label, nil, warn)
	if err != nil {
		l.erase()
		return ofConfig(err)
	}
	if i := &l.conf.Interface; l.set.PrivateKey == nil && len(i.PreUp)+len(i.PostUp) == 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: there is no PrivateKey: the tunnel shakes no hands until \"wg set %s private-key FILE\" gives it one", l.label, l.file.Name))
	}
	return nil
}

// dropExpired leaves out peers whose time is over.
func (l *loaded) dropExpired() {
	l.set.Peers = slices.DeleteFunc(l.set.Peers, func(p uapi.PeerConfig) bool {
		over := slices.Contains(l.expired, p.PublicKey)
		if over && p.Preshared != nil {
			p.Preshared.Erase()
		}
		return over
	})
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
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
