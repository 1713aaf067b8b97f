package uapi

import (
	"bufio"
	"io"
	"iter"
	"time"
)

// WriteSet writes the lines of a set request, those after `set=1`, with the
// blank line that ends it. No copy of a key's text is left behind but in w.
func WriteSet(w io.Writer, c *Config) error {
	b := bufio.NewWriterSize(w, bufferSize)
	defer wipeWriter(b)
	writeInterface(b, c)
	for i := range c.Peers {
		writePeerConfig(b, &c.Peers[i])
	}
	b.WriteByte('\n')
	return b.Flush()
}

func writeInterface(w *bufio.Writer, c *Config) {
	b := room(w)
	if c.PrivateKey != nil {
		b = append(c.PrivateKey.AppendHex(append(b, "private_key="...)), '\n')
	}
	if c.ListenPort != nil {
		b = appendUint(b, "listen_port=", uint64(*c.ListenPort))
	}
	if c.FwMark != nil {
		b = appendUint(b, "fwmark=", uint64(*c.FwMark))
	}
	if c.RekeyAfterTime != nil {
		b = appendUint(b, "rekey_after_time=", uint64(*c.RekeyAfterTime/time.Second))
	}
	if c.RekeyAfterPackets != nil {
		b = appendUint(b, "rekey_after_packets=", *c.RekeyAfterPackets)
	}
	if c.ReplacePeers {
		b = append(b, "replace_peers=true\n"...)
	}
	w.Write(b)
}

func writePeerConfig(w *bufio.Writer, p *PeerConfig) {
	b := appendPublic(room(w), &p.PublicKey)
	if p.Remove {
		b = append(b, "remove=true\n"...)
	}
	if p.UpdateOnly {
		b = append(b, "update_only=true\n"...)
	}
	if p.Preshared != nil {
		b = append(p.Preshared.AppendHex(append(b, "preshared_key="...)), '\n')
	}
	if p.Endpoint.IsValid() {
		b = appendEndpoint(b, p.Endpoint)
	}
	if p.Keepalive != nil {
		b = appendUint(b, "persistent_keepalive_interval=", uint64(*p.Keepalive))
	}
	if p.ReplaceAllowedIPs {
		b = append(b, "replace_allowed_ips=true\n"...)
	}
	w.Write(b)
	if p.Candidates != nil && len(p.Candidates) == 0 {
		w.WriteString("candidate=\n")
	}
	for _, a := range p.Candidates {
		b = a.AppendTo(append(room(w), "candidate="...))
		w.Write(append(b, '\n'))
	}
	for _, a := range p.AllowedIPs {
		name := "allowed_ip="
		if a.Remove {
			name = "allowed_ip=-"
		}
		b = append(room(w), name...)
		b = a.Prefix.AppendTo(b)
		w.Write(append(b, '\n'))
	}
}

// WriteGet writes the reply to a get request, to its errno and blank line. It
// asks for the next peer when the one before is on its way to w.
func WriteGet(w io.Writer, d *Device, peers iter.Seq[Peer]) error {
	b := bufio.NewWriterSize(w, bufferSize)
	defer wipeWriter(b)
	writeDevice(b, d)
	for p := range peers {
		if err := writePeer(b, &p); err != nil {
			return err
		}
	}
	b.WriteString("errno=0\n\n")
	return b.Flush()
}

// writeDevice leaves out what is zero, as wireguard-go does.
func writeDevice(w *bufio.Writer, d *Device) {
	b := room(w)
	if !d.PrivateKey.IsZero() {
		b = append(d.PrivateKey.AppendHex(append(b, "private_key="...)), '\n')
	}
	if d.ListenPort != 0 {
		b = appendUint(b, "listen_port=", uint64(d.ListenPort))
	}
	if d.FwMark != 0 {
		b = appendUint(b, "fwmark=", uint64(d.FwMark))
	}
	if d.RekeyAfterTime != 0 {
		b = appendUint(b, "rekey_after_time=", uint64(d.RekeyAfterTime/time.Second))
	}
	if d.RekeyAfterPackets != 0 {
		b = appendUint(b, "rekey_after_packets=", d.RekeyAfterPackets)
	}
	w.Write(b)
}

// writePeer keeps wireguard-go's order of keys, and like it writes a preshared
// key that is none as zeros.
func writePeer(w *bufio.Writer, p *Peer) (err error) {
	b := appendPublic(room(w), &p.PublicKey)
	b = append(p.Preshared.AppendHex(append(b, "preshared_key="...)), '\n')
	b = append(b, "protocol_version=1\n"...)
	if p.Endpoint.IsValid() {
		b = appendEndpoint(b, p.Endpoint)
	}
	var seconds, nanoseconds uint64
	if !p.LastHandshake.IsZero() {
		seconds, nanoseconds = uint64(p.LastHandshake.Unix()), uint64(p.LastHandshake.Nanosecond())
	}
	b = appendUint(b, "last_handshake_time_sec=", seconds)
	b = appendUint(b, "last_handshake_time_nsec=", nanoseconds)
	b = appendUint(b, "tx_bytes=", p.Tx)
	b = appendUint(b, "rx_bytes=", p.Rx)
	b = appendUint(b, "persistent_keepalive_interval=", uint64(p.Keepalive))
	_, err = w.Write(b)
	for _, prefix := range p.AllowedIPs {
		b = append(room(w), "allowed_ip="...)
		b = prefix.AppendTo(b)
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

// roomForAll is more than the lines of one peer without its prefixes need.
const roomForAll = 1024

// room is w's own free space, large enough that a key's text appended to it is
// never moved to memory that nobody wipes. Write errors are sticky in w.
func room(w *bufio.Writer) []byte {
	if w.Available() < roomForAll {
		w.Flush()
	}
	return w.AvailableBuffer()
}
