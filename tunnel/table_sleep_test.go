package tunnel

import (
	"slices"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// Rows of the table about a machine that sleeps.

// Sleep is announced: no key outlives the announcement, nothing is said until the end of sleep, and then a handshake starts at once with who had
// a session and with nobody else.
func TestSleepAnnounced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		quiet := w.newHost() // which has a session, and nothing to say
		a.set(peers(quiet.asPeer(quiet.outer4())))
		quiet.set(peers(a.asPeer(a.outer4())))
		w.exchange(a, quiet)
		stranger := w.newHost()
		a.set(peers(stranger.asPeer(stranger.outer4())))
		k := a.peer(b).machine.Current()
		a.Suspend()
		a.Suspend()
		if why, ended := k.Ended(); !ended || why != rekey.Suspended {
			t.Errorf("the session's end is %v", why)
		}
		if n := a.arena.Live(); n != 0 {
			t.Errorf("%d keys live in sleep", n)
		}
		a.send(a.packetTo(b))
		b.send(b.packetTo(a))
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Keepalive: new(uint16(5))}))
		w.sleep(time.Minute)
		if got := w.sent(); len(find(got, b.outer4(), wire.TypeInitiation)) != 0 || len(find(got, b.outer4(), wire.TypeResponse)) != 0 {
			t.Errorf("sent %v in sleep", got)
		}
		a.time.sleep(time.Hour)
		w.sent()
		a.Resume()
		a.Resume()
		got := w.sent()
		for _, h := range []*host{b, quiet} {
			if len(find(got, h.outer4(), wire.TypeInitiation)) != 1 {
				t.Errorf("sent %v on waking, want one initiation to each who had a session", got)
			}
		}
		if count(got, wire.TypeInitiation) != 2 {
			t.Errorf("sent %v on waking", got)
		}
		w.exchange(a, b)
	})
}

// Sleep comes while an initiation waits for the disk: on waking one goes out, not that one and the next.
func TestSleepWhileInitiationWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		b.link(tun.Down)
		hang := make(chan struct{})
		defer close(hang)
		a.floor = &memFloor{hang: hang}
		a.restart(b.asPeer(b.outer4()))
		a.send(a.packetTo(b))
		a.time.slept.Add(int64(2 * rekey.RekeyTimeout))
		a.Handshake(b.public()) // is there before any timer has ticked
		a.time.sleep(0)
		w.sleep(rekey.RekeyTimeout - 1)
		if n := len(find(w.sent(), b.outer4(), wire.TypeInitiation)); n != 1 {
			t.Errorf("%d initiations on waking, want one", n)
		}
	})
}

// What happens to the link in sleep counts on waking.
func TestSleepWhileLinkGoesDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.Suspend()
		a.link(tun.Down)
		a.Resume()
		if got := w.kinds(); len(got) != 0 {
			t.Errorf("sent %v while the link is down", got)
		}
		a.link(tun.Up)
		a.deliver(b)
		a.Suspend()
		a.Close()
		a.Resume()
	})
}

// A peer that is removed in sleep stays removed.
func TestPeerRemovedInSleep(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.Suspend()
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}))
		a.Resume()
		if got := w.kinds(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

// Sleep that nobody announced: keys that aged in it are dead on waking, and a handshake starts at once, before there is a packet. A short sleep
// changes nothing.
func TestSleepUnannounced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		k := a.peer(b).machine.Current()
		a.time.sleep(time.Minute)
		w.wait()
		if a.peer(b).machine.Current() != k || len(w.kinds()) != 0 {
			t.Error("a minute's sleep has ended a session")
		}
		a.time.sleep(time.Hour)
		want := []wire.Type{wire.TypeInitiation, wire.TypeResponse, wire.TypeData}
		if got := w.kinds(); !slices.Equal(got, want) {
			t.Errorf("sent %v on waking, want %v", got, want)
		}
		if why, ended := k.Ended(); !ended || why != rekey.Expired {
			t.Errorf("the session's end is %v", why)
		}
		w.exchange(a, b)
	})
}

// Awake, a session that runs out in silence is not replaced.
func TestNoHandshakeWithoutSleep(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.newSession()
		w.sleep(rekey.RejectAfterTime)
		if got := w.kinds(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}
