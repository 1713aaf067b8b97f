// Package save writes to a configuration file what an interface has by now: what
// wg-quick's SaveConfig does, but for comments, order, directives and the names
// of hosts, which stay.
package save

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

// Live is what an interface has.
type Live struct {
	*uapi.Device
	Addresses []netip.Prefix // of the link, as the kernel shows them
	MTU       int
	Now       time.Time // when that was
}

// Save writes to the file at path what the interface of that name has. Nothing is
// written if the file says all that already. It waits a little for the names of
// endpoints to be looked up, and no longer than ctx. Had is what the interface had
// last, where nobody is left who could be asked; else nil. Its keys stay the
// caller's.
func Save(ctx context.Context, path, name string, had *uapi.Device) error {
	text, _, err := configfile.File{Name: name, Path: path}.Read()
	if err != nil {
		return err
	}
	defer clear(text)
	c, _, err := conf.Parse(path, text, conf.WGQuick)
	if err != nil {
		return err
	}
	defer c.Erase()
	live := &Live{Device: had, Now: time.Now()}
	if had == nil {
		if live.Device, err = ask(name); err != nil {
			return fmt.Errorf("save %s: %w", name, err)
		}
		defer live.Erase()
	}
	live.Addresses, live.MTU, err = link(name)
	switch {
	case err == nil:
	case had == nil:
		return fmt.Errorf("save %s: %w", name, err)
	default: // a link that is gone leaves the file its addresses
		live.Addresses, live.MTU = addresses(c), c.Interface.MTU.Value
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	live.apply(c, newNames(ctx, name, live.FwMark).has)
	merged, err := c.Merge(path, text)
	if err != nil {
		return err
	}
	defer clear(merged)
	if bytes.Equal(merged, text) {
		return nil
	}
	return configfile.Write(path, merged)
}

// ask asks the interface.
func ask(name string) (*uapi.Device, error) {
	client, err := uapi.Dial(name)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Get()
}

// addresses are those that a file gives.
func addresses(c *conf.Config) (all []netip.Prefix) {
	for _, a := range c.Interface.Addresses {
		all = append(all, a.Value)
	}
	return all
}
