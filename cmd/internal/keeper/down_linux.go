package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/outside"
	"vpn/cmd/internal/systemd"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// handleDown is `vpn down`. While the link is on its way up, that is given up.
func (k *Keeper) handleDown(request context.Context, _ []byte, show Show) (*Result, error) {
	if k.State().Phase == Starting {
		k.endWork()
		<-k.ended
		return nil, nil // what went wrong is for whoever wanted it up
	}
	if err := k.do(request, func(context.Context) error { return k.downIfAgreed(request, show) }); err != nil {
		return nil, err
	}
	<-k.ended
	return nil, k.result
}

// endWork ends the keeper, whatever it is at.
func (k *Keeper) endWork() { k.stopped.Do(func() { close(k.stop) }) }

// downIfAgreed takes the link down, unless a PreDown hook fails, or whoever asked for
// it leaves before that has ended. From then on it goes on in any case.
func (k *Keeper) downIfAgreed(request context.Context, show Show) error {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	ctx, cancel := context.WithCancel(request)
	defer cancel()
	defer context.AfterFunc(k.told, cancel)()
	switch err := runHooks(ctx, k.name, k.journal.Up(), host.PreDown, show); {
	case err != nil && k.told.Err() != nil:
		k.log.Error("going down all the same", "error", err)
	case err != nil && request.Err() != nil:
		k.log.Warn("the link stays up: nobody waits for its end any more", "error", err)
		return err
	case err != nil:
		return hint(err, "%s is still up; mend the hook in the file and \"vpn reload %s\", or end process %d, whatever the hook says", k.name, k.name, os.Getpid())
	}
	k.result = k.tearDown(show)
	k.endWork()
	return nil
}

// down takes the link down, whatever its hooks say.
func (k *Keeper) down(show Show) error {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	if err := runHooks(k.patient, k.name, k.journal.Up(), host.PreDown, show); err != nil {
		k.log.Error("going down all the same", "error", err)
	}
	return k.tearDown(show)
}

// tearDown undoes all, after the hooks of PreDown.
func (k *Keeper) tearDown(show Show) error {
	k.setPhase(Stopping)
	k.heard(systemd.Stopping("going down"))
	up := *k.journal.Up()
	if up.Save {
		show(Message{Step: "vpn save " + k.name})
		if err := k.save(show); err != nil {
			show(Message{Warning: fmt.Sprintf("not saved: %v", err)})
			k.log.Error("not saved", "error", err)
		}
	}
	k.endLife()
	k.stopEngine()
	closed := k.closeListener()
	err := host.Undo(k.base, k.journal, showStep(show))
	<-closed
	k.dropLink()
	err = errors.Join(err, runHooks(k.patient, k.name, &up, host.PostDown, show))
	k.log.Info("the link is down")
	return err
}

var errNoFile = errors.New("it came from standard input")

// save writes what is in force to the file, or what the last engine had where there
// is none.
func (k *Keeper) save(show Show) error {
	if k.c.File.Path == "" {
		return errNoFile
	}
	if e := k.engine; e != nil {
		ctx, cancel := context.WithCancel(k.base)
		defer cancel()
		go func() { // nobody would answer any more
			select {
			case <-e.Done():
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := save(ctx, k.name, k.c.File.Path, false, show); ctx.Err() == nil {
			return err
		}
	}
	return save(k.base, k.name, k.c.File.Path, true, show)
}

// save is a process of its own, since the file may lie where this one may not write.
func save(ctx context.Context, name, path string, kept bool, show Show) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{self, "save", path}
	if kept {
		args = append(args, "--kept")
	}
	return runOutside(ctx, outside.Command{
		Description: "save the configuration of " + name,
		Args:        args,
		Env:         hookRunner{name, path}.env(),
	}, show)
}

// runHooks runs the hooks of one kind, as they were when the link came up, until
// one fails.
func runHooks(ctx context.Context, name string, up *host.UpRecord, kind host.HookKind, show Show) error {
	if up == nil {
		return nil
	}
	for _, h := range up.DownHooks {
		if h.Kind != kind {
			continue
		}
		show(Message{Step: h.Command})
		if err := (hookRunner{name, up.File}).run(ctx, h, show); err != nil {
			return err
		}
	}
	return nil
}

// ErrNotUp says that there is nothing of a link to take down.
var ErrNotUp = errors.New("is not up")

// Clean takes a link down whose keeper is gone: all that its journals list. If a
// PreDown hook fails, what is there stays.
func Clean(ctx context.Context, name string, show Show) error {
	lock, err := Acquire(name, "vpn down "+name)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := endHook(ctx, name); err != nil {
		show(Message{Warning: fmt.Sprintf("a hook runs on: %v", err)})
	}
	if trace := lastCrash(name); trace != "" {
		show(Message{Warning: "its keeper has crashed:\n" + trace})
	}
	j, err := host.OpenJournal(name)
	if err != nil {
		return err
	}
	defer j.Close()
	if j.Empty() && j.Up() == nil {
		_ = j.Remove() // it lists nothing
		removeTraces(name)
		return fmt.Errorf("%s %w", name, ErrNotUp)
	}
	var up *host.UpRecord
	if u := j.Up(); u != nil {
		record := *u
		up = &record
	}
	if err := runHooks(ctx, name, up, host.PreDown, show); err != nil {
		return hint(err, "%s is still there; mend the hook in the file, and \"vpn up %s\" takes it over", name, name)
	}
	if up != nil && up.Save {
		show(Message{Step: "vpn save " + name})
		err := errNoFile
		if filepath.IsAbs(up.File) {
			err = save(ctx, name, up.File, true, show)
		}
		if err != nil {
			show(Message{Warning: fmt.Sprintf("not saved: %v", err)})
		}
	}
	if err := host.Undo(ctx, j, showStep(show)); err != nil {
		return err
	}
	if l, err := uapi.Listen(name); err == nil { // nobody answers at the socket: it goes
		l.Close()
	}
	removeTraces(name)
	if _, err := net.InterfaceByName(name); err == nil {
		show(Message{Warning: fmt.Sprintf("there is a link %s still, of which nothing is known here: \"ip link delete %s\" removes it, and ends what runs it", name, name)})
	}
	return runHooks(ctx, name, up, host.PostDown, show)
}

// removeTraces deletes what no journal lists, and is of no use to anybody once the
// keeper is gone.
func removeTraces(name string) {
	_ = os.Remove(host.RunPath(name, crashFile))
	removeKept(name)
	control.RemoveDead(name)
	_ = os.Remove(host.LibPath(name, "")) // fails if something is there
}
