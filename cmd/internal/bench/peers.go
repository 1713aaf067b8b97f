//go:build linux

package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"vpn/cmd/internal/testnet"
)

// benchPeers configures many peers in one set, and looks at the memory after.
func benchPeers(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	d := testnet.NewHost(tb, "gateway").StartDaemon(kind)
	d.Set("private_key="+d.Key.Private, "listen_port=51820")
	d.Up()
	before := memory(tb, d.PID(), "VmRSS")
	lines := make([]string, 0, 2*s.peers)
	for i := range s.peers {
		var public [32]byte
		_, _ = rand.Read(public[:]) // never fails
		lines = append(lines,
			"public_key="+hex.EncodeToString(public[:]),
			fmt.Sprintf("allowed_ip=10.%d.%d.%d/32", i>>16&255, i>>8&255, i&255))
	}
	begin := time.Now()
	d.Set(lines...)
	r.add(kind, peersTime, time.Since(begin).Seconds())
	<-time.After(s.settle)
	after := memory(tb, d.PID(), "VmRSS")
	r.add(kind, peersMemory, after/1e6)
	r.add(kind, peerMemory, (after-before)/1e3/float64(s.peers))
	r.add(kind, peersPeak, memory(tb, d.PID(), "VmHWM")/1e6)
}
