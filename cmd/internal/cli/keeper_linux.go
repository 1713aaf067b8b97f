package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"vpn/cmd/internal/cage"
	"vpn/cmd/internal/child"
	"vpn/cmd/internal/engine"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

// envKeeperFD is the number of the socket to the keeper whose engine we are.
const envKeeperFD = child.EnvKeeper

// endTime is how long an engine whose keeper is gone may take to end.
const endTime = 5 * time.Second

// serve runs the interface on what a keeper gives us, until it asks for the end
// or is gone.
func (d *daemon) serve(socket *os.File, err error) error {
	if err != nil {
		return err
	}
	// The keeper decides when it is over: signals that a terminal or a service
	// manager sends to all processes are its affair.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	log := d.harden()
	finishCage := cage.Begin(log) // while the keeper finds out what we are to run on
	k, err := child.Connect(socket)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := d.take(k); err != nil {
		k.Failed(err)
		return err
	}
	finishCage()
	ctx := k.Context()
	context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), child.ErrKeeperGone) {
			time.AfterFunc(endTime, func() { os.Exit(1) })
		}
	})
	err = engine.Run(ctx, engine.Config{
		Device:   d.device,
		Listener: d.listener,
		Sockets:  k,
		Clock:    tunnel.SystemClock(),
		Arena:    engine.NewArena(log),
		Floor:    k,
		Log:      log,
		Observe:  k.Observe,
		Changed:  k.Changed,

		Own:        k.Own(),
		Public:     k.Public(),
		Configured: k.Configured(),
		Ready:      func(t *tunnel.Tunnel) { k.Ready(d.name, t) },
	})
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, child.ErrKeeperGone) {
		return cause
	}
	return err
}

// take takes over the device and the control socket. The socket's file is the
// keeper's to watch and to delete.
func (d *daemon) take(k *child.Keeper) (err error) {
	defer k.Listener.Close()
	if d.device, err = tun.FromFile(k.Device[0], 0, k.Device[1:]...); err != nil {
		return err
	}
	if d.listener, err = uapi.ListenerOf(k.Listener); err != nil {
		d.device.Close()
	}
	return err
}
