package engine

import (
	"reflect"

	"vpn/tunnel/uapi"
)

// observed is a backend whose changes are told of, if somebody wants to know.
func observed(b uapi.Backend, changed func()) uapi.Backend {
	if changed == nil {
		return b
	}
	return &observable{b, changed}
}

type observable struct {
	uapi.Backend
	changed func()
}

func (o *observable) Set(c *uapi.Config) error {
	err := o.Backend.Set(c)
	if err == nil && changes(c) {
		o.changed()
	}
	return err
}

// changes says whether a request sets anything but candidates.
func changes(c *uapi.Config) bool {
	top := *c
	top.Peers = nil
	if !reflect.ValueOf(top).IsZero() {
		return true
	}
	for i := range c.Peers {
		p := c.Peers[i]
		empty := uapi.PeerConfig{PublicKey: p.PublicKey, UpdateOnly: true}
		p.Candidates = nil
		if !reflect.DeepEqual(p, empty) {
			return true
		}
	}
	return false
}
