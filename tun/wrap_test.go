package tun

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	wgtun "golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/tun/tuntest"
	"vpn/tun/offload"
)

func TestWrapChannelDevice(t *testing.T) {
	c := tuntest.NewChannelTUN()
	d, err := Wrap(c.TUN())
	if err != nil {
		t.Fatal(err)
	}
	if d.Name() != "loopbackTun1" || d.MTU() != DefaultMTU || len(d.Queues()) != 1 {
		t.Errorf("%s, MTU %d, %d queues", d.Name(), d.MTU(), len(d.Queues()))
	}
	if e := <-d.Events(); e != Up {
		t.Errorf("first event %v", e)
	}
	ping := tuntest.Ping(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	q, b := d.Queues()[0], NewBatch()
	for range 3 { // one batch, reused
		go func() { c.Outbound <- ping }()
		if err := q.Read(b); err != nil || len(b.Packets) != 1 || !bytes.Equal(b.Packets[0].Data, ping) || b.Packets[0].GSO != (offload.GSO{}) {
			t.Fatalf("%v, %v", b.Packets, err)
		}
	}
	written := make(chan error)
	go func() {
		n, err := q.Write([][]byte{ping, ping[:30]})
		if n != 2 {
			err = errors.Join(err, errors.New("not all were taken"))
		}
		written <- err
	}()
	if got := <-c.Inbound; !bytes.Equal(got, ping) {
		t.Errorf("%x", got)
	}
	if got := <-c.Inbound; !bytes.Equal(got, ping[:30]) {
		t.Errorf("%x", got)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	ended := readUntilClosed(q)
	if err := errors.Join(d.Close(), d.Close()); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := <-ended; err != os.ErrClosed {
		t.Error(err)
	}
	drain(d)
	if _, err := q.Write([][]byte{ping}); err != os.ErrClosed {
		t.Error(err)
	}
}

// bulk is a device that gives and takes several packets at once, and fails in turn.
type bulk struct {
	wgtun.Device // nil: what is not below is not called
	reads        chan []([]byte)
	events       chan wgtun.Event
	written      [][]byte
	mtu          error
}

func (d *bulk) Name() (string, error)      { return "bulk", nil }
func (d *bulk) MTU() (int, error)          { return 1300, d.mtu }
func (d *bulk) BatchSize() int             { return 100 }
func (d *bulk) Events() <-chan wgtun.Event { return d.events }
func (d *bulk) Close() error               { close(d.events); close(d.reads); return nil }

func (d *bulk) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	pkts, ok := <-d.reads
	if !ok {
		return 0, os.ErrClosed
	}
	for i, p := range pkts {
		sizes[i] = copy(bufs[i][offset:], p)
	}
	if len(pkts) == 0 {
		return 0, wgtun.ErrTooManySegments
	}
	return len(pkts), nil
}

var errRefused = errors.New("refused")

func (d *bulk) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		if len(b) == offset {
			return 0, errRefused
		}
		d.written = append(d.written, bytes.Clone(b[offset:]))
		clear(b[:cap(b)]) // a device may write all over it
	}
	return len(bufs), nil
}

func TestWrapBulkDevice(t *testing.T) {
	inner := &bulk{reads: make(chan [][]byte, 4), events: make(chan wgtun.Event, 8)}
	inner.events <- wgtun.EventMTUUpdate // tells nothing before the first state
	inner.events <- wgtun.EventDown
	inner.events <- wgtun.EventDown
	inner.events <- wgtun.EventUp | wgtun.EventMTUUpdate
	d, err := Wrap(inner)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Event{Down, Up, MTUChanged} {
		if e := <-d.Events(); e != want {
			t.Fatalf("event %v, want %v", e, want)
		}
	}
	inner.mtu = errors.New("not now")
	if d.MTU() != 1300 {
		t.Errorf("MTU %d", d.MTU())
	}

	var sent [][]byte
	for i := range 100 {
		sent = append(sent, bytes.Repeat([]byte{byte(i)}, 1400+i))
	}
	inner.reads <- nil // no error to the caller
	inner.reads <- sent
	var got [][]byte
	b := NewBatch()
	for len(got) < len(sent) {
		if err := d.Queues()[0].Read(b); err != nil {
			t.Fatal(err)
		}
		if len(b.Packets) == 0 || len(b.Packets) > MaxPackets {
			t.Fatalf("%d packets", len(b.Packets))
		}
		for _, p := range b.Packets {
			got = append(got, bytes.Clone(p.Data))
		}
	}
	if !slices.EqualFunc(got, sent, bytes.Equal) {
		t.Error("other packets were read than sent")
	}

	out := slices.Concat(sent, sent, [][]byte{{}}, sent[:3])
	n, err := d.Queues()[0].Write(out)
	// The last chunk holds the empty packet, and a device does not say how far it came.
	if n != 200 || err != errRefused {
		t.Errorf("%d taken, %v", n, err)
	}
	if !slices.EqualFunc(inner.written, slices.Concat(sent, sent), bytes.Equal) {
		t.Errorf("%d packets written, or others", len(inner.written))
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	drain(d)
	if err := d.Queues()[0].Read(b); err != os.ErrClosed {
		t.Error(err)
	}
}

func TestBatch(t *testing.T) {
	b := NewBatch()
	big := bytes.Repeat([]byte{1}, 60000)
	if !b.Add(big, offload.GSO{}) || b.Full() || !b.Add(big, offload.GSO{}) || !b.Full() || b.Add(nil, offload.GSO{}) {
		t.Error("a batch takes packets until it has BatchBytes")
	}
	if !bytes.Equal(b.Packets[0].Data, big) || !bytes.Equal(b.Packets[1].Data, big) {
		t.Error("packets overlap")
	}
	if d := b.Packets[0].Data; cap(d) != len(d) {
		t.Error("appending to a packet would overwrite the next")
	}
	b.Reset()
	for range MaxPackets {
		if !b.Add([]byte{1}, offload.GSO{}) {
			t.Fatal("full too early")
		}
	}
	if b.Add([]byte{1}, offload.GSO{}) {
		t.Error("more than MaxPackets")
	}
	b.Reset()
	if !b.Add([]byte{1}, offload.GSO{Type: offload.TCPv4}) || !b.Full() {
		t.Error("a superpacket ends a batch")
	}
	b.Reset()
	if b.Add(make([]byte, maxRead+1), offload.GSO{}) || !b.Add(make([]byte, maxRead), offload.GSO{}) {
		t.Error("the longest packet")
	}
	b.Reset()
	b.Add(make([]byte, BatchBytes-1), offload.GSO{})
	if room := b.room(virtioRoom); len(room) != virtioRoom+maxRead {
		t.Errorf("room for %d bytes", len(room))
	}
}

const virtioRoom = offload.VirtioSize

// readUntilClosed reads in the background and delivers the error that ends it.
func readUntilClosed(q Queue) <-chan error {
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		b := NewBatch()
		close(started)
		for {
			if err := q.Read(b); err != nil {
				ended <- err
				return
			}
		}
	}()
	<-started
	return ended
}

func drain(d Device) {
	for range d.Events() {
	}
}
