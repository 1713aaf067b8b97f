//go:build linux

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// callers are many peers of one responder, and initiations of theirs, made
// beforehand so that making them takes no time from the responder.
type callers struct {
	private key.Private // the responder's
	peers   []*caller
	// initiations are in an order in which each peer calls once before any calls
	// again. Each one's sender index is its place.
	initiations []wire.Initiation
}

// caller is one peer.
type caller struct {
	local  *noise.Local
	remote *noise.Remote // the responder
	macs   *cookie.Generator
	calls  int // initiations made
}

// newCallers makes peers, each with calls initiations.
func newCallers(peers, calls int) (*callers, error) {
	c := &callers{peers: make([]*caller, peers), initiations: make([]wire.Initiation, peers*calls)}
	var err error
	if c.private, err = key.NewPrivate(rand.Reader); err != nil {
		return nil, err
	}
	responder := c.private.Public()
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for at := w; at < peers && errs[w] == nil; at += workers {
				c.peers[at], errs[w] = newCaller(responder)
				for i := at; i < len(c.initiations) && errs[w] == nil; i += peers {
					_, errs[w] = c.peers[at].call(uint32(i), &c.initiations[i])
				}
			}
		})
	}
	all.Wait()
	return c, errors.Join(errs...)
}

func newCaller(responder key.Public) (*caller, error) {
	private, err := key.NewPrivate(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &caller{noise.NewLocal(&private), noise.NewRemote(responder), cookie.NewGenerator(responder), 0}, nil
}

// epoch is the time of every caller's first initiation.
var epoch = time.Now()

// call makes the peer's next initiation.
func (c *caller) call(index uint32, msg *wire.Initiation) (*noise.Initiator, error) {
	// A responder takes later timestamps only, so each is a second after the last.
	stamp := noise.Stamp(epoch.Add(time.Duration(c.calls) * time.Second))
	c.calls++
	initiator, err := noise.Initiate(c.local, c.remote, index, stamp, rand.Reader, msg)
	if err != nil {
		return nil, fmt.Errorf("make an initiation: %w", err)
	}
	c.macs.AddMACs(msg[:], 0)
	return initiator, nil
}

// configuration are the lines that make the responder know its callers.
func (c *callers) configuration() []string {
	lines := []string{"private_key=" + c.private.Hex()}
	for i, peer := range c.peers {
		lines = append(lines,
			"public_key="+peer.local.Public().Hex(),
			fmt.Sprintf("allowed_ip=10.%d.%d.%d/32", i>>16&255, i>>8&255, i&255))
	}
	return lines
}
