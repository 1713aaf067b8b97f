package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// edit is a change to a file whose interface may be up: both are changed, or none
// is.
type edit struct {
	configfile.File
	arg    string // that named the file
	text   []byte
	conf   *conf.Config
	public key.Public // of the interface; zero if the file doesn't know it
	keyErr error      // why a key file that it names says none

	show   keeper.Show
	unlock func()
}

// openEdit reads the file that an argument names, and keeps others from editing
// it until close.
func openEdit(arg string, show keeper.Show) (_ *edit, err error) {
	e := &edit{arg: arg, show: show}
	if e.File, err = configfile.Find(arg); err != nil {
		return nil, err
	}
	if e.Path == "" {
		return nil, errors.New("standard input can't be edited: name a file")
	}
	if e.unlock, err = configfile.Lock(e.Path); errors.Is(err, fs.ErrNotExist) {
		e.unlock, err = func() {}, nil // that the file isn't there either is told with a hint
	}
	if err != nil {
		return nil, err
	}
	if err := e.read(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *edit) read() error {
	text, warnings, err := e.Read()
	if err != nil {
		return err
	}
	e.text = text
	c, _, err := conf.Parse(e.Path, text, conf.WGQuick)
	if err != nil {
		return err
	}
	e.conf = c
	warn := func(w conf.Warning) { e.show(keeper.Message{Warning: w.String()}) }
	for _, w := range warnings {
		warn(w)
	}
	var own *key.Private
	own, e.keyErr = setting.OwnKey(c.Interface, e.Path, warn)
	if own != nil && !own.IsZero() {
		e.public = own.Public()
		if c.Interface.PrivateKeyFile.Given {
			own.Erase()
		}
	}
	return nil
}

// close forgets the keys.
func (e *edit) close() {
	clear(e.text)
	if e.conf != nil {
		e.conf.Erase()
	}
	e.unlock()
}

// device asks the interface of the file for its state, if it is up and is that of
// the file: it has the same key, or one of which the file knows nothing. It is nil
// if not.
func (e *edit) device() (*uapi.Client, *uapi.Device) {
	c, err := uapi.Dial(e.Name)
	if err != nil {
		return nil, nil
	}
	d, err := c.Get()
	if err != nil {
		c.Close()
		return nil, nil
	}
	if !e.public.IsZero() && d.PublicKey != e.public {
		d.Erase()
		c.Close()
		return nil, nil
	}
	return c, d
}

// commit writes the file as its config now says, and gives the interface that
// change, if it is up. It returns whether it is. If the interface does not take
// it, the file is as before.
func (e *edit) commit(ctx context.Context, change *uapi.Config) (live bool, err error) {
	apply, err := e.way(ctx, change)
	if err != nil {
		return false, err
	}
	merged, err := e.conf.Merge(e.Path, e.text)
	if err != nil {
		return false, err
	}
	defer clear(merged)
	if err := configfile.Write(e.Path, merged); err != nil {
		return false, err
	}
	if apply == nil {
		return false, nil
	}
	if err := apply(); err != nil {
		return false, errors.Join(err, configfile.Write(e.Path, e.text))
	}
	return true, nil
}

// way finds how the interface is told, nil if it is not up: by its keeper, if all
// else that the file says is in force; else directly.
func (e *edit) way(ctx context.Context, change *uapi.Config) (apply func() error, err error) {
	k, err := keeper.Dial(e.Name)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return e.directly(change), nil
	case errors.Is(err, fs.ErrPermission):
		return nil, permissionHint(err)
	default:
		return nil, err
	}
	state, err := k.State(ctx)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(e.Path)
	if err != nil {
		return nil, err
	}
	if state.File != path {
		e.show(keeper.Message{Warning: fmt.Sprintf("%s is up from %s, and not from this file: it is left as it is", e.Name, state.File)})
		return nil, nil
	}
	pending, err := k.Reload(ctx, keeper.ReloadRequest{DryRun: true}, func(keeper.Message) {})
	if err != nil {
		return nil, err
	}
	if pending {
		e.show(keeper.Message{Warning: fmt.Sprintf("the file has other changes that are not in force: only this one is now; \"vpn reload %s\" brings in the others", e.Name)})
		return e.directly(change), nil
	}
	return func() error {
		// Nothing but this change differs, so SaveConfig has nothing to lose.
		_, err := k.Reload(ctx, keeper.ReloadRequest{Force: true}, e.show)
		return err
	}, nil
}

// directly tells the interface itself, whoever runs it.
func (e *edit) directly(change *uapi.Config) func() error {
	c, d := e.device()
	switch {
	case c == nil && linkKind(e.Name) == kernelLink:
		e.show(keeper.Message{Warning: fmt.Sprintf("%s belongs to the kernel's WireGuard: \"wg syncconf %s <(vpn strip %s)\" brings the change in", e.Name, e.Name, e.arg)})
		return nil
	case c == nil:
		return nil
	}
	d.Erase()
	return func() error { return errors.Join(c.Set(change), c.Close()) }
}

// find returns the peer that a name or a public key means.
func (e *edit) find(peer string) (key.Public, error) {
	if id, err := key.ParsePublic(peer); err == nil {
		for i := range e.conf.Peers {
			if e.conf.Peers[i].PublicKey.Value == id {
				return id, nil
			}
		}
		return id, hint(fmt.Errorf("%s has no peer with the key %v", e.Path, id), "\"vpn peer list %s\" lists them", e.arg)
	}
	found := map[key.Public]bool{}
	var id key.Public
	for i := range e.conf.Peers {
		if p := &e.conf.Peers[i]; p.Name.Given && p.Name.Value == peer {
			id = p.PublicKey.Value
			found[id] = true
		}
	}
	switch len(found) {
	case 0:
		return id, hint(fmt.Errorf("%s has no peer of the name %q", e.Path, peer), "\"vpn peer list %s\" lists them", e.arg)
	case 1:
		return id, nil
	}
	return id, hint(fmt.Errorf("%s has %d peers of the name %q", e.Path, len(found), peer), "say which by its public key; \"vpn peer list %s\" lists them", e.arg)
}
