package status

import (
	"encoding/json"
	"io"
	"time"

	"vpn/cmd/internal/report"
)

// hidden takes a name's place that wg-json has another for: nothing is printed under it.
type hidden = *struct{}

// jsonInterface has the names of wg's example script wg-json for what that prints, and those of package report for all else.
type jsonInterface struct {
	PublicKey  string `json:"publicKey,omitempty"`
	ListenPort uint16 `json:"listenPort,omitempty"`
	*report.Interface
	HiddenKey  hidden `json:"public_key,omitempty"`
	HiddenPort hidden `json:"listen_port,omitempty"`

	Peers map[string]jsonPeer `json:"peers"`
}

type jsonPeer struct {
	Endpoint            string   `json:"endpoint,omitempty"`
	LatestHandshake     int64    `json:"latestHandshake,omitempty"` // a Unix time
	TransferRx          uint64   `json:"transferRx"`
	TransferTx          uint64   `json:"transferTx"`
	PersistentKeepalive uint16   `json:"persistentKeepalive,omitempty"`
	AllowedIPs          []string `json:"allowedIps"`
	*report.Peer
	HiddenKey       hidden `json:"public_key,omitempty"` // the member's name
	HiddenHandshake hidden `json:"latest_handshake,omitempty"`
	HiddenRx        hidden `json:"rx_bytes,omitempty"`
	HiddenTx        hidden `json:"tx_bytes,omitempty"`
	HiddenKeepalive hidden `json:"persistent_keepalive,omitempty"`
	HiddenAllowed   hidden `json:"allowed_ips,omitempty"`

	report.Verdict
}

// JSON writes interfaces as one object, an interface a member. There is no key in it but public ones.
func JSON(w io.Writer, is []Interface) error {
	all := make(map[string]jsonInterface, len(is))
	for n := range is {
		i := &is[n]
		one := jsonInterface{
			ListenPort: i.ListenPort, Interface: i.Interface, Peers: make(map[string]jsonPeer, len(i.Peers)),
		}
		if !i.PublicKey.IsZero() {
			one.PublicKey = i.PublicKey.String()
		}
		for m := range i.Peers {
			p := &i.Peers[m]
			one.Peers[p.PublicKey.String()] = newJSONPeer(i.Interface, p)
		}
		all[i.Name] = one
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	return e.Encode(all)
}

func newJSONPeer(i *report.Interface, p *report.Peer) jsonPeer {
	one := jsonPeer{
		LatestHandshake: unix(p.LatestHandshake), TransferRx: p.RxBytes, TransferTx: p.TxBytes, PersistentKeepalive: p.Keepalive,
		AllowedIPs: []string{}, Peer: p, Verdict: report.Judge(i, p),
	}
	if p.Endpoint.IsValid() {
		one.Endpoint = p.Endpoint.String()
	}
	for _, prefix := range p.AllowedIPs {
		one.AllowedIPs = append(one.AllowedIPs, prefix.String())
	}
	return one
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
