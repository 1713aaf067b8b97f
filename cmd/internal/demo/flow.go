package demo

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	flowPort     = 7077
	flowInterval = 20 * time.Millisecond
	flowSize     = 64
)

// flow is a stream of numbered datagrams from the server to the client. The
// download mends what is lost or out of order; here it would show.
type flow struct {
	from    net.Conn
	to      net.PacketConn
	stopped context.CancelFunc
	running sync.WaitGroup
	sent    uint64 // the sender's until it has ended
	got     order  // the receiver's until it has ended
}

func startFlow(p *pair) (*flow, error) {
	f := new(flow)
	to := netip.AddrPortFrom(p.client.addr, flowPort)
	var err error
	if f.to, err = p.client.place.listenPacket(to); err != nil {
		return nil, fmt.Errorf("receive datagrams: %w", err)
	}
	if f.from, err = p.server.place.dial(context.Background(), "udp", to); err != nil {
		f.to.Close()
		return nil, fmt.Errorf("send datagrams: %w", err)
	}
	var ctx context.Context
	ctx, f.stopped = context.WithCancel(context.Background())
	f.running.Go(func() { f.send(ctx) })
	f.running.Go(f.receive)
	return f, nil
}

// send sends a number at a time, starting with 1.
func (f *flow) send(ctx context.Context) {
	tick := time.NewTicker(flowInterval)
	defer tick.Stop()
	var b [flowSize]byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		binary.BigEndian.PutUint64(b[:], f.sent+1)
		if _, err := f.from.Write(b[:]); err == nil {
			f.sent++
		}
	}
}

// receive reads until the deadline that stop sets.
func (f *flow) receive() {
	var b [2 * flowSize]byte
	for {
		n, _, err := f.to.ReadFrom(b[:])
		if err != nil {
			return
		}
		if n == flowSize {
			f.got.see(binary.BigEndian.Uint64(b[:]))
		}
	}
}

// stop ends the stream and returns what became of it. Datagrams that are on
// their way have half a second.
func (f *flow) stop() Datagrams {
	const patience = 500 * time.Millisecond
	f.stopped()
	if f.to.SetReadDeadline(time.Now().Add(patience)) != nil {
		f.to.Close()
	}
	f.running.Wait()
	f.from.Close()
	f.to.Close()
	return Datagrams{Sent: f.sent, Received: f.got.count, InOrder: f.got.late == 0}
}

// order watches numbers that should only grow.
type order struct {
	last, count, late uint64
}

func (o *order) see(n uint64) {
	o.count++
	if n <= o.last {
		o.late++
		return
	}
	o.last = n
}
