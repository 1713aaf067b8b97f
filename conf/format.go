package conf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vpn/noise/key"
)

// Format writes the file anew, in one order and one spelling. What is parsed
// from it is what c is, but for the lines. Comments are not part of a Config.
//
// The text has the keys in it; it is the caller's to erase.
func (c *Config) Format() []byte {
	f := formatter{text: make([]byte, 0, 1024+512*len(c.Peers)), end: "\n"}
	if c.Interface.Line != 0 || !c.Interface.isEmpty() || len(c.Peers) == 0 {
		f.iface(&c.Interface)
	}
	for i := range c.Peers {
		if len(f.text) > 0 {
			f.add(f.end)
		}
		f.peer(&c.Peers[i])
	}
	return f.text
}

// isEmpty says whether the section has nothing in it.
func (i *Interface) isEmpty() bool {
	f := formatter{end: "\n"}
	f.iface(i)
	defer clear(f.text)
	return string(f.text) == "[Interface]\n"
}

type formatter struct {
	text []byte
	end  string // of each line
}

// grow makes room, and leaves no copy of the text behind.
func (f *formatter) grow(n int) {
	if cap(f.text)-len(f.text) >= n {
		return
	}
	old := f.text
	f.text = append(make([]byte, 0, 2*cap(old)+n), old...)
	clear(old)
}

func (f *formatter) add(parts ...string) {
	for _, s := range parts {
		f.grow(len(s))
		f.text = append(f.text, s...)
	}
}

// bytes adds what may be secret, without making a string of it.
func (f *formatter) bytes(b []byte) {
	f.grow(len(b))
	f.text = append(f.text, b...)
}

func (f *formatter) setting(name, value string) { f.add(name, " = ", value, f.end) }

func (f *formatter) directive(name, value string) { f.add("#vpn: ", name, " = ", value, f.end) }

// exporter is a key that writes itself into memory that can be erased.
type exporter interface{ AppendBase64([]byte) []byte }

func (f *formatter) secret(name string, k exporter) {
	f.add(name, " = ")
	f.key(k)
	f.add(f.end)
}

func (f *formatter) key(k exporter) {
	f.grow(textSize)
	f.text = k.AppendBase64(f.text)
}

// put writes a setting or directive if it is given.
func put[T any](write func(name, value string), name string, s Setting[T], text func(T) string) {
	if s.Given {
		write(name, text(s.Value))
	}
}

// putAll writes a list on one line, if there is any.
func putAll[T any](write func(name, value string), name string, list []Setting[T], text func(T) string) {
	if len(list) == 0 {
		return
	}
	var items []string
	for _, s := range list {
		items = append(items, text(s.Value))
	}
	write(name, strings.Join(items, ", "))
}

func same(s string) string { return s }

func wholeSeconds(d time.Duration) string { return number(int(d / time.Second)) }

func number[T uint16 | uint32 | uint64 | int](n T) string { return fmt.Sprint(n) }

func offOr[T uint16 | uint32](n T) string {
	if n == 0 {
		return "off"
	}
	return fmt.Sprint(n)
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func nameOrOff(name string) string {
	if name == "" {
		return "off"
	}
	return name
}

// String is the table as a file has it.
func (t Table) String() string {
	switch t.Kind {
	case TableOff:
		return "off"
	case TableNumber:
		return strconv.FormatUint(uint64(t.Number), 10)
	case TableName:
		return t.Name
	}
	return "auto"
}

// String is the endpoint as a file has it.
func (e Endpoint) String() string {
	host := e.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(e.Port))
}

func (f *formatter) iface(i *Interface) {
	f.add("[Interface]", f.end)
	if i.PrivateKey.Given {
		f.secret("PrivateKey", &i.PrivateKey.Value)
	}
	put(f.setting, "ListenPort", i.ListenPort, number[uint16])
	put(f.setting, "FwMark", i.FwMark, offOr[uint32])
	putAll(f.setting, "Address", i.Addresses, netip.Prefix.String)
	putAll(f.setting, "DNS", append(texts(i.DNS), i.DNSSearch...), same)
	put(f.setting, "MTU", i.MTU, number[int])
	put(f.setting, "Table", i.Table, Table.String)
	put(f.setting, "SaveConfig", i.SaveConfig, strconv.FormatBool)
	f.hooks("PreUp", i.PreUp)
	f.hooks("PostUp", i.PostUp)
	f.hooks("PreDown", i.PreDown)
	f.hooks("PostDown", i.PostDown)

	put(f.directive, "PrivateKeyFile", i.PrivateKeyFile, same)
	put(f.directive, "RekeyAfterTime", i.RekeyAfterTime, wholeSeconds)
	put(f.directive, "RekeyAfterPackets", i.RekeyAfterPackets, number[uint64])
	put(f.directive, "KillSwitch", i.KillSwitch, onOff)
	putAll(f.directive, "KillSwitchAllow", i.KillSwitchAllow, netip.Prefix.String)
	put(f.directive, "Masquerade", i.Masquerade, nameOrOff)
	putAll(f.directive, "DNSRoute", i.DNSRoute, same)
	put(f.directive, "Heal", i.Heal, onOff)
	putAll(f.directive, "ExcludedIPs", i.ExcludedIPs, netip.Prefix.String)
	put(f.directive, "PublicEndpoint", i.PublicEndpoint, Endpoint.String)
}

func texts(list []Setting[netip.Addr]) []Setting[string] {
	var out []Setting[string]
	for _, s := range list {
		out = append(out, Given(s.Value.String()))
	}
	return out
}

func (f *formatter) hooks(name string, commands []Setting[string]) {
	for _, c := range commands {
		f.setting(name, c.Value)
	}
}

func (f *formatter) peer(p *Peer) {
	f.add("[Peer]", f.end)
	put(f.directive, "Name", p.Name, same)
	put(f.setting, "PublicKey", p.PublicKey, key.Public.String)
	if p.Preshared.Given {
		f.secret("PresharedKey", &p.Preshared.Value)
	}
	put(f.directive, "PresharedKeyFile", p.PresharedKeyFile, same)
	f.allowedIPs(p)
	putAll(f.directive, "ExcludedIPs", p.ExcludedIPs, netip.Prefix.String)
	put(f.setting, "Endpoint", p.Endpoint, Endpoint.String)
	for _, e := range p.Candidates {
		f.directive("Endpoint", e.Value.String())
	}
	put(f.setting, "PersistentKeepalive", p.Keepalive, offOr[uint16])
	put(f.directive, "Expires", p.Expires, timeText)
}

// allowedIPs keeps what only the order and the signs can say: the last line
// decides whether the whole list is a change or all there is.
func (f *formatter) allowedIPs(p *Peer) {
	list := p.AllowedIPs
	if len(list) == 0 {
		return
	}
	signed := 0 // how many from the start need their signs
	for i, a := range list {
		if a.Remove || p.Incremental {
			signed = i + 1
		}
	}
	f.allowedIPsLine(list[:signed], true)
	f.allowedIPsLine(list[signed:], false)
}

// text is the prefix as a file has it.
func (a AllowedIP) text(signed bool) string {
	switch {
	case a.Remove:
		return "-" + a.Prefix.String()
	case signed:
		return "+" + a.Prefix.String()
	}
	return a.Prefix.String()
}

func (f *formatter) allowedIPsLine(list []AllowedIP, signed bool) {
	for i, a := range list {
		switch {
		case i == 0:
			f.add("AllowedIPs = ")
		default:
			f.add(", ")
		}
		f.add(a.text(signed))
	}
	if len(list) > 0 {
		f.add(f.end)
	}
}
