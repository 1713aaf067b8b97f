package sim

import (
	"net/netip"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.zx2c4.com/wireguard/replay"

	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

// inside is what an engine keeps to itself and the referee has to see: how much it holds. Chaos and twins also reach for sessions here.
// It is looked at only while the engine is at rest. A field that has another name now makes a panic, not a silent pass.
type inside struct {
	indices, graves, arrived, wanted, due reflect.Value
	peers                                 *map[key.Public]*tunnel.Peer
	stagedBytes                           *atomic.Int64
	identity                              reflect.Value // a pointer to an atomic one
	limiter                               *cookie.Limiter
	loadedAt                              *time.Duration // when handshake messages were last too many
}

func lookInside(t *tunnel.Tunnel) *inside {
	v := reflect.ValueOf(t).Elem()
	handshakes, peers := v.FieldByName("handshakes").Elem(), v.FieldByName("peers")
	return &inside{
		indices: v.FieldByName("index").FieldByName("entries"),
		arrived: handshakes.FieldByName("arrived"), wanted: handshakes.FieldByName("wanted"),
		due:   v.FieldByName("timers").Elem().FieldByName("due"),
		peers: field[map[key.Public]*tunnel.Peer](peers, "byKey"), graves: peers.FieldByName("graves"),
		stagedBytes: field[atomic.Int64](v, "stagedBytes"),
		identity:    reflect.NewAt(v.FieldByName("identity").Type(), unsafe.Pointer(v.FieldByName("identity").UnsafeAddr())),
		limiter:     *field[*cookie.Limiter](v, "limiter"),
		loadedAt:    field[time.Duration](handshakes, "loadedAt"),
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
	p := (*x.peers)[public]
	if p == nil {
		return v, false
	}
	return reflect.ValueOf(p).Elem(), true
}

// pathOffset is where a peer has the pointer to its path, which begins with an endpoint. It is looked up once: all peers are asked after each step.
var pathOffset = func() uintptr {
	f, ok := reflect.TypeFor[tunnel.Peer]().FieldByName("path")
	if !ok {
		panic("a peer has no path")
	}
	load, ok := reflect.PointerTo(f.Type).MethodByName("Load")
	if !ok || load.Type.Out(0).Elem().Field(0).Type != reflect.TypeFor[udp.Endpoint]() {
		panic("path is a " + f.Type.String())
	}
	return f.Offset
}()

// endpoint is where a peer is believed to be; the zero value if nobody knows.
func (x *inside) endpoint(p *tunnel.Peer) netip.AddrPort {
	at := (*udp.Endpoint)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(p), pathOffset))))
	if at == nil {
		return netip.AddrPort{}
	}
	return at.Addr
}

// checker makes and checks the cookies of an engine's identity; nil if it has none.
func (x *inside) checker() *cookie.Checker {
	id := x.identity.MethodByName("Load").Call(nil)[0]
	if id.IsNil() {
		return nil
	}
	return *field[*cookie.Checker](id.Elem(), "cookies")
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
