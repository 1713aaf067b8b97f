package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"vpn/tun/host/firewall"
)

// batch is how many steps are written to the journal at once, where they are of a
// kind that comes in thousands.
const batch = 1000

// Apply does a plan's steps, in order, each after it was written to the journal.
// When one fails, or ctx ends, all that was done is taken back, without hooks; the
// error tells of both. Show is told of each action before it is done; what it says
// with its String may be empty.
func Apply(ctx context.Context, p *Plan, j *Journal, o Owner, show func(Action)) error {
	x, err := newExecutor(j, o, show)
	if err != nil {
		return err
	}
	defer x.close()
	r := run{executor: x}
	if err := cmp.Or(r.all(ctx, p.Steps), r.settle(), ctx.Err()); err != nil {
		return errors.Join(err, r.rollback(context.WithoutCancel(ctx)))
	}
	return j.End(r.ends...)
}

// run is a plan that is being done.
type run struct {
	*executor
	done []undoing // in order
	ends []int
}

// undoing is an action that takes something back, and the entry that is void then.
type undoing struct {
	Action
	entry int // 0: none
}

func (r *run) all(ctx context.Context, steps []Step) error {
	for len(steps) > 0 {
		n := 1
		for _, isRoute := steps[0].Do.(AddRoute); isRoute && n < len(steps) && n < batch; n++ {
			if _, isRoute = steps[n].Do.(AddRoute); !isRoute {
				break
			}
		}
		if err := r.some(ctx, steps[:n]); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// some does steps that are written to the journal together.
func (r *run) some(ctx context.Context, steps []Step) error {
	var adding []Step
	for _, s := range steps {
		if s.isNew() {
			adding = append(adding, s)
		}
	}
	id, err := r.journal.Append(adding...)
	if err != nil {
		return err
	}
	for _, s := range steps {
		// Taken down before it is done: a part of it may be. Once one has failed,
		// there is nothing to take back of the others.
		u := undoing{s.Undo, 0}
		if s.isNew() {
			u.entry = id
			id++
		}
		if s.Back != nil {
			u.Action = s.Back
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			r.done = append(r.done, undoing{nil, u.entry})
			continue
		}
		r.done = append(r.done, u)
		r.show(Shown(s.Do))
		if err = r.do(ctx, s.Do); err == nil {
			r.ends = append(r.ends, r.endedBy(s)...)
		}
	}
	return err
}

// endedBy returns the entries that are void once a step is done: the one that it
// names, or the one whose undo it is.
func (r *run) endedBy(s Step) (ids []int) {
	if s.Ends != 0 {
		return []int{s.Ends}
	}
	rule, is := s.Do.(DeleteRule)
	for _, e := range r.journal.Entries() {
		if is && e.Undo == rule {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// isNew says whether a step makes something that is to be undone at the end, or
// tells what is there. Others change what an entry tells of already.
func (s Step) isNew() bool { return s.Undo != nil || s.Back == nil }

// rollback takes back what was done.
func (r *run) rollback(ctx context.Context) error {
	ended, err := r.takeBack(ctx, r.done)
	if err := errors.Join(err, r.journal.End(ended...)); err != nil {
		return fmt.Errorf("while taking back what was done: %w", err)
	}
	if r.journal.Empty() {
		return r.journal.Remove()
	}
	return nil
}

// Redo does again what [Missing] has found to be gone. Nothing is written: the
// journal has it. It goes on after errors.
func Redo(ctx context.Context, steps []Step, j *Journal, show func(Action)) error {
	x, err := newExecutor(j, nil, show)
	if err != nil {
		return err
	}
	defer x.close()
	var errs []error
	for _, s := range steps {
		show(s.Do)
		errs = append(errs, x.do(ctx, s.Do))
	}
	return errors.Join(errs...)
}

// Undo takes back all that the journal tells of, and removes it. It runs no hook,
// needs neither the file nor the link nor a daemon, goes on after errors, and can be
// called again after any. What could not be undone stays in the journal.
func Undo(ctx context.Context, j *Journal, show func(Action)) error {
	return UndoExcept(ctx, j, func(Action) bool { return false }, show)
}

// UndoExcept is Undo, but for what keep says of an action that was done: that stays,
// and so does its entry.
func UndoExcept(ctx context.Context, j *Journal, keep func(Action) bool, show func(Action)) error {
	if j.Empty() {
		return j.Remove()
	}
	if err := j.markDown(); err != nil {
		return err
	}
	x, err := newExecutor(j, nil, show)
	if err != nil {
		return err
	}
	defer x.close()
	r := run{executor: x}
	ended, err := r.takeBack(ctx, undoings(j, keep))
	if err != nil || len(ended) < len(j.Entries()) {
		return errors.Join(err, j.End(ended...))
	}
	return j.Remove()
}

// ToUndo returns what [UndoExcept] would do, in its order.
func ToUndo(j *Journal, keep func(Action) bool) (all []Action) {
	steps, tables := inOrder(undoings(j, keep))
	for _, u := range append(steps, tables...) {
		if u.Action != nil {
			all = append(all, u.Action)
		}
	}
	return all
}

// undoings returns what takes back all that the journal tells of, but for what keep
// says of an action that was done.
func undoings(j *Journal, keep func(Action) bool) (all []undoing) {
	for _, e := range j.Entries() {
		if !keep(e.Do) {
			all = append(all, undoing{e.Undo, e.ID})
		}
	}
	return all
}

// inOrder puts what takes things back, which is given in the order in which they were
// done, in the order in which that is to be. If the link is to be deleted, it goes
// first, with all that lies on it: as long as it has addresses and no rule sends them
// into it, what is bound to them would leave in the clear. Then go policy rules,
// whose table has an unreachable route until then, DNS, and the rest, the last first.
// Tables of the firewall go last and together, since the kernel takes long for each
// time that any goes, and a kill switch with them. Where there is nothing to do for
// an entry, it has no action.
func inOrder(all []undoing) (steps, tables []undoing) {
	all = slices.Clone(all)
	slices.Reverse(all)
	deletes := slices.ContainsFunc(all, func(u undoing) bool { _, is := u.Action.(DeleteLink); return is })
	if deletes {
		slices.SortStableFunc(all, func(a, b undoing) int { return rank(a.Action) - rank(b.Action) })
	}
	for _, u := range all {
		if _, is := u.Action.(DeleteTable); is {
			tables = append(tables, u)
			continue
		}
		if deletes && goesWithLink(u.Action) {
			u.Action = nil
		}
		steps = append(steps, u)
	}
	return steps, tables
}

// takeBack does what takes things back, which is given in the order in which they
// were done, and returns the entries that are void.
func (r *run) takeBack(ctx context.Context, all []undoing) (ended []int, err error) {
	steps, tables := inOrder(all)
	var errs []error
	for _, u := range steps {
		if u.Action != nil {
			r.show(Shown(u.Action))
			if err := r.do(ctx, u.Action); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		ended = append(ended, u.entry)
	}
	if err := r.deleteTables(tables); err != nil {
		errs = append(errs, err)
	} else {
		for _, u := range tables {
			ended = append(ended, u.entry)
		}
	}
	ended = slices.DeleteFunc(ended, func(entry int) bool { return entry == 0 })
	return ended, errors.Join(errs...)
}

// deleteTables deletes tables of the firewall, all in one.
func (r *run) deleteTables(all []undoing) error {
	if len(all) == 0 {
		return nil
	}
	var tables []firewall.Table
	for _, u := range all {
		r.show(u.Action)
		tables = append(tables, u.Action.(DeleteTable).Table)
	}
	return firewall.Delete(tables...)
}

func rank(a Action) int {
	switch a.(type) {
	case DeleteLink:
		return 0
	case DeleteRule:
		return 1
	case UnsetDNS:
		return 2
	}
	return 3
}

// goesWithLink says whether the kernel takes something back by itself when the
// link is deleted. If it isn't deleted, because another has its name, that one is
// not ours to change either.
func goesWithLink(a Action) bool {
	switch a := a.(type) {
	case DeleteAddress:
		return true
	case DeleteRoute:
		return a.Type == Unicast
	}
	return false
}
