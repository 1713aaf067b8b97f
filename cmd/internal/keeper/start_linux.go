package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/lookup"
	"vpn/tun/host"
	"vpn/tun/host/dns"
)

// planAttempts bounds how often a plan is made anew because another tunnel was
// faster.
const planAttempts = 10

// start brings the link up, or takes it over from a keeper that is gone. What else
// the journals list is set right first.
func (k *Keeper) start(ctx context.Context) error {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	if err := endHook(ctx, k.name); err != nil {
		k.say(Message{Warning: fmt.Sprintf("a hook of the keeper before this one runs on: %v", err)})
	}
	var err error
	if k.journal, err = host.OpenJournal(k.name); err != nil {
		return err
	}
	l, adopted, err := loadFor(ctx, k.c.File, k.journal)
	if err != nil {
		return err
	}
	defer func() { l.erase() }()
	for _, w := range l.warnings {
		k.say(Message{Warning: w})
	}
	k.startNames(l)
	_ = os.Remove(host.RunPath(k.name, unconfirmedFile))
	if adopted {
		return k.adopt(ctx, l, *k.journal.Up())
	}
	if !k.journal.Empty() {
		if slices.ContainsFunc(k.journal.Entries(), func(e host.Entry) bool { return !l.keeps(e.Do) }) {
			k.say(Message{Note: "undoing what an earlier run has left"})
		}
		if err := host.UndoExcept(ctx, k.journal, l.keeps, k.step); err != nil {
			return err
		}
	}
	_ = os.Remove(host.RunPath(k.name, engineFile))
	for range planAttempts {
		err = k.up(ctx, l)
		if !errors.Is(err, host.ErrTaken) {
			return err
		}
		l.erase()
		next, _, err := loadFor(ctx, k.c.File, k.journal)
		if err != nil {
			return err
		}
		l = next
	}
	return err
}

// up brings the link up on a host that has none of it.
func (k *Keeper) up(ctx context.Context, l *loaded) error {
	s, err := k.read(ctx, l)
	if err != nil {
		return err
	}
	plan, err := host.Up(l.conf, s, host.Options{Link: k.name, File: l.label, Force: k.c.Force})
	if err != nil {
		return ofConfig(err)
	}
	for _, w := range plan.Warnings {
		k.say(Message{Warning: w})
	}
	replaces(plan, k.journal)
	k.mark = plan.Mark
	k.markLookups(plan.Mark)
	if err := host.Apply(ctx, plan, k.journal, &owner{k, l, k.say}, k.step); err != nil {
		k.dropLink()
		return err
	}
	if err := k.finish(ctx, l, host.AutomaticMark(l.conf, plan)); err != nil {
		k.dropLink()
		return errors.Join(err, host.Undo(context.WithoutCancel(ctx), k.journal, k.step))
	}
	return nil
}

// finish ends an up whose plan is done. Only hooks can have changed what the engine was
// given, or what the plan has made of the host.
func (k *Keeper) finish(ctx context.Context, l *loaded, auto bool) error {
	if err := k.awaitPort(ctx); err != nil {
		return err
	}
	if i := &l.conf.Interface; len(i.PreUp)+len(i.PostUp) > 0 {
		if err := cmp.Or(k.awaitAnswer(), k.keep(l)); err != nil {
			return err
		}
		return k.lookAndMarkUp(l, auto)
	}
	answered := make(chan error, 1)
	go func() { answered <- k.awaitAnswer() }()
	err := k.keepGiven(l)
	if err == nil {
		err = k.markUp(l, nil, auto)
	}
	return errors.Join(err, <-answered)
}

// adopt takes over a link that is up, with all that was in force under the keeper
// that is gone.
func (k *Keeper) adopt(ctx context.Context, l *loaded, was host.UpRecord) error {
	k.say(Message{Note: fmt.Sprintf("taking over %s, which is up", k.name)})
	l.noteChange(k.say)
	k.mu.Lock()
	k.state.Adopted = true
	k.mu.Unlock()
	s, err := k.read(ctx, l)
	if err != nil {
		return err
	}
	k.mark = was.Mark
	k.markLookups(k.mark)
	plan, err := host.Reload(l.conf, k.journal, s, host.Options{Link: k.name, File: l.label, Mark: k.mark, Force: true})
	if err != nil {
		return ofConfig(err)
	}
	for _, w := range plan.Warnings {
		k.say(Message{Warning: w})
	}
	o := &owner{k, l, k.say}
	err = o.open(ctx, true)
	if err == nil {
		err = k.awaitReady(ctx)
	}
	if err != nil {
		k.closeLink()
		return err
	}
	if err := k.configureAfter(ctx, l, was); err != nil {
		k.closeLink()
		return err
	}
	if err := host.Apply(ctx, plan, k.journal, o, k.step); err != nil {
		k.closeLink()
		return err
	}
	err = k.keep(l)
	if err == nil {
		err = k.lookAndMarkUp(l, host.AutomaticMark(l.conf, plan))
	}
	if err != nil {
		k.closeLink()
	}
	return err
}

// configureAfter configures the engine of a link that is taken over. The engine of
// the keeper before this one ends with it, but may have the port for a moment yet.
func (k *Keeper) configureAfter(ctx context.Context, l *loaded, was host.UpRecord) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(listenPatience); ; {
		err := k.configure(ctx, l, was.Port)
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read takes down what the host is like now. The SSH sessions are those that a client
// has found.
func (k *Keeper) read(ctx context.Context, l *loaded, sessions ...netip.Addr) (*host.State, error) {
	return host.Read(ctx, host.Query{
		Link: k.name, Mark: k.mark, Journal: k.journal,
		Toward:   toward(lookup.Peers(l.conf), k.names.Known),
		SSH:      host.WhoseSSH(l.conf),
		Sessions: sessions,
	})
}

// lookAndMarkUp is markUp with what the host is like now.
func (k *Keeper) lookAndMarkUp(l *loaded, auto bool) error {
	s, err := host.Look(k.journal)
	if err != nil {
		return err
	}
	return k.markUp(l, s, auto)
}

// markUp writes that all is done as l has it, which is in force from then on. S was
// looked at since; nil: nobody else has done anything.
func (k *Keeper) markUp(l *loaded, s *host.State, auto bool) error {
	i := &l.conf.Interface
	port, mark := k.ports.Current()
	if l.live { // that one may be set by hand: the next plan would take it back
		mark = k.mark
	}
	record := host.UpRecord{
		File: l.label, Port: port, Mark: mark, Auto: auto,
		Save: i.SaveConfig.Value, Heal: !i.Heal.Given || i.Heal.Value,
		DownHooks: append(host.Hooks(host.PreDown, i.PreDown, k.name), host.Hooks(host.PostDown, i.PostDown, k.name)...),
	}
	if err := k.journal.MarkUp(record, s); err != nil {
		return err
	}
	k.mark = mark
	k.markLookups(mark)
	l.erase()
	k.config, k.hash = l.conf, l.hash
	k.published.Store(k.config)
	k.awaitExpiry()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Port, k.state.Mark = port, mark
	return nil
}

// watchAfter is when it begins to be watched what others take away, once the link is up:
// it takes as long as the first handshake, which comes first.
const watchAfter = 20 * time.Millisecond

// watch begins to watch for what others take away, and has the host looked at for what
// they took before.
func (k *Keeper) watch() {
	if !k.journal.Up().Heal {
		return
	}
	var err error
	if k.changes, err = host.Watch(k.life, k.name); err != nil {
		k.log.Warn("what others take away is not put back", "error", err)
	}
	k.watchResolved()
	k.settled = time.After(settleTime)
}

// startNames begins to look for the addresses of the endpoints' names.
func (k *Keeper) startNames(l *loaded) {
	k.published.Store(l.conf)
	k.resolver = lookup.NewResolver(k.servers, 0)
	k.names = lookup.Start(k.life, lookup.Config{
		Lookup: k.lookup,
		Path:   host.LibPath(k.name, addressesFile),
		Log:    k.log,
	}, lookup.Peers(l.conf))
	k.mu.Lock()
	k.scheduler = k.names
	k.mu.Unlock()
	go k.followNames()
}

// lookup is the resolver's, as soon as it is known which mark the questions are to
// carry: one without would end in the tunnel, unanswered.
func (k *Keeper) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	select {
	case <-k.marked:
		return k.resolver.Lookup(ctx, host)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// markLookups says which mark the questions of the resolver carry. It is called by
// the main goroutine.
func (k *Keeper) markLookups(mark uint32) {
	k.resolver.SetMark(mark)
	select {
	case <-k.marked:
	default:
		close(k.marked)
	}
}

// followNames tells the engine where peers may be, as that is found out.
func (k *Keeper) followNames() {
	for r := range k.names.Results() {
		if err := k.offer(r.Peer, r.Candidates); err != nil && k.life.Err() == nil {
			k.log.Debug("addresses of an endpoint don't reach the engine", "peer", r.Peer, "error", err)
		}
	}
}

// servers are the DNS servers that are asked for endpoints: not those that the
// tunnel brings.
func (k *Keeper) servers(ctx context.Context) ([]netip.AddrPort, error) {
	return dns.Servers(ctx, k.name)
}
