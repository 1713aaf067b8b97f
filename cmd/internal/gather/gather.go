// Package gather finds the WireGuard interfaces of a host, whoever runs them, and what each tells: ours over its control socket, those of
// the kernel over netlink, and those of other programs over the configuration protocol. The latter two tell less.
package gather

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/control"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// ErrNone says that there is no such interface. ErrNoEvents is what Events of an interface fails with that is not ours.
var (
	ErrNone     = errors.New("there is no such WireGuard interface")
	ErrNoEvents = errors.New("only an interface that vpn runs tells of events")
)

// Names lists the interfaces. For any but root it fails with control.ErrForRoot where there are interfaces that only root sees.
func Names() ([]string, error) {
	if _, err := os.ReadDir(host.RunDir); errors.Is(err, fs.ErrPermission) {
		return nil, control.ErrForRoot
	}
	names, err := control.Names()
	if err != nil {
		return nil, err
	}
	others, err := uapi.Interfaces()
	if err != nil {
		return nil, err
	}
	kernel, err := kernelNames()
	if err != nil {
		return nil, err
	}
	names = slices.Concat(names, others, kernel)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Open returns the source of an interface: ErrNone if there is none, control.ErrForRoot if this user may not ask.
func Open(name string) (report.Source, error) {
	if !uapi.ValidName(name) {
		return nil, fmt.Errorf("%q can't be the name of an interface", name)
	}
	c, err := control.Dial(name)
	switch {
	case err == nil:
		return named{c, name}, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return nil, err
	}
	u, err := uapi.Dial(name)
	switch {
	case err == nil:
		u.Close()
		return named{other{name}, name}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("ask %s: %w", name, control.ErrForRoot)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return nil, err
	}
	kernel, err := kernelNames()
	if err != nil {
		return nil, err
	}
	if slices.Contains(kernel, name) {
		return named{kernelLink{name}, name}, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNone)
}

// Snapshot asks a source once, and gathers what it tells.
func Snapshot(ctx context.Context, s report.Source, q report.Query) (*report.Interface, []report.Peer, error) {
	var i *report.Interface
	var peers []report.Peer
	err := s.Status(ctx, q, func(l *report.Line) error {
		switch {
		case l.Interface != nil:
			i = l.Interface
		case l.Peer != nil:
			peers = append(peers, *l.Peer)
		}
		return nil
	})
	if err == nil && i == nil {
		err = report.ErrCutShort
	}
	return i, peers, err
}

// named gives peers that have no name yet the one that they have in the interface's file in /etc/wireguard, if that can be read.
type named struct {
	report.Source
	name string
}

// Status implements report.Source.
func (n named) Status(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	var names map[key.Public]string
	return n.Source.Status(ctx, q, func(l *report.Line) error {
		switch {
		case l.Interface != nil && l.Interface.Phase == "": // a keeper has told all there is
			names = fileNames(n.name)
		case l.Peer != nil && l.Peer.Name == "":
			l.Peer.Name = names[l.Peer.PublicKey]
		}
		return tell(l)
	})
}

// fileNames are the names of a file's peers, none if it can't be read: nobody has asked for it.
func fileNames(name string) map[key.Public]string {
	c := configfile.Peek(name)
	if c == nil {
		return nil
	}
	names := make(map[key.Public]string)
	for i := range c.Peers {
		if p := &c.Peers[i]; p.Name.Value != "" {
			names[p.PublicKey.Value] = p.Name.Value
		}
	}
	return names
}

// other is an interface of another program, of which the configuration protocol tells.
type other struct{ name string }

// Status implements report.Source.
func (o other) Status(_ context.Context, q report.Query, tell func(*report.Line) error) error {
	c, err := uapi.Dial(o.name)
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := c.Get()
	if err != nil {
		return err
	}
	defer d.Erase()
	return tellDevice(o.name, report.EngineOther, d, q, tell)
}

// Events implements report.Source.
func (other) Events(context.Context, report.Query, func(*report.Line) error) error {
	return ErrNoEvents
}

// tellDevice tells what the configuration protocol knows.
func tellDevice(name, engine string, d *uapi.Device, q report.Query, tell func(*report.Line) error) error {
	i := &report.Interface{
		Name: name, Now: time.Now(), Engine: engine, PublicKey: d.PublicKey, ListenPort: d.ListenPort, FwMark: d.FwMark,
		PeerCount: len(d.Peers), LinkUp: linkIsUp(name), Listening: d.ListenPort != 0,
	}
	if i.PublicKey.IsZero() && !d.PrivateKey.IsZero() {
		i.PublicKey = d.PrivateKey.Public()
	}
	if err := tell(&report.Line{Interface: i}); err != nil {
		return err
	}
	for n := range d.Peers {
		p := &d.Peers[n]
		switch {
		case len(q.Peers) > 0 && !slices.Contains(q.Peers, p.PublicKey), len(q.Peers) == 0 && q.Which == report.None,
			len(q.Peers) == 0 && q.Which == report.Active && p.LastHandshake.IsZero():
			continue
		}
		err := tell(&report.Line{Peer: &report.Peer{
			PublicKey: p.PublicKey, HasPreshared: !p.Preshared.IsZero(), Endpoint: p.Endpoint, AllowedIPs: p.AllowedIPs,
			Keepalive: p.Keepalive, LatestHandshake: p.LastHandshake, RxBytes: p.Rx, TxBytes: p.Tx,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
