//go:build darwin || freebsd || openbsd

package tun

import (
	"errors"
	"os"

	wgtun "golang.zx2c4.com/wireguard/tun"
)

// FromFile takes over a TUN descriptor that another process opened (WG_TUN_FD). An
// mtu of 0 means DefaultMTU.
func FromFile(f *os.File, mtu int, more ...*os.File) (Device, error) {
	if len(more) > 0 {
		return nil, errors.New("tun: several queues are for Linux only")
	}
	if mtu == 0 {
		mtu = DefaultMTU
	}
	d, err := wgtun.CreateTUNFromFile(f, mtu)
	if err != nil {
		return nil, err
	}
	return wrapOrClose(d)
}
