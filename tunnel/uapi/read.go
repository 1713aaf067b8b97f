package uapi

import (
	"bufio"
	"time"

	"vpn/noise/key"
)

// ReadGet reads the reply to a get request, to its blank line. An errno that is
// not zero is returned as an [Errno]. Keys that are not known are passed over:
// other implementations have their own.
func ReadGet(r *bufio.Reader) (*Device, error) {
	lines := newLineReader(r)
	g := getParser{device: new(Device)}
	for {
		line, err := lines.next()
		if err != nil {
			g.device.Erase()
			return nil, err
		}
		if len(line) == 0 {
			return g.done(lines)
		}
		name, value, ok := cut(line)
		if !ok {
			g.device.Erase()
			return nil, &ParseError{Line: lines.count, Reason: "not of the form key=value", Errno: EPROTO}
		}
		if reason := g.line(name, value); reason != "" {
			g.device.Erase()
			return nil, &ParseError{Line: lines.count, Key: shown(name), Reason: reason, Errno: EPROTO}
		}
	}
}

// readErrno reads the reply to a set request.
func readErrno(r *bufio.Reader) error {
	lines := newLineReader(r)
	errno, found := Errno(0), false
	for {
		line, err := lines.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if name, value, ok := cut(line); ok && string(name) == "errno" {
			errno, found = parseErrno(value)
		}
	}
	if !found {
		return &ParseError{Line: lines.count, Reason: "no errno in the reply", Errno: EPROTO}
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// parseErrno reads a number which is negative in replies to set.
func parseErrno(value []byte) (Errno, bool) {
	if len(value) > 0 && value[0] == '-' {
		value = value[1:]
	}
	n, ok := parseUint(value, 1<<31-1)
	return Errno(n), ok
}

// getParser gathers one reply.
type getParser struct {
	device   *Device
	peer     *Peer // nil before the first public_key
	seconds  uint64
	errno    Errno
	answered bool
}

func (g *getParser) done(lines *lineReader) (*Device, error) {
	d := g.device
	switch {
	case !g.answered:
		d.Erase()
		return nil, &ParseError{Line: lines.count, Reason: "no errno in the reply", Errno: EPROTO}
	case g.errno != 0:
		d.Erase()
		return nil, g.errno
	}
	if !d.PrivateKey.IsZero() {
		d.PublicKey = d.PrivateKey.Public()
	}
	return d, nil
}

func (g *getParser) line(name, value []byte) (reason string) {
	switch string(name) {
	case "errno":
		g.errno, g.answered = parseErrno(value)
		return reasonUnless(g.answered, "not a number")
	case "public_key":
		k, ok := parsePublic(value)
		if !ok {
			return notAKey
		}
		g.device.Peers = append(g.device.Peers, Peer{PublicKey: k})
		g.peer = &g.device.Peers[len(g.device.Peers)-1]
		g.seconds = 0
		return ""
	}
	if g.peer == nil {
		return g.interfaceLine(name, value)
	}
	return g.peerLine(name, value)
}

func reasonUnless(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

func (g *getParser) interfaceLine(name, value []byte) (reason string) {
	d := g.device
	var n uint64
	var ok bool
	switch string(name) {
	case "private_key":
		d.PrivateKey.Erase() // of an earlier line
		d.PrivateKey, ok = parsePrivate(value)
		return reasonUnless(ok, notAKey)
	case "listen_port":
		n, ok = parseUint(value, 1<<16-1)
		d.ListenPort = uint16(n)
		return reasonUnless(ok, notPort)
	case "fwmark":
		n, ok = parseUint(value, 1<<32-1)
		d.FwMark = uint32(n)
		return reasonUnless(ok, notUint32)
	case "rekey_after_time":
		n, ok = parseUint(value, uint64(MaxRekeyAfterTime/time.Second))
		d.RekeyAfterTime = time.Duration(n) * time.Second
		return reasonUnless(ok, notSeconds)
	case "rekey_after_packets":
		d.RekeyAfterPackets, ok = parseUint(value, MaxRekeyAfterPackets)
		return reasonUnless(ok, notPackets)
	}
	return ""
}

func (g *getParser) peerLine(name, value []byte) (reason string) {
	p := g.peer
	var n uint64
	var ok bool
	switch string(name) {
	case "preshared_key":
		p.Preshared.Erase() // of an earlier line
		p.Preshared, ok = parsePresharedOrNone(value)
		return reasonUnless(ok, notAKey)
	case "endpoint":
		p.Endpoint, ok = parseEndpoint(value)
		return reasonUnless(ok, notEndpoint)
	case "persistent_keepalive_interval":
		n, ok = parseUint(value, 1<<16-1)
		p.Keepalive = uint16(n)
		return reasonUnless(ok, notPort)
	case "last_handshake_time_sec":
		g.seconds, ok = parseUint(value, 1<<62)
		p.setHandshake(g.seconds, 0)
		return reasonUnless(ok, notNumber)
	case "last_handshake_time_nsec":
		n, ok = parseUint(value, uint64(time.Second)-1)
		p.setHandshake(g.seconds, n)
		return reasonUnless(ok, notNumber)
	case "tx_bytes":
		p.Tx, ok = parseUint(value, 1<<64-1)
		return reasonUnless(ok, notNumber)
	case "rx_bytes":
		p.Rx, ok = parseUint(value, 1<<64-1)
		return reasonUnless(ok, notNumber)
	case "allowed_ip":
		prefix, ok := parsePrefix(value)
		if ok {
			p.AllowedIPs = append(p.AllowedIPs, prefix)
		}
		return reasonUnless(ok, notPrefix)
	}
	return ""
}

// setHandshake leaves a time of all zeros, which means never, as it is.
func (p *Peer) setHandshake(seconds, nanoseconds uint64) {
	if seconds != 0 || nanoseconds != 0 {
		p.LastHandshake = time.Unix(int64(seconds), int64(nanoseconds))
	}
}

// parsePresharedOrNone returns the zero value for zeros, so that the many peers
// without a preshared key cost no memory for it.
func parsePresharedOrNone(value []byte) (key.Preshared, bool) {
	k, ok := parsePreshared(value)
	if ok && k.IsZero() {
		return key.Preshared{}, true
	}
	return k, ok
}
