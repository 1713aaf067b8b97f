package gather

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// kernelNames lists the links of the kernel's own WireGuard.
func kernelNames() (names []string, err error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // then most are there
		return nil, fmt.Errorf("list the links: %w", err)
	}
	for _, l := range links {
		if l.Type() == "wireguard" {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

func linkIsUp(name string) bool {
	i, err := net.InterfaceByName(name)
	return err == nil && i.Flags&net.FlagUp != 0
}

// kernelLink is an interface of the kernel's own.
type kernelLink struct{ name string }

// Status implements report.Source.
func (k kernelLink) Status(_ context.Context, q report.Query, tell func(*report.Line) error) error {
	c, err := wgctrl.New()
	if err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	defer c.Close()
	d, err := c.Device(k.name)
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("ask the kernel about %s: %w", k.name, control.ErrForRoot)
	case err != nil:
		return fmt.Errorf("ask the kernel about %s: %w", k.name, err)
	}
	defer clear(d.PrivateKey[:])
	u := deviceOf(d)
	defer u.Erase()
	return tellDevice(k.name, report.EngineKernel, u, q, tell)
}

// Events implements report.Source.
func (kernelLink) Events(context.Context, report.Query, func(*report.Line) error) error {
	return ErrNoEvents
}

// deviceOf is what the kernel tells as the configuration protocol would, without its keys: of a preshared one only whether there is any.
func deviceOf(d *wgtypes.Device) *uapi.Device {
	u := &uapi.Device{PublicKey: key.Public(d.PublicKey), ListenPort: uint16(d.ListenPort), FwMark: uint32(d.FirewallMark)}
	for i := range d.Peers {
		p := &d.Peers[i]
		one := uapi.Peer{
			PublicKey: key.Public(p.PublicKey), Keepalive: uint16(p.PersistentKeepaliveInterval / time.Second),
			Rx: uint64(p.ReceiveBytes), Tx: uint64(p.TransmitBytes),
		}
		if preshared, err := key.PresharedFromBytes(p.PresharedKey[:]); err == nil {
			one.Preshared = preshared
		}
		clear(p.PresharedKey[:])
		if !p.LastHandshakeTime.IsZero() && p.LastHandshakeTime.Unix() > 0 {
			one.LastHandshake = p.LastHandshakeTime
		}
		if p.Endpoint != nil {
			at := p.Endpoint.AddrPort()
			one.Endpoint = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		}
		for _, n := range p.AllowedIPs {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				ones, _ := n.Mask.Size()
				one.AllowedIPs = append(one.AllowedIPs, netip.PrefixFrom(a.Unmap(), ones))
			}
		}
		u.Peers = append(u.Peers, one)
	}
	return u
}
