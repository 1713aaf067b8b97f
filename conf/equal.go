package conf

import (
	"slices"
	"time"

	"vpn/noise/key"
)

// Equal says whether two configs say the same, wherever in a file each says it.
// Keys are compared in constant time.
func (c *Config) Equal(o *Config) bool {
	return c.Interface.equal(&o.Interface) && slices.EqualFunc(c.Peers, o.Peers, func(a, b Peer) bool { return a.equal(&b) })
}

func (i *Interface) equal(o *Interface) bool {
	return agree(i.PrivateKey, o.PrivateKey, samePrivate) &&
		is(i.PrivateKeyFile, o.PrivateKeyFile) &&
		is(i.ListenPort, o.ListenPort) &&
		is(i.FwMark, o.FwMark) &&
		are(i.Addresses, o.Addresses) &&
		are(i.DNS, o.DNS) &&
		are(i.DNSSearch, o.DNSSearch) &&
		is(i.MTU, o.MTU) &&
		is(i.Table, o.Table) &&
		is(i.SaveConfig, o.SaveConfig) &&
		are(i.PreUp, o.PreUp) &&
		are(i.PostUp, o.PostUp) &&
		are(i.PreDown, o.PreDown) &&
		are(i.PostDown, o.PostDown) &&
		is(i.RekeyAfterTime, o.RekeyAfterTime) &&
		is(i.RekeyAfterPackets, o.RekeyAfterPackets) &&
		is(i.KillSwitch, o.KillSwitch) &&
		are(i.KillSwitchAllow, o.KillSwitchAllow) &&
		is(i.Masquerade, o.Masquerade) &&
		are(i.DNSRoute, o.DNSRoute) &&
		is(i.Heal, o.Heal) &&
		are(i.ExcludedIPs, o.ExcludedIPs) &&
		is(i.PublicEndpoint, o.PublicEndpoint)
}

func (p *Peer) equal(o *Peer) bool {
	return is(p.PublicKey, o.PublicKey) &&
		agree(p.Preshared, o.Preshared, samePreshared) &&
		is(p.PresharedKeyFile, o.PresharedKeyFile) &&
		is(p.Keepalive, o.Keepalive) &&
		is(p.Endpoint, o.Endpoint) &&
		are(p.Candidates, o.Candidates) &&
		is(p.Name, o.Name) &&
		are(p.ExcludedIPs, o.ExcludedIPs) &&
		agree(p.Expires, o.Expires, time.Time.Equal) &&
		p.Incremental == o.Incremental &&
		slices.EqualFunc(p.AllowedIPs, o.AllowedIPs, sameAllowedIP)
}

func samePrivate(a, b key.Private) bool { return a.Equal(&b) }

func samePreshared(a, b key.Preshared) bool { return a.Equal(&b) }

func sameAllowedIP(a, b AllowedIP) bool { return a.Prefix == b.Prefix && a.Remove == b.Remove }

func equal[T comparable](a, b T) bool { return a == b }

func agree[T any](a, b Setting[T], same func(a, b T) bool) bool {
	return a.Given == b.Given && (!a.Given || same(a.Value, b.Value))
}

func is[T comparable](a, b Setting[T]) bool { return agree(a, b, equal[T]) }

func are[T comparable](a, b []Setting[T]) bool { return slices.EqualFunc(a, b, is[T]) }
