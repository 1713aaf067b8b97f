package show

import (
	"bytes"
	"encoding/json"
	"time"

	"vpn/tunnel/uapi"
)

// jsonDevice and jsonPeer hold what wg's example script wg-json prints, under
// its names, and the limits that are ours. What is unset is left out.
type jsonDevice struct {
	PrivateKey        string             `json:"privateKey,omitempty"`
	PublicKey         string             `json:"publicKey,omitempty"`
	ListenPort        uint16             `json:"listenPort,omitempty"`
	FwMark            uint32             `json:"fwmark,omitempty"`
	RekeyAfterTime    int64              `json:"rekeyAfterTime,omitempty"` // in seconds
	RekeyAfterPackets uint64             `json:"rekeyAfterPackets,omitempty"`
	Peers             *ordered[jsonPeer] `json:"peers,omitempty"`
}

type jsonPeer struct {
	PresharedKey        string    `json:"presharedKey,omitempty"`
	Endpoint            string    `json:"endpoint,omitempty"`
	LatestHandshake     int64     `json:"latestHandshake,omitempty"` // a Unix time
	TransferRx          uint64    `json:"transferRx,omitempty"`
	TransferTx          uint64    `json:"transferTx,omitempty"`
	PersistentKeepalive uint16    `json:"persistentKeepalive,omitempty"` // in seconds
	AllowedIPs          *[]string `json:"allowedIps,omitempty"`
}

// ordered is a JSON object whose members keep their order: what a map would
// sort. Its names need no escaping.
type ordered[V any] struct {
	names  []string
	values []V
}

func (o *ordered[V]) add(name string, v V) {
	o.names, o.values = append(o.names, name), append(o.values, v)
}

func (o *ordered[V]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(o.values[i])
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + name + `":`)
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// JSON appends interfaces to b as one object, an interface a member. With the
// name of a field it holds only that field; with "" or "dump" all of them,
// and thus the keys themselves.
func JSON(b *bytes.Buffer, is []Interface, field string) {
	var all ordered[jsonDevice]
	for _, i := range is {
		all.add(i.Name, newJSONDevice(i, selector(field)))
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(&all); err != nil {
		panic(err) // no value in it can fail
	}
}

// A selector says which field of an interface to print.
type selector string

func (s selector) has(field string) bool { return s == "" || s == "dump" || string(s) == field }

func newJSONDevice(i Interface, s selector) jsonDevice {
	var d jsonDevice
	if s.has("private-key") && !i.PrivateKey.IsZero() {
		d.PrivateKey = i.PrivateKey.Base64()
	}
	if s.has("public-key") && !i.PublicKey.IsZero() {
		d.PublicKey = i.PublicKey.String()
	}
	if s.has("listen-port") {
		d.ListenPort = i.ListenPort
	}
	if s.has("fwmark") {
		d.FwMark = i.FwMark
	}
	switch s {
	case "private-key", "public-key", "listen-port", "fwmark":
		return d
	case "", "dump":
		d.RekeyAfterTime = int64(i.RekeyAfterTime / time.Second)
		d.RekeyAfterPackets = i.RekeyAfterPackets
	}
	d.Peers = new(ordered[jsonPeer])
	for n := range i.Peers {
		d.Peers.add(i.Peers[n].PublicKey.String(), newJSONPeer(&i.Peers[n], s))
	}
	return d
}

func newJSONPeer(p *uapi.Peer, s selector) jsonPeer {
	var j jsonPeer
	if s.has("preshared-keys") && !p.Preshared.IsZero() {
		j.PresharedKey = p.Preshared.Base64()
	}
	if s.has("endpoints") && p.Endpoint.IsValid() {
		j.Endpoint = endpoint(p.Endpoint)
	}
	if s.has("latest-handshakes") && !p.LastHandshake.IsZero() {
		j.LatestHandshake = p.LastHandshake.Unix()
	}
	if s.has("transfer") {
		j.TransferRx, j.TransferTx = p.Rx, p.Tx
	}
	if s.has("persistent-keepalive") {
		j.PersistentKeepalive = p.Keepalive
	}
	if s.has("allowed-ips") {
		ips := make([]string, len(p.AllowedIPs))
		for i, prefix := range p.AllowedIPs {
			ips[i] = prefixText(prefix)
		}
		j.AllowedIPs = &ips
	}
	return j
}
