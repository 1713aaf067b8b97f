// Package setting makes configuration for an interface: out of a file, out of
// the arguments of "set", and out of the difference between a file and what an
// interface has. It resolves endpoints and reads key files, and leaves talking
// to the interface to others.
package setting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// FromConf returns what a file asks of the interface itself: keys, peers, port
// and mark, without a word about addresses, routes and the rest, which are the
// host's. It is what "addconf" applies; Whole makes of it what "setconf" does.
//
// The file is named as it was opened: errors begin with its name, and key files
// that it names are found beside it. Resolve is asked for every endpoint, in
// order, and warn is told of what is odd. The result shares the keys of c.
func FromConf(ctx context.Context, c *conf.Config, file string, resolve *Resolver, warn func(conf.Warning)) (*uapi.Config, error) {
	t := translation{file: file, warn: warn}
	u := &uapi.Config{
		ListenPort:        pointer(c.Interface.ListenPort),
		FwMark:            pointer(c.Interface.FwMark),
		RekeyAfterTime:    pointer(c.Interface.RekeyAfterTime),
		RekeyAfterPackets: pointer(c.Interface.RekeyAfterPackets),
		Peers:             make([]uapi.PeerConfig, 0, len(c.Peers)),
	}
	var err error
	if u.PrivateKey, err = t.private(c.Interface); err != nil {
		return nil, err
	}
	for i := range c.Peers {
		p := &c.Peers[i]
		peer := uapi.PeerConfig{
			PublicKey:         p.PublicKey.Value,
			Keepalive:         pointer(p.Keepalive),
			ReplaceAllowedIPs: !p.Incremental,
			AllowedIPs:        make([]uapi.AllowedIP, len(p.AllowedIPs)),
		}
		for i, a := range p.AllowedIPs {
			peer.AllowedIPs[i] = uapi.AllowedIP{Prefix: a.Prefix, Remove: a.Remove}
		}
		if peer.Preshared, err = t.preshared(p); err != nil {
			return nil, err
		}
		if p.Endpoint.Given {
			if peer.Endpoint, err = resolve.Resolve(ctx, p.Endpoint.Value); err != nil {
				return nil, t.at(p.Endpoint.Line, fmt.Errorf("Endpoint %w", err)) //nolint:staticcheck // the key as files have it
			}
		}
		u.Peers = append(u.Peers, peer)
	}
	return u, nil
}

// Whole makes u the whole configuration of an interface, instead of additions
// to one: what it leaves out is taken away. The limits on sessions, which only
// our own interfaces know, are reset where limited says that there are some.
func Whole(u *uapi.Config, limited *uapi.Device) {
	u.ReplacePeers = true
	orZero(&u.PrivateKey)
	orZero(&u.ListenPort)
	orZero(&u.FwMark)
	if limited.RekeyAfterTime != 0 {
		orZero(&u.RekeyAfterTime)
	}
	if limited.RekeyAfterPackets != 0 {
		orZero(&u.RekeyAfterPackets)
	}
}

func orZero[T any](p **T) {
	if *p == nil {
		*p = new(T)
	}
}

func pointer[T any](s conf.Setting[T]) *T {
	if !s.Given {
		return nil
	}
	return &s.Value
}

// A translation knows the file that is translated.
type translation struct {
	file string
	warn func(conf.Warning)
}

func (t translation) at(line int, err error) error {
	return fmt.Errorf("%s:%d: %w", t.file, line, err)
}

func (t translation) private(i conf.Interface) (*key.Private, error) {
	if !i.PrivateKeyFile.Given {
		return pointer(i.PrivateKey), nil
	}
	return keyFromFile(t, "PrivateKeyFile", i.PrivateKeyFile, ReadPrivate)
}

func (t translation) preshared(p *conf.Peer) (*key.Preshared, error) {
	if !p.PresharedKeyFile.Given {
		return pointer(p.Preshared), nil
	}
	return keyFromFile(t, "PresharedKeyFile", p.PresharedKeyFile, ReadPreshared)
}

func keyFromFile[K any, P secret[K]](t translation, setting string, named conf.Setting[string], read func(io.Reader) (K, error)) (P, error) {
	k, err := keyFrom[K, P](t, named.Value, read)
	if err != nil {
		return nil, t.at(named.Line, fmt.Errorf("%s %q: %w", setting, named.Value, err))
	}
	return k, nil
}

// secret is a pointer to a key.
type secret[K any] interface {
	*K
	IsZero() bool
	Erase()
}

// keyFrom reads the key in a file that the translated file names.
func keyFrom[K any, P secret[K]](t translation, name string, read func(io.Reader) (K, error)) (P, error) {
	path, err := t.path(name)
	if err != nil {
		return nil, err
	}
	text, warnings, err := conf.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	for _, w := range warnings {
		t.warn(w)
	}
	k, err := read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if P(&k).IsZero() {
		return nil, errors.New("there is no key in it")
	}
	return &k, nil
}

// OwnKey returns the private key that a file gives its interface, from a key file
// if it names one; nil if it gives none. File and warn are as for FromConf.
func OwnKey(i conf.Interface, file string, warn func(conf.Warning)) (*key.Private, error) {
	return translation{file: file, warn: warn}.private(i)
}

// CheckKeyFile says what is wrong with the key file of that name, which a
// configuration file names; nil if there is a key in it.
func CheckKeyFile(file, name string, private bool) error {
	t := translation{file: file, warn: func(conf.Warning) {}}
	if private {
		return check[key.Private](t, name, ReadPrivate)
	}
	return check[key.Preshared](t, name, ReadPreshared)
}

func check[K any, P secret[K]](t translation, name string, read func(io.Reader) (K, error)) error {
	k, err := keyFrom[K, P](t, name, read)
	if err == nil {
		k.Erase()
	}
	return err
}
