package sim

import (
	"reflect"
	"sync/atomic"
	"unsafe"

	"golang.zx2c4.com/wireguard/replay"

	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel"
)

// inside is what an engine keeps to itself and the referee has to see: how much it holds. Chaos and twins also reach for sessions here.
// It is looked at only while the engine is at rest. A field that has another name now makes a panic, not a silent pass.
type inside struct {
	indices, graves, arrived, wanted, due, peers reflect.Value
	stagedBytes                                  *atomic.Int64
}

func lookInside(t *tunnel.Tunnel) *inside {
	v := reflect.ValueOf(t).Elem()
	handshakes, peers := v.FieldByName("handshakes").Elem(), v.FieldByName("peers")
	return &inside{
		indices: v.FieldByName("index").FieldByName("entries"),
		arrived: handshakes.FieldByName("arrived"), wanted: handshakes.FieldByName("wanted"),
		due:   v.FieldByName("timers").Elem().FieldByName("due"),
		peers: peers.FieldByName("byKey"), graves: peers.FieldByName("graves"),
		stagedBytes: field[atomic.Int64](v, "stagedBytes"),
	}
}

// field is a pointer to a field of a struct that can be addressed.
func field[T any](v reflect.Value, name string) *T {
	f := v.FieldByName(name)
	if f.Type() != reflect.TypeFor[T]() {
		panic(name + " is a " + f.Type().String())
	}
	return (*T)(unsafe.Pointer(f.UnsafeAddr()))
}

// peer is one peer of an engine; ok is false if there is none with this key.
func (x *inside) peer(public key.Public) (v reflect.Value, ok bool) {
	v = x.peers.MapIndex(reflect.ValueOf(public))
	if !v.IsValid() {
		return v, false
	}
	return v.Elem(), true
}

// machine is a peer's, or nil.
func (x *inside) machine(public key.Public) *rekey.Machine {
	if p, ok := x.peer(public); ok {
		return field[rekey.Machine](p, "machine")
	}
	return nil
}

// sessions are a peer's, as far as the machine tells of them.
func (x *inside) sessions(public key.Public) (ks []*rekey.Keypair) {
	m := x.machine(public)
	if m == nil {
		return nil
	}
	for _, k := range []*rekey.Keypair{m.Current(), m.Next(), m.Previous()} {
		if k != nil {
			ks = append(ks, k)
		}
	}
	return ks
}

// What follows breaks a session, for twins.

func sentCounter(k *rekey.Keypair) *atomic.Uint64 {
	return field[atomic.Uint64](reflect.ValueOf(k).Elem(), "sent")
}

func confirmed(k *rekey.Keypair) *atomic.Bool {
	return field[atomic.Bool](reflect.ValueOf(k).Elem(), "confirmed")
}

func window(k *rekey.Keypair) *replay.Filter {
	return field[replay.Filter](reflect.ValueOf(k).Elem(), "window")
}
