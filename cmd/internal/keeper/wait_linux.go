package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"vpn/cmd/internal/child"
	"vpn/cmd/internal/lookup"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

const (
	waitEvery      = 50 * time.Millisecond
	nudgeEvery     = 500 * time.Millisecond
	nudgeKeepalive = 25
)

// awaited is a peer with an endpoint, that has not shaken hands yet.
type awaited struct {
	id        key.Public
	name      string
	endpoint  string
	keepalive uint16
	unknown   bool // where it is
}

// waiter is one `vpn up --wait`.
type waiter struct {
	keeper *Keeper
	engine *child.Engine
	names  map[key.Public]string
	peers  map[key.Public]conf.Endpoint
	nudged time.Time
}

// handleWait is the --wait of `vpn up`.
func (k *Keeper) handleWait(ctx context.Context, body []byte, _ Show) (*Result, error) {
	var r WaitRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	w := waiter{keeper: k}
	if err := k.do(ctx, func(context.Context) error { w.look(); return nil }); err != nil {
		return nil, err
	}
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		silent, err := w.silent()
		if err == nil && len(silent) == 0 {
			return nil, nil
		}
		if err == nil {
			err = w.nudge(silent)
		}
		if err != nil {
			k.log.Debug("the engine does not answer who waits for its peers", "error", err)
		}
		select {
		case <-tick.C:
		case <-k.ended:
			return nil, errEnded
		case <-ctx.Done():
			if err != nil && silent == nil {
				return nil, err
			}
			return &Result{Silent: w.why(silent)}, nil
		}
	}
}

// look takes down, on the main goroutine, whom to wait for.
func (w *waiter) look() {
	w.engine = w.keeper.engine
	w.names, w.peers = make(map[key.Public]string), make(map[key.Public]conf.Endpoint)
	for _, p := range lookup.Peers(w.keeper.config) {
		w.peers[p.Key] = p.Endpoints[0]
	}
	for i := range w.keeper.config.Peers {
		p := &w.keeper.config.Peers[i]
		w.names[p.PublicKey.Value] = p.Name.Value
	}
}

// silent returns the peers that have not shaken hands.
func (w *waiter) silent() (silent []awaited, err error) {
	var d *uapi.Device
	err = w.keeper.ask(func(c *uapi.Client) (err error) {
		d, err = c.Get()
		return err
	})
	if err != nil {
		return nil, err
	}
	defer d.Erase()
	for i := range d.Peers {
		p := &d.Peers[i]
		where, has := w.peers[p.PublicKey]
		if !has || !p.LastHandshake.IsZero() {
			continue
		}
		a := awaited{p.PublicKey, w.names[p.PublicKey], p.Endpoint.String(), p.Keepalive, !p.Endpoint.IsValid()}
		if a.unknown {
			a.endpoint = where.String()
		}
		silent = append(silent, a)
	}
	return silent, nil
}

// nudge makes peers shake hands that would wait for a packet: a keepalive is sent
// when they are switched on, if the engine knows by then that the link is up. Here
// they are off again at once.
func (w *waiter) nudge(silent []awaited) error {
	if time.Since(w.nudged) < nudgeEvery {
		return nil
	}
	w.nudged = time.Now()
	on, off := uint16(nudgeKeepalive), uint16(0)
	var switchOn, switchOff uapi.Config
	for _, a := range silent {
		if !a.unknown && a.keepalive == 0 {
			switchOn.Peers = append(switchOn.Peers, uapi.PeerConfig{PublicKey: a.id, UpdateOnly: true, Keepalive: &on})
			switchOff.Peers = append(switchOff.Peers, uapi.PeerConfig{PublicKey: a.id, UpdateOnly: true, Keepalive: &off})
		}
	}
	if len(switchOn.Peers) == 0 {
		return nil
	}
	return w.keeper.ask(func(c *uapi.Client) error { return errors.Join(c.Set(&switchOn), c.Set(&switchOff)) })
}

// why says of each silent peer what is known of the reason.
func (w *waiter) why(silent []awaited) (lines []string) {
	tries := w.keeper.tries.all()
	unknown := make(map[string]error)
	for _, f := range w.keeper.names.Failures() {
		unknown[f.Host] = lookup.Reason(f.Err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, a := range silent {
		who := a.id.String()
		if a.name != "" {
			who = fmt.Sprintf("%s (%s)", a.name, who)
		}
		var reasons []string
		if err := unknown[strings.ToLower(strings.TrimSuffix(w.peers[a.id].Host, "."))]; err != nil {
			reasons = append(reasons, fmt.Sprintf("its name has no address: %v", err))
		} else if a.unknown {
			reasons = append(reasons, "its name is being looked up")
		}
		if !a.unknown {
			reasons = append(reasons, fmt.Sprintf("initiations without an answer: %d", tries[a.id]+1))
		}
		if w.engine != nil {
			drops, err := w.engine.PeerDrops(ctx, a.id)
			if err == nil {
				reasons = append(reasons, dropped(drops)...)
			}
		}
		lines = append(lines, fmt.Sprintf("%s at %s: %s", who, a.endpoint, strings.Join(reasons, ", ")))
	}
	if len(silent) > 0 && w.engine != nil {
		// What comes from a peer that isn't known as such is the interface's.
		if drops, err := w.engine.Drops(ctx); err == nil {
			if all := dropped(drops); len(all) > 0 {
				lines = append(lines, "dropped so far: "+strings.Join(all, ", "))
			}
		}
	}
	return lines
}

// dropped lists the reasons for which something was dropped.
func dropped(d tunnel.Drops) (list []string) {
	for reason, n := range d {
		if n > 0 {
			list = append(list, fmt.Sprintf("%v %d", tunnel.Reason(reason), n))
		}
	}
	return list
}
