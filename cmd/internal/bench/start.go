//go:build linux

package main

import (
	"fmt"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// benchStart measures what a person waits for: the program starts, is given its
// keys, addresses and peer, and the first packet comes back. The peer is there.
func benchStart(tb testnet.TB, _ *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false) // the peer is up for sure, and the program is in the page cache
	p.A.MustPing(p.B.Inner4)
	p.A.Daemon.Signal(unix.SIGTERM)
	p.A.Daemon.WaitEnd()

	begin := time.Now()
	p.A.Daemon = p.A.Host.StartDaemon(kind)
	p.A.Daemon.Set("private_key="+p.A.Daemon.Key.Private, fmt.Sprintf("listen_port=%d", p.A.Port))
	p.A.Daemon.Set(p.B.PeerLines(p.B.Endpoint(false))...)
	p.B.Daemon.Set(p.A.PeerLines("")...)
	p.A.Daemon.Address(p.A.Inner4 + "/24")
	p.A.Daemon.Up()
	pinger := p.A.NewPinger(p.B.Inner4, 16)
	testnet.Until(tb, "a ping is answered", func() bool {
		seq, err := pinger.Send()
		return err == nil && pinger.Receive(seq, 10*time.Millisecond)
	})
	r.add(tb, kind, startTime, time.Since(begin).Seconds()*1e3)
}
