package keeper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/setting"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// What is in force lies in two files of the link's folder, for the engine and the
// keeper that come next, whatever the user's file says by then: the text as it was
// loaded, and what the engine had last. The second begins with the hash of the
// text that it belongs to, so that a crash between the two renames leaves none that
// belongs to another.

// keep puts down that l is in force, with what the engine has.
func (k *Keeper) keep(l *loaded) error {
	if err := writePin(k.name, l.text); err != nil {
		return err
	}
	return k.keepEngine(l.hash)
}

// keepGiven is keep where the engine has what it was given for l, and nothing else: it
// is not asked. What others set meanwhile it tells of.
func (k *Keeper) keepGiven(l *loaded) error {
	if err := writePin(k.name, l.text); err != nil {
		return err
	}
	port, _ := k.ports.Current()
	return writeEngine(k.name, l.hash, setting.Sync(&uapi.Device{}, k.given(l, port)))
}

// keepEngine puts down what the engine has, under the text of that hash.
func (k *Keeper) keepEngine(hash string) error {
	return k.ask(func(c *uapi.Client) error {
		d, err := c.Get()
		if err != nil {
			return err
		}
		defer d.Erase()
		return writeEngine(k.name, hash, asConfig(d))
	})
}

// writeEngine writes what an engine has under the text of that hash.
func writeEngine(name, hash string, c *uapi.Config) error {
	return host.ReplaceWith(host.RunPath(name, engineFile), func(w io.Writer) error {
		if _, err := fmt.Fprintln(w, hash); err != nil {
			return err
		}
		return uapi.WriteSet(w, c)
	})
}

// engineHad returns what an engine had last, under the text of that hash. The keys
// are the caller's to erase.
func engineHad(name, hash string) (*uapi.Config, error) {
	f, err := os.Open(host.RunPath(name, engineFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	first := make([]byte, len(hash)+1)
	if _, err := io.ReadFull(f, first); err != nil {
		return nil, err
	}
	if string(first) != hash+"\n" {
		return nil, fmt.Errorf("%s belongs to another configuration: %w", f.Name(), os.ErrNotExist)
	}
	return uapi.ParseSet(bufio.NewReader(f))
}

// Had returns what the engine of a link had last that is gone. The keys are the
// caller's to erase.
func Had(name string) (*uapi.Device, error) {
	text, err := os.ReadFile(host.RunPath(name, configFile))
	var c *uapi.Config
	if err == nil {
		c, err = engineHad(name, hashOf(text))
		clear(text)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("look for what %s has: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("nobody runs %s, and what it had last is not kept: %w", name, err)
	}
	return asDevice(c), nil
}

// asDevice is the other way round of asConfig.
func asDevice(c *uapi.Config) *uapi.Device {
	d := &uapi.Device{}
	take(&d.PrivateKey, c.PrivateKey)
	take(&d.ListenPort, c.ListenPort)
	take(&d.FwMark, c.FwMark)
	take(&d.RekeyAfterTime, c.RekeyAfterTime)
	take(&d.RekeyAfterPackets, c.RekeyAfterPackets)
	for i := range c.Peers {
		p := &c.Peers[i]
		peer := uapi.Peer{PublicKey: p.PublicKey, Endpoint: p.Endpoint}
		take(&peer.Preshared, p.Preshared)
		take(&peer.Keepalive, p.Keepalive)
		for _, a := range p.AllowedIPs {
			peer.AllowedIPs = append(peer.AllowedIPs, a.Prefix)
		}
		d.Peers = append(d.Peers, peer)
	}
	return d
}

func take[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// writePin writes the text that is in force.
func writePin(name string, text []byte) error {
	return host.Replace(host.RunPath(name, configFile), text)
}

// removeKept deletes all that is kept of a link.
func removeKept(name string) {
	for _, file := range []string{configFile, unconfirmedFile, engineFile, hookFile} {
		_ = host.RemoveReplaced(host.RunPath(name, file))
	}
}

// Pin puts a configuration that no file of the user's has where the keeper of
// that link looks for it. The link's lock is held meanwhile.
func Pin(name string, text []byte) error {
	lock, err := Acquire(name, "vpn up "+name)
	if err != nil {
		return explainHeld(err)
	}
	err = writePin(name, text)
	if err != nil {
		_ = os.Remove(host.RunPath(name, configFile))
	}
	lock.Release()
	return err
}

// loadFor reads what is to be in force on a link with that journal, and says
// whether that is what was so under a keeper that is gone: then the link is there.
func loadFor(ctx context.Context, f configfile.File, j *host.Journal) (l *loaded, adopted bool, err error) {
	switch {
	case j.Up() != nil && isOurs(f.Name, j):
		l, err = inForce(ctx, f)
		return l, true, err
	case f.Path == "":
		l, err = pinned(ctx, f)
	default:
		l, err = Load(ctx, f)
	}
	return l, false, err
}

// inForce reads what is in force on a link that is up: what is kept, or the file
// where nothing is.
func inForce(ctx context.Context, f configfile.File) (*loaded, error) {
	l, err := pinned(ctx, f)
	if errors.Is(err, os.ErrNotExist) && f.Path != "" {
		return Load(ctx, f)
	}
	return l, err
}

// pinned reads what is kept. Key files that the text names are read only where
// nothing is kept of an engine.
func pinned(ctx context.Context, f configfile.File) (*loaded, error) {
	text, err := os.ReadFile(host.RunPath(f.Name, configFile))
	if err != nil {
		return nil, err
	}
	l, err := parseText(f, text)
	if err != nil {
		return nil, err
	}
	had, err := engineHad(f.Name, l.hash)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			l.warnings = append(l.warnings, fmt.Sprintf("what was set by hand is lost: %v", err))
		}
		return l, l.fromConf(ctx)
	}
	l.set, l.live = had, true
	l.dropExpired()
	return l, nil
}

// noteChange tells of a file that says something else than what is in force.
func (l *loaded) noteChange(show Show) {
	if l.file.Path == "" {
		return
	}
	text, _, err := l.file.Read()
	defer clear(text)
	switch {
	case err != nil:
		show(Message{Warning: fmt.Sprintf("%v: what was in force stays so", err)})
	case hashOf(text) != l.hash:
		show(Message{Note: fmt.Sprintf("%s has changed, and what was in force stays so: \"vpn reload %s\" brings in what it says now", l.file, l.file.Name)})
	}
}

const (
	// keepEvery bounds how often it is put down what the engine has, and keepShare
	// how much of the time that takes.
	keepEvery = time.Second
	keepShare = 50
)

// keeping is when it is put down what the engine has. It is the main goroutine's.
type keeping struct {
	due   <-chan time.Time // nil: nothing has changed since
	after time.Time        // not before
}

// soon has a change put down: a first one at once.
func (p *keeping) soon() {
	if p.due == nil {
		p.due = time.After(time.Until(p.after))
	}
}

// keepChange puts down a change that is not the keeper's own. An unconfirmed reload
// is not: what is kept is what it goes back to.
func (k *Keeper) keepChange() {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	k.keeping.due = nil
	if k.engine == nil || k.pending != nil {
		return
	}
	begun := time.Now()
	if err := k.keepEngine(k.hash); err != nil && k.life.Err() == nil {
		k.log.Warn("what was set by hand is not kept for the next engine", "error", err)
	}
	k.keeping.after = time.Now().Add(max(keepEvery, keepShare*time.Since(begun)))
}
