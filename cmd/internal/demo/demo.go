// Package demo shows the program at work, without privileges: two whole
// engines in one process, configured as any other program would configure them,
// and a download from one to the other while their session keys are replaced.
//
// What happens: two config files are written, read back and handed to the
// engines as UAPI text. Each engine has a device with an IP stack of its own
// behind it ([Options].Namespaces: a real TUN device in a network namespace of
// its own), and they exchange UDP over loopback. A file is served over HTTP at
// one tunnel address and fetched at the other, slowly enough that the packet
// limit of one config file asks for new keys several times, beside numbered
// datagrams that show that no change of keys loses or reorders one. All that was
// claimed is then checked.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"vpn/tunnel"
)

// Options say how to show it.
type Options struct {
	Namespaces bool // real TUN devices in network namespaces; Linux, root
	JSON       bool // nothing but one object

	Out      io.Writer // what is shown, or the object
	Errors   io.Writer // what the engines complain about
	Terminal bool      // Out can overwrite its last line
	Colour   bool
	Unicode  bool
}

// plan is what happens, and how much of it.
type plan struct {
	size   int64         // of the file, in bytes
	rate   float64       // at which it is served, bytes a second
	limit  uint64        // packets, after which a session is to be replaced
	rekeys int           // how many times new keys must come
	bound  time.Duration // how long to wait for them at most
	burst  time.Duration // how long to go as fast as it can
}

// The packet limit is passed in about 2 s, well before the 5 s that the protocol
// leaves between handshakes: so new keys come every 5 to 5.4 s also where the
// machine is busy, and three times in 20 s.
var wholePlan = plan{
	size:   24 << 20,
	rate:   1.2 * (1 << 20),
	limit:  2000,
	rekeys: 3,
	bound:  2 * time.Minute,
	burst:  2 * time.Second,
}

// Run runs the demo until its end, or the end of ctx; nothing that it made
// stays in either case. An error means that something did not work as claimed.
func Run(ctx context.Context, o Options) error { return run(ctx, o, wholePlan) }

func run(ctx context.Context, o Options, p plan) error {
	screen := newScreen(o)
	defer screen.clear()
	d := &demo{plan: p, screen: screen, report: Report{Limit: p.limit}, events: newEventQueue()}
	err := d.whole(ctx, o)
	switch {
	case ctx.Err() != nil && d.left == nil:
		return errors.New("interrupted; nothing is left behind")
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted, and not all could be cleared away: %w", d.left)
	case err != nil || d.left != nil:
		return errors.Join(err, d.left)
	}
	failed := d.report.check(p.rekeys)
	d.report.OK = failed == nil
	if o.JSON {
		if err := d.report.writeJSON(o.Out); err != nil {
			return err
		}
	} else {
		screen.report(&d.report)
	}
	if failed != nil {
		return failed
	}
	screen.end()
	return nil
}

// demo is one run.
type demo struct {
	plan   plan
	screen *screen
	report Report
	events *eventQueue // of the client
	left   error       // what could not be cleared away
}

// whole makes everything, lets it work, and takes it away again.
func (d *demo) whole(ctx context.Context, o Options) error {
	places, err := newPlaces(o.Namespaces)
	if err != nil {
		return err
	}
	defer d.clear(places.close)
	d.screen.title(places.what)

	pair, err := newPair(ctx, places, d.plan.limit, d.events.add, newLog(o.Errors))
	if err != nil {
		return err
	}
	defer d.clear(func() error {
		err := pair.close()
		d.follow(d.report.Bytes + d.report.BurstBytes)
		d.report.LiveKeys = pair.liveKeys()
		d.report.Lost = d.events.lost.Load()
		return err
	})
	d.screen.configs(pair.folder, pair.server.file, pair.client.file)

	file, err := newFile(pair.folder, d.plan.size)
	if err != nil {
		return err
	}
	defer d.clear(file.close)
	return d.traffic(ctx, pair, file)
}

// clear takes something away that was made, and keeps the error if it can't.
func (d *demo) clear(away func() error) { d.left = errors.Join(d.left, away()) }

// traffic moves the file and the datagrams through the tunnel.
func (d *demo) traffic(ctx context.Context, pair *pair, file *file) error {
	site, err := serve(pair.server.place, pair.server.addr, file, d.plan.rate)
	if err != nil {
		return err
	}
	defer d.clear(site.close)
	visitor := newVisitor(pair.client.place, site.address)
	defer visitor.close()

	d.screen.download(site.address, &d.plan)
	d.report.began = time.Now()
	if err := d.while(ctx, visitor, visitor.knock); err != nil {
		return fmt.Errorf("reach the server through the tunnel: %w", err)
	}
	flow, err := startFlow(pair)
	if err != nil {
		return err
	}
	err = d.slowly(ctx, visitor, file)
	d.report.Datagrams = flow.stop()
	if err != nil {
		return err
	}
	d.screen.fetched(&d.report)
	if err := d.fast(ctx, visitor); err != nil {
		return err
	}
	d.screen.bursted(&d.report)
	if d.report.Client, err = pair.client.traffic(); err != nil {
		return err
	}
	d.screen.closing()
	return nil
}

var errTooSlow = errors.New("this machine is too slow for the demo")

// slowly fetches the file at the pace of the plan, again if keys were not
// replaced often enough meanwhile.
func (d *demo) slowly(ctx context.Context, v *visitor, file *file) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.plan.bound, errTooSlow)
	defer cancel()
	begin := time.Now()
	for {
		v.passed.Store(0)
		d.screen.begin(d.plan.size)
		var sum checksum
		err := d.while(ctx, v, func(ctx context.Context) (err error) {
			sum, err = v.fetch(ctx, pathPaced)
			return err
		})
		if err != nil {
			return fmt.Errorf("download: %w", err)
		}
		d.report.Bytes, d.report.Seconds = v.total.Load(), time.Since(begin).Seconds()
		d.report.Checksum, d.report.Match = sum.String(), sum == file.sum
		if !d.report.Match || d.report.rekeys() >= d.plan.rekeys {
			return nil
		}
		d.screen.again(d.report.rekeys(), d.plan.rekeys)
	}
}

// fast fetches the file again and again for a while, as fast as it comes.
func (d *demo) fast(ctx context.Context, v *visitor) error {
	d.screen.burst(d.plan.burst)
	begin := time.Now()
	err := d.while(ctx, v, func(ctx context.Context) error {
		for time.Since(begin) < d.plan.burst {
			if err := v.discard(ctx, pathFast); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("download at full speed: %w", err)
	}
	d.report.BurstBytes = v.total.Load() - d.report.Bytes
	d.report.Mbps = float64(d.report.BurstBytes) * 8 / 1e6 / time.Since(begin).Seconds()
	return nil
}

// while shows what happens as long as work takes. The screen and the report
// belong to this goroutine alone.
func (d *demo) while(ctx context.Context, v *visitor, work func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	redraw := time.NewTicker(redrawInterval)
	defer redraw.Stop()
	for {
		select {
		case e := <-d.events.queue:
			d.note(e, v.total.Load())
		case <-redraw.C:
			d.screen.progress(time.Since(d.report.began), v.passed.Load())
		case err := <-done:
			d.follow(v.total.Load())
			d.screen.progress(time.Since(d.report.began), v.passed.Load())
			if cause := context.Cause(ctx); err != nil && cause != nil {
				return cause
			}
			return err
		}
	}
}

// follow notes what has happened and was not looked at so far.
func (d *demo) follow(bytes uint64) {
	for {
		select {
		case e := <-d.events.queue:
			d.note(e, bytes)
		default:
			return
		}
	}
}

// note takes an event into the report, and shows it. Bytes is how much had been
// downloaded by then.
func (d *demo) note(e tunnel.Event, bytes uint64) {
	if c, ok := d.report.note(e, bytes); ok {
		d.screen.change(c, d.plan.limit)
	}
}
