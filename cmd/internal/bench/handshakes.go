//go:build linux

package main

import (
	"net"
	"strconv"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise/key"
	"vpn/noise/wire"
)

const (
	// inFlight is how many initiations are unanswered at most: enough that the
	// responder never waits, too few for it to think that it is under attack.
	inFlight = 48
	// forgotten is when initiations without an answer make room for others.
	forgotten = 500 * time.Millisecond
	// answeredLeast is the part of all initiations that must have an answer.
	answeredLeast = 0.98
)

// benchHandshakes has a daemon, confined to one processor, answer many peers as
// fast as it can.
func benchHandshakes(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	if s.callers == nil { // the same for all daemons: they take time to make
		var err error
		if s.callers, err = newCallers(s.calling[0], s.calling[1]); err != nil {
			tb.Fatalf("%v", err)
		}
	}
	hosts := testnet.NewHosts(tb, 0)
	d := hosts.B.Host.StartDaemon(kind)
	d.Set(append([]string{"listen_port=" + strconv.Itoa(hosts.B.Port)}, s.callers.configuration()...)...)
	d.Up()
	conn := hosts.A.DialUDP(hosts.B.Endpoint(false))
	awaitAnswer(tb, s.callers.private.Public(), d, conn)
	confine(tb, d)

	begin, cpu := time.Now(), cpuSeconds(tb, d)
	answered := callAll(tb, s.callers.initiations, conn)
	took := time.Since(begin).Seconds()
	cpu = cpuSeconds(tb, d) - cpu
	if all := len(s.callers.initiations); float64(answered) < answeredLeast*float64(all) {
		tb.Fatalf("%s answered %d of %d initiations", kind, answered, all)
	}
	r.add(tb, kind, handshakeRate, float64(answered)/took)
	r.add(tb, kind, handshakeCPU, cpu*1000/float64(answered))
}

// awaitAnswer calls as one more peer until an answer comes, and checks that it
// is one: a daemon answers once it has noticed that its device is up.
func awaitAnswer(tb testnet.TB, responder key.Public, d *testnet.Daemon, conn *net.UDPConn) {
	tb.Helper()
	peer, err := newCaller(responder)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	d.Set("public_key=" + peer.local.Public().Hex())
	answer := make([]byte, 1<<16)
	testnet.Until(tb, "an initiation is answered", func() bool {
		var msg wire.Initiation
		initiator, err := peer.call(0, &msg)
		if err != nil {
			tb.Fatalf("%v", err)
		}
		n, ok := exchange(tb, conn, msg[:], answer)
		if kind, fits := wire.Classify(answer[:n]); !ok || !fits || kind != wire.TypeResponse {
			return false
		}
		session, err := initiator.Finish(peer.local, peer.remote, wire.AsResponse(answer[:n]))
		if err != nil {
			tb.Fatalf("%s gave a wrong answer: %v", d.Kind, err)
		}
		session.Erase()
		return true
	})
}

// exchange sends a message and waits for one a little.
func exchange(tb testnet.TB, conn *net.UDPConn, msg, answer []byte) (n int, ok bool) {
	tb.Helper()
	if _, err := conn.Write(msg); err != nil {
		return 0, false // nobody listens yet
	}
	return receive(tb, conn, answer, 50*time.Millisecond)
}

func receive(tb testnet.TB, conn *net.UDPConn, answer []byte, wait time.Duration) (n int, ok bool) {
	tb.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		tb.Fatalf("deadline: %v", err)
	}
	n, err := conn.Read(answer)
	return n, err == nil
}

// callAll sends the initiations as fast as they are answered, and returns how
// many were.
func callAll(tb testnet.TB, initiations []wire.Initiation, conn *net.UDPConn) (answered int) {
	tb.Helper()
	seen := make([]bool, len(initiations))
	answer := make([]byte, 1<<16)
	for sent, open := 0, 0; sent < len(initiations) || open > 0; {
		for ; sent < len(initiations) && open < inFlight; sent, open = sent+1, open+1 {
			if _, err := conn.Write(initiations[sent][:]); err != nil {
				tb.Fatalf("initiation: %v", err)
			}
		}
		n, ok := receive(tb, conn, answer, forgotten)
		if !ok {
			open = 0
			continue
		}
		if kind, fits := wire.Classify(answer[:n]); !fits || kind != wire.TypeResponse {
			continue
		}
		if i := int(wire.AsResponse(answer[:n]).Receiver()); i < sent && !seen[i] {
			seen[i] = true
			answered, open = answered+1, max(0, open-1)
		}
	}
	return answered
}
