package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/setting"
	"vpn/cmd/internal/systemd"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

func (k *Keeper) handleReload(ctx context.Context, body []byte, show Show) (*Result, error) {
	var r ReloadRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	defer clear(r.Text)
	var changed bool
	err := k.do(ctx, func(ctx context.Context) (err error) {
		changed, err = k.reload(ctx, r, show)
		return err
	})
	return &Result{Changed: changed}, err
}

// reloadOnSignal is SIGHUP.
func (k *Keeper) reloadOnSignal() {
	changed, err := k.reload(k.life, ReloadRequest{}, k.logged)
	if err != nil {
		k.log.Error("not reloaded: nothing has changed", "error", err)
		return
	}
	k.log.Info("reloaded", "changed", changed)
}

// reload brings the link to what its file says now, changing only what differs. It
// reports whether that was anything. After an error everything is as before.
func (k *Keeper) reload(ctx context.Context, r ReloadRequest, show Show) (changed bool, err error) {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	if !r.DryRun {
		k.heard(systemd.Reloading("reloading"))
		defer k.ready()
	}
	if err := k.mayReload(r); err != nil {
		return false, err
	}
	if r.DryRun && k.savedOver(r) {
		show(Message{Warning: errSavedOver.Error() + ": without --force it is refused"})
	}
	l, err := k.loadNew(ctx, r.Text)
	if err != nil {
		return false, err
	}
	defer l.erase()
	return k.bring(ctx, l, r, show)
}

// bring brings the link to what l says.
func (k *Keeper) bring(ctx context.Context, l *loaded, r ReloadRequest, show Show) (changed bool, err error) {
	for _, w := range l.warnings {
		show(Message{Warning: w})
	}
	d, err := k.differences(ctx, l, r)
	if err != nil {
		return false, err
	}
	defer d.current.Erase()
	for _, w := range d.plan.Warnings {
		show(Message{Warning: w})
	}
	d.showPeers(k.name, k.config, show)
	if len(d.record) > 0 {
		show(Message{Note: "as the file has it from now on: " + strings.Join(d.record, ", ")})
	}
	if r.DryRun {
		for _, s := range d.plan.Steps {
			showStep(show)(host.Shown(s.Do))
		}
		return d.any(), nil
	}
	if !d.any() {
		r.Confirm = 0 // there is nothing to take back
	}
	unconfirmed := host.RunPath(k.name, unconfirmedFile)
	if r.Confirm > 0 {
		if err := host.Replace(unconfirmed, l.text); err != nil {
			return false, err
		}
	}
	if err := k.apply(ctx, l, d, r.Confirm == 0, show); err != nil {
		_ = os.Remove(unconfirmed)
		return false, err
	}
	if r.Confirm > 0 {
		k.awaitConfirmation(r)
	}
	return d.any(), nil
}

var errSavedOver = errors.New("SaveConfig is on: what was changed since the link came up would be lost, and the file is written when it goes down")

// savedOver says whether a reload would lose what is to be saved.
func (k *Keeper) savedOver(r ReloadRequest) bool { return k.journal.Up().Save && !r.Force }

// mayReload says why a reload would be wrong now.
func (k *Keeper) mayReload(r ReloadRequest) error {
	switch {
	case k.pending != nil && !r.DryRun:
		return hint(errors.New("an earlier reload waits to be confirmed"), "\"vpn reload --keep %s\" confirms it; else it is taken back", k.name)
	case k.savedOver(r) && !r.DryRun:
		return hint(errSavedOver,
			"\"vpn save %s\" writes what is in force to the file; --force reloads all the same", k.name)
	case k.engine == nil:
		return hint(errors.New("there is no engine just now"), "another one is being started: try again in a moment")
	}
	return nil
}

// loadNew reads what is to be in force: the text, or else the file.
func (k *Keeper) loadNew(ctx context.Context, text []byte) (*loaded, error) {
	switch {
	case len(text) > 0:
		return parse(ctx, k.c.File, slices.Clone(text), nil)
	case k.c.File.Path == "":
		return nil, hint(fmt.Errorf("%s came from standard input: there is no file to read anew", k.name), "\"vpn apply - --name %s\" takes another configuration from there", k.name)
	}
	return Load(ctx, k.c.File)
}

// differences is what a reload changes.
type differences struct {
	current *uapi.Device
	change  *uapi.Config // of keys and peers
	plan    *host.Plan   // of the host
	names   []string     // what a person would have typed for endpoints that are looked up
	record  []string     // what the journal keeps besides, such as hooks
}

func (d *differences) any() bool {
	return !setting.Empty(d.change) || len(d.plan.Steps)+len(d.names)+len(d.record) > 0
}

// differences holds the file against the live state.
func (k *Keeper) differences(ctx context.Context, l *loaded, r ReloadRequest) (*differences, error) {
	var d differences
	err := k.ask(func(c *uapi.Client) (err error) {
		d.current, err = c.Get()
		return err
	})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*differences, error) {
		d.current.Erase()
		return nil, ofConfig(err)
	}
	s, err := k.read(ctx, l, r.Sessions...)
	if err != nil {
		return fail(err)
	}
	d.plan, err = host.Reload(l.conf, k.journal, s, host.Options{Link: k.name, File: l.label, Mark: d.current.FwMark, Force: r.Force})
	if err != nil {
		return fail(err)
	}
	want := *l.set
	want.FwMark = &d.current.FwMark // the plan's to change
	want.Peers = append([]uapi.PeerConfig(nil), want.Peers...)
	before, now := endpointsOf(k.config), endpointsOf(l.conf)
	there := make(map[key.Public]bool)
	for i := range d.current.Peers {
		there[d.current.Peers[i].PublicKey] = true
	}
	for i := range want.Peers {
		p := &want.Peers[i]
		if there[p.PublicKey] && before[p.PublicKey] == now[p.PublicKey] {
			p.Endpoint = (uapi.PeerConfig{}).Endpoint // roamed, perhaps: it stays
		}
	}
	if want.PrivateKey == nil { // a hook's, perhaps
		want.PrivateKey = &d.current.PrivateKey
	}
	d.change = setting.Sync(d.current, &want)
	d.names = k.newNames(l.conf)
	d.record = k.newRecord(l.conf)
	return &d, nil
}

// newNames is what a person would have typed for peers whose endpoint is a name, or
// has further candidates, where the file gives others than before.
func (k *Keeper) newNames(c *conf.Config) (lines []string) {
	before := make(map[key.Public][]conf.Endpoint)
	for _, p := range lookup.Peers(k.config) {
		before[p.Key] = p.Endpoints
	}
	for _, p := range lookup.Peers(c) {
		had := before[p.Key]
		if slices.Equal(had, p.Endpoints) {
			continue
		}
		for n, e := range p.Endpoints {
			if _, is := e.Addr(); (n > 0 || !is) && !slices.Contains(had, e) {
				lines = append(lines, fmt.Sprintf("wg set %s peer %v endpoint %v", k.name, p.Key, e))
			}
		}
	}
	return lines
}

// newRecord names the file's hooks for the end, and its switches, that are others
// than before.
func (k *Keeper) newRecord(c *conf.Config) (changed []string) {
	i, up := &c.Interface, k.journal.Up()
	hooks := append(host.Hooks(host.PreDown, i.PreDown, k.name), host.Hooks(host.PostDown, i.PostDown, k.name)...)
	for _, kind := range []host.HookKind{host.PreDown, host.PostDown} {
		if !slices.Equal(commandsOf(kind, hooks), commandsOf(kind, up.DownHooks)) {
			changed = append(changed, string(kind))
		}
	}
	if up.Save != i.SaveConfig.Value {
		changed = append(changed, "SaveConfig")
	}
	if up.Heal != (!i.Heal.Given || i.Heal.Value) {
		changed = append(changed, "Heal")
	}
	return changed
}

func commandsOf(kind host.HookKind, hooks []host.Hook) (all []string) {
	for _, h := range hooks {
		if h.Kind == kind {
			all = append(all, h.Command)
		}
	}
	return all
}

// showPeers shows what changes of keys and peers, as the commands that a person
// would have typed.
func (d *differences) showPeers(name string, before *conf.Config, show Show) {
	inFile := make(map[key.Public]bool)
	for i := range before.Peers {
		inFile[before.Peers[i].PublicKey.Value] = true
	}
	for _, line := range append(commands(name, d.change), d.names...) {
		show(Message{Step: line})
	}
	for i := range d.change.Peers {
		if p := &d.change.Peers[i]; p.Remove && !inFile[p.PublicKey] {
			show(Message{Note: fmt.Sprintf("peer %v was added by hand and is not in the file: it goes", p.PublicKey)})
		}
	}
}

// apply makes the change: peers first, then the host. It is kept for engines to
// come, if it is to be.
func (k *Keeper) apply(ctx context.Context, l *loaded, d *differences, keep bool, show Show) error {
	set := func(change *uapi.Config) error {
		if setting.Empty(change) {
			return nil
		}
		k.peers.Lock()
		defer k.peers.Unlock()
		return k.ask(func(c *uapi.Client) error { return c.Set(change) })
	}
	if err := set(d.change); err != nil {
		return errors.Join(err, k.putBackPeers(d.current))
	}
	auto := host.AutomaticMark(l.conf, d.plan)
	if err := host.Apply(ctx, d.plan, k.journal, &owner{k, l, show}, showStep(show)); err != nil {
		if errors.Is(err, unix.ENETDOWN) {
			err = hint(err, "somebody has set the link down: \"ip link set dev %s up\" first", k.name)
		}
		return errors.Join(err, k.putBackPeers(d.current))
	}
	k.names.Set(lookup.Peers(l.conf))
	if keep {
		if err := k.keep(l); err != nil {
			return err
		}
	}
	return k.lookAndMarkUp(l, auto)
}

// putBackPeers gives the engine what it had.
func (k *Keeper) putBackPeers(had *uapi.Device) error {
	var now *uapi.Device
	return k.ask(func(c *uapi.Client) (err error) {
		if now, err = c.Get(); err != nil {
			return err
		}
		defer now.Erase()
		change := setting.Sync(now, asConfig(had))
		if setting.Empty(change) {
			return nil
		}
		return c.Set(change)
	})
}

// asConfig is the configuration that leads to a device. It shares its keys.
func asConfig(d *uapi.Device) *uapi.Config {
	c := &uapi.Config{
		PrivateKey: &d.PrivateKey, ListenPort: &d.ListenPort, FwMark: &d.FwMark,
		RekeyAfterTime: &d.RekeyAfterTime, RekeyAfterPackets: &d.RekeyAfterPackets,
	}
	for i := range d.Peers {
		p := &d.Peers[i]
		peer := uapi.PeerConfig{PublicKey: p.PublicKey, Preshared: &p.Preshared, Keepalive: &p.Keepalive, Endpoint: p.Endpoint, ReplaceAllowedIPs: true}
		for _, prefix := range p.AllowedIPs {
			peer.AllowedIPs = append(peer.AllowedIPs, uapi.AllowedIP{Prefix: prefix})
		}
		c.Peers = append(c.Peers, peer)
	}
	return c
}
