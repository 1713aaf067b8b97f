package tunnel

import (
	"slices"
	"testing"
	"time"

	"vpn/noise/wire"
)

// The tests in this file are the rows of "What must happen when", as far as they can be told from outside an engine.

func TestFirstPacketMakesASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		want := []wire.Type{wire.TypeInitiation, wire.TypeResponse, wire.TypeData}
		if got := w.kinds(); !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		w.sleep(9999 * time.Millisecond)
		if got := w.kinds(); len(got) != 0 {
			t.Errorf("sent %v before the keepalive is due", got)
		}
		w.sleep(time.Millisecond)
		if got := w.kinds(); !slices.Equal(got, []wire.Type{wire.TypeData}) {
			t.Errorf("sent %v, want one keepalive from the one who only heard", got)
		}
		w.sleep(10 * time.Minute)
		if got := w.kinds(); len(got) != 0 {
			t.Errorf("an idle pair sent %v", got)
		}
		if n := a.arena.Live() + b.arena.Live(); n != 0 {
			t.Errorf("%d keys live after ten silent minutes", n)
		}
	})
}
