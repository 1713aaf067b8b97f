package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/control"
	"vpn/cmd/internal/lookup"
	"vpn/noise/key"
	"vpn/tun/host"
)

// Refuse says why a link can't be brought up now: a keeper is at work on it. It is
// nil if none is.
func Refuse(name string) error {
	if held := Held(name); held != nil {
		return explainHeld(held)
	}
	return nil
}

// Preview shows what Run would do. The text is the configuration's, or nil: then
// it is read.
func Preview(ctx context.Context, f configfile.File, text []byte, force bool, show Show) error {
	if err := Refuse(f.Name); err != nil {
		return err
	}
	j, err := host.OpenJournal(f.Name)
	if err != nil {
		return err
	}
	defer j.Close()
	var l *loaded
	if text != nil {
		l, err = parse(ctx, f, slices.Clone(text), nil)
	} else {
		l, _, err = loadFor(ctx, f, j)
	}
	if err != nil {
		return err
	}
	defer l.erase()
	for _, w := range l.warnings {
		show(Message{Warning: w})
	}
	plan, err := planOver(ctx, l, j, force, show)
	if err != nil || plan == nil {
		return err
	}
	for _, w := range plan.Warnings {
		show(Message{Warning: w})
	}
	for _, s := range plan.Steps {
		showStep(show)(host.Shown(s.Do))
	}
	return nil
}

// Check tells what is wrong with a configuration that is to be brought up elsewhere,
// and the warnings: a service's log is not before the user's eyes, and the service
// does not see the SSH session that the user types in. The text of standard input is
// pinned.
func Check(ctx context.Context, f configfile.File, force bool) (warnings []string, err error) {
	j, err := host.OpenJournal(f.Name)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	l, adopted, err := loadFor(ctx, f, j)
	if err != nil {
		return nil, err
	}
	defer l.erase()
	if adopted || len(leftOf(l, j)) > 0 { // then the plan is another
		return l.warnings, nil
	}
	p, err := plan(ctx, l, force)
	if err != nil {
		return l.warnings, err
	}
	return append(l.warnings, p.Warnings...), nil
}

// leftOf is what has to be undone before anything else.
func leftOf(l *loaded, j *host.Journal) []host.Action { return host.ToUndo(j, l.keeps) }

// keeps says of what an earlier run has done whether it stays: a kill switch does, or
// what it holds back would leave meanwhile.
func (l *loaded) keeps(a host.Action) bool {
	return l.conf.Interface.KillSwitch.Value && isKillSwitch(a)
}

// planOver plans as Run would on a host on which an earlier run may have left
// something. It is nil where that would have to be undone first, which it shows.
func planOver(ctx context.Context, l *loaded, j *host.Journal, force bool, show Show) (*host.Plan, error) {
	if up := j.Up(); up != nil && isOurs(l.file.Name, j) {
		show(Message{Note: fmt.Sprintf("%s is up and nobody keeps it: it would be taken over", l.file.Name)})
		l.noteChange(show)
		s, err := host.Read(ctx, host.Query{Link: l.file.Name, Mark: up.Mark, Journal: j, Toward: given(l)})
		if err != nil {
			return nil, err
		}
		p, err := host.Reload(l.conf, j, s, host.Options{Link: l.file.Name, File: l.label, Mark: up.Mark, Force: true})
		return p, ofConfig(err)
	}
	left := leftOf(l, j)
	if len(left) == 0 {
		return plan(ctx, l, force)
	}
	show(Message{Note: "what an earlier run has left would be undone before anything else"})
	for _, a := range left {
		showStep(show)(host.Shown(a))
	}
	show(Message{Note: fmt.Sprintf("then %[1]s would come up: \"vpn down %[1]s\" undoes what is left, and what follows can be seen then", l.file.Name)})
	return nil, nil
}

// isOurs says whether the link that the journal tells of is there.
func isOurs(name string, j *host.Journal) bool {
	i, err := net.InterfaceByName(name)
	return err == nil && j.Index() == i.Index
}

// given are the endpoints' addresses that the file gives.
func given(l *loaded) []netip.Addr {
	given := make(map[key.Public][]netip.AddrPort)
	peers := lookup.Peers(l.conf)
	for _, p := range peers {
		for _, e := range p.Endpoints {
			if at, is := e.Addr(); is {
				given[p.Key] = append(given[p.Key], at)
			}
		}
	}
	return toward(peers, func(k key.Public) []netip.AddrPort { return given[k] })
}

// plan plans as Run would, without looking up names.
func plan(ctx context.Context, l *loaded, force bool) (*host.Plan, error) {
	s, err := host.Read(ctx, host.Query{
		Link:   l.file.Name,
		Toward: given(l),
		SSH:    host.WhoseSSH(l.conf),
	})
	if err != nil {
		return nil, err
	}
	p, err := host.Up(l.conf, s, host.Options{Link: l.file.Name, File: l.label, Force: force})
	return p, ofConfig(err)
}

// Links returns the links that there may be something to take down of.
func Links() ([]string, error) {
	if _, err := os.ReadDir(host.RunDir); errors.Is(err, os.ErrPermission) {
		return nil, err // what is matched below is silent about it
	}
	names, err := host.Journals()
	if err != nil {
		return nil, err
	}
	sockets, err := filepath.Glob(control.Path("*"))
	if err != nil {
		return nil, err
	}
	for _, path := range sockets {
		// That of "vpn device" has no lock beside it.
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), lockFile)); err == nil {
			names = append(names, filepath.Base(filepath.Dir(path)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// AwaitEnd returns when nobody holds a link's lock any more, and the process that
// did has ended.
func AwaitEnd(ctx context.Context, name string, pid int) error {
	const between = 5 * time.Millisecond
	tick := time.NewTicker(between)
	defer tick.Stop()
	for ctx.Err() == nil {
		if !hasEnded(pid, between) {
			continue
		}
		if Held(name) == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// hasEnded waits for a process to end, and says whether it has; one that its parent
// has not asked for yet has too.
func hasEnded(pid int, patience time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// KillSwitch loads the kill switch of a file, as Run would before anything else,
// and nothing more. It may be loaded already.
func KillSwitch(ctx context.Context, f configfile.File, show Show) error {
	l, err := Load(ctx, f)
	if err != nil {
		return err
	}
	defer l.erase()
	if !l.conf.Interface.KillSwitch.Value {
		return fmt.Errorf("%s has no KillSwitch", l.label)
	}
	lock, err := Acquire(f.Name, "vpn killswitch "+f.Name)
	var held *HeldError
	if errors.As(err, &held) {
		return seenTo(ctx, f.Name, "reload") // by its keeper
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := os.Stat("/sys/class/net/" + f.Name); err == nil {
		return seenTo(ctx, f.Name, "up")
	}
	p, err := plan(ctx, l, true)
	if err != nil {
		return err
	}
	j, err := host.OpenJournal(f.Name)
	if err != nil {
		return err
	}
	defer j.Close()
	p.Steps = slices.DeleteFunc(p.Steps, func(s host.Step) bool { return !isKillSwitch(s.Do) })
	replaces(p, j)
	return host.Apply(ctx, p, j, nil, showStep(show))
}

// seenTo says that the kill switch of a link that is there is not loaded, if so, and
// which command loads it.
func seenTo(ctx context.Context, name, command string) error {
	s, err := host.Read(ctx, host.Query{Link: name})
	if err != nil || s.KillSwitch {
		return err
	}
	return hint(fmt.Errorf("%s is there without its kill switch", name), "\"vpn %s %s\" loads it", command, name)
}

// isKillSwitch says whether an action loads a kill switch.
func isKillSwitch(a host.Action) bool {
	t, is := a.(host.LoadTable)
	return is && t.KillSwitch != nil
}

// replaces lets a plan's kill switch take the place of the one that a journal
// lists, which is there again if the plan fails.
func replaces(p *host.Plan, j *host.Journal) {
	for _, e := range j.Entries() {
		if !isKillSwitch(e.Do) {
			continue
		}
		for i := range p.Steps {
			if isKillSwitch(p.Steps[i].Do) {
				p.Steps[i].Back, p.Steps[i].Ends = e.Do, e.ID
			}
		}
	}
}
