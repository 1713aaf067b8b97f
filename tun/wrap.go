package tun

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	wgtun "golang.zx2c4.com/wireguard/tun"
	"vpn/tun/offload"
)

// headroom is what devices of golang.zx2c4.com/wireguard/tun may use in front of
// a packet: the header of a family on BSD, a virtio header on Linux.
const headroom = 16

// Wrap makes a Device with one queue of one that was made with
// golang.zx2c4.com/wireguard/tun, and takes it over: it is closed by Close.
func Wrap(d wgtun.Device) (Device, error) {
	name, err := d.Name()
	if err != nil {
		return nil, err
	}
	w := &wrapped{
		device: d, name: name, batch: max(1, d.BatchSize()),
		events: make(chan Event, 8), done: make(chan struct{}),
	}
	w.sizes = make([]int, w.batch)
	w.in = make([][]byte, w.batch)
	w.out = make([][]byte, w.batch)
	w.chunk = make([][]byte, 0, w.batch)
	if w.batch > 1 {
		for i := range w.in {
			w.in[i] = make([]byte, headroom+maxRead)
		}
	}
	w.mtu.Store(DefaultMTU)
	w.MTU()
	go w.forward()
	return w, nil
}

// wrapped is a Device and its only Queue.
type wrapped struct {
	device wgtun.Device
	name   string
	batch  int // packets that device takes or gives at once
	mtu    atomic.Int32
	events chan Event
	done   chan struct{} // closed by Close
	once   sync.Once
	closed error // of device.Close

	reading sync.Mutex // guards the following
	in      [][]byte
	sizes   []int
	from    int // in[from:to] were read and not yet handed out
	to      int

	writing sync.Mutex // guards the following
	out     [][]byte   // room for packets behind headroom, grown when needed
	chunk   [][]byte
}

func (w *wrapped) Name() string         { return w.name }
func (w *wrapped) Events() <-chan Event { return w.events }
func (w *wrapped) Queues() []Queue      { return []Queue{w} }

func (w *wrapped) MTU() int {
	if m, err := w.device.MTU(); err == nil && m > 0 {
		w.mtu.Store(int32(m))
	}
	return int(w.mtu.Load())
}

func (w *wrapped) Close() error {
	w.once.Do(func() {
		close(w.done)
		w.closed = w.device.Close()
	})
	return w.closed
}

// forward translates events until there are no more. A change of the MTU before the
// first Up or Down tells nothing that MTU does not.
func (w *wrapped) forward() {
	defer close(w.events)
	var last Event
	send := func(e Event) {
		if e == last || e == MTUChanged && last == 0 {
			return
		}
		if e != MTUChanged {
			last = e
		}
		select {
		case w.events <- e:
		case <-w.done:
		}
	}
	from := w.device.Events()
	for {
		select {
		case <-w.done:
			return
		case e, ok := <-from:
			if !ok {
				return
			}
			if e&wgtun.EventDown != 0 {
				send(Down)
			}
			if e&wgtun.EventUp != 0 {
				send(Up)
			}
			if e&wgtun.EventMTUUpdate != 0 {
				send(MTUChanged)
			}
		}
	}
}

// Read implements Queue. Whether the device has more than it gave cannot be
// known without waiting, so a batch is what one read of it gives.
func (w *wrapped) Read(b *Batch) error {
	w.reading.Lock()
	defer w.reading.Unlock()
	b.Reset()
	for len(b.Packets) == 0 {
		var err error
		if w.batch == 1 {
			err = w.readOne(b)
		} else {
			err = w.readMany(b)
		}
		if err != nil {
			return w.why(err)
		}
	}
	return nil
}

// readOne reads straight into b.
func (w *wrapped) readOne(b *Batch) error {
	w.in[0] = b.room(headroom)
	n, err := w.device.Read(w.in, w.sizes, headroom)
	if size := w.sizes[0]; n > 0 && size > 0 && size <= maxRead {
		b.add(w.in[0][headroom:][:size], offload.GSO{})
		return nil
	}
	return ignoreSegments(err)
}

// readMany reads into memory of its own, because a device may give more at once than b
// has room for, and hands out from there.
func (w *wrapped) readMany(b *Batch) error {
	if w.from == w.to {
		n, err := w.device.Read(w.in, w.sizes, headroom)
		if n <= 0 && ignoreSegments(err) != nil {
			return err
		}
		w.from, w.to = 0, min(max(n, 0), w.batch)
	}
	for ; w.from < w.to && !b.Full(); w.from++ {
		if size := w.sizes[w.from]; size > 0 && size <= maxRead {
			b.Add(w.in[w.from][headroom:][:size], offload.GSO{})
		}
	}
	return nil
}

// ignoreSegments takes out the one error after which reading goes on.
func ignoreSegments(err error) error {
	if errors.Is(err, wgtun.ErrTooManySegments) {
		return nil
	}
	return err
}

// why turns what devices return when they are closed into os.ErrClosed.
func (w *wrapped) why(err error) error {
	select {
	case <-w.done:
		return os.ErrClosed
	default:
	}
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		return os.ErrClosed
	}
	return err
}

// Write implements Queue. Each packet is copied behind the headroom that the
// device asks for.
func (w *wrapped) Write(pkts [][]byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	var taken int
	var last error
	for len(pkts) > 0 {
		n := min(len(pkts), w.batch)
		w.chunk = w.chunk[:0]
		for i, p := range pkts[:n] {
			need := headroom + len(p)
			if cap(w.out[i]) < need {
				w.out[i] = make([]byte, max(need, headroom+2048))
			}
			w.out[i] = w.out[i][:need]
			copy(w.out[i][headroom:], p)
			w.chunk = append(w.chunk, w.out[i])
		}
		pkts = pkts[n:]
		if _, err := w.device.Write(w.chunk, headroom); err == nil {
			taken += n
		} else if last = w.why(err); last == os.ErrClosed {
			return taken, last
		}
	}
	return taken, last
}
