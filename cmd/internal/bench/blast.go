//go:build linux

package main

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

const (
	blastBatch  = 64                     // packets of one system call
	blastNap    = 100 * time.Microsecond // at least, when nothing is due: what is due after it goes with one call
	blastLag    = 2 * time.Millisecond   // a sender that is later than this forgets what was due
	blastGrace  = 100 * time.Millisecond // what comes later than this after the last was sent is lost
	blastPoll   = 20 * time.Millisecond  // how often the receiver looks whether it's over
	blastHeader = 8                      // run and number, in each packet
)

// gun sends numbered UDP packets from one host to another at a given rate, many
// with one system call, and counts those that arrive. Sender and receiver are a
// thread each. They use no offload: every packet is one of its own.
type gun struct {
	tb       testnet.TB
	from, to int // sockets, connected to each other
	run      uint32
}

// shot is what became of the packets of one run.
type shot struct {
	Rate float64 // really offered, packets a second
	Loss float64 // of the packets, 0 to 1
	Took time.Duration
	Sent int
}

// newGun opens the sockets, for an IPv4 address of the receiving host.
func newGun(tb testnet.TB, from, to *testnet.Host, address string) *gun {
	tb.Helper()
	g := &gun{tb: tb}
	at := &unix.SockaddrInet4{Addr: netip.MustParseAddr(address).As4()}
	var bound unix.Sockaddr
	to.Do(func() {
		g.to = g.socket()
		g.check(unix.Bind(g.to, at), "bind")
		var err error
		bound, err = unix.Getsockname(g.to)
		g.check(err, "bind")
		// The receiver must not be what loses packets: it may be off the processor
		// for some milliseconds.
		g.check(unix.SetsockoptInt(g.to, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20), "receive buffer")
		timeout := unix.NsecToTimeval(int64(blastPoll))
		g.check(unix.SetsockoptTimeval(g.to, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout), "receive timeout")
	})
	from.Do(func() {
		g.from = g.socket()
		g.check(unix.Connect(g.from, bound), "connect")
	})
	return g
}

func (g *gun) socket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	g.check(err, "socket")
	g.tb.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func (g *gun) check(err error, what string) {
	g.tb.Helper()
	if err != nil {
		g.tb.Fatalf("UDP generator: %s: %v", what, err)
	}
}

// shoot sends packets of size bytes at rate a second for d.
func (g *gun) shoot(size, rate int, d time.Duration) shot {
	g.tb.Helper()
	g.run++
	var over atomic.Bool
	received := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		received <- g.receive(&over)
	}()
	sent := make(chan shot, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		sent <- g.send(size, rate, d)
	}()
	result := <-sent
	<-time.After(blastGrace)
	over.Store(true)
	result.Loss = 1 - float64(<-received)/float64(result.Sent)
	return result
}

// send offers what is due.
func (g *gun) send(size, rate int, d time.Duration) shot {
	batch := newBatch(size)
	begin := time.Now()
	sent := batch.pace(g.from, rate, func(now time.Time) bool { return now.Sub(begin) >= d }, func(i, number int) {
		batch.number(i, g.run, uint32(number))
	})
	took := time.Since(begin)
	return shot{Rate: float64(sent) / took.Seconds(), Took: took, Sent: sent}
}

// pace sends rate messages a second until it is over, what is due of them at a time, and returns how many. Each is made by write, in
// place i of the batch, before it is sent. A sender that was off the processor doesn't make up for it at once: such a burst would
// measure queues.
func (b *batch) pace(fd, rate int, over func(now time.Time) bool, write func(i, number int)) (sent int) {
	interval := float64(time.Second) / float64(rate)
	due := time.Now() // of the next message
	for now := due; !over(now); now = time.Now() {
		if now.Before(due) {
			nap(max(due.Sub(now), blastNap))
			continue
		}
		n := min(blastBatch, int(float64(now.Sub(due))/interval)+1)
		for i := range n {
			write(i, sent+i)
		}
		for done := 0; done < n; {
			m, errno := b.call(unix.SYS_SENDMMSG, fd, done, n, 0)
			if errno != 0 && errno != unix.EINTR {
				m = 1 // refused: lost
			}
			done += m
		}
		sent += n
		if due = due.Add(time.Duration(float64(n) * interval)); now.Sub(due) > blastLag {
			due = now
		}
	}
	return sent
}

// receive counts this run's packets, each once.
func (g *gun) receive(over *atomic.Bool) (count int) {
	batch := newBatch(2048)
	var seen []uint64 // a bit for each number
	for !over.Load() {
		n, errno := batch.call(unix.SYS_RECVMMSG, g.to, 0, blastBatch, unix.MSG_WAITFORONE)
		if errno != 0 {
			continue // nothing came for blastPoll
		}
		for i := range n {
			run, number := batch.numbered(i)
			if run != g.run {
				continue // late
			}
			for int(number/64) >= len(seen) {
				seen = append(seen, make([]uint64, 1024)...)
			}
			if bit := uint64(1) << (number % 64); seen[number/64]&bit == 0 {
				seen[number/64] |= bit
				count++
			}
		}
	}
	return count
}

// nap sleeps for some microseconds, better than Go's timers can.
func nap(d time.Duration) {
	request := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&request, nil) // a signal may end it early
}

// batch is the argument of sendmmsg and recvmmsg.
type batch struct {
	headers [blastBatch]struct {
		unix.Msghdr
		n uint32 // bytes, written by the kernel
	}
	vectors [blastBatch]unix.Iovec
	data    [blastBatch][]byte
}

func newBatch(size int) *batch {
	b := &batch{}
	for i := range b.headers {
		b.data[i] = make([]byte, max(size, blastHeader))
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(len(b.data[i]))
		b.headers[i].Iov = &b.vectors[i]
		b.headers[i].SetIovlen(1)
	}
	return b
}

// call passes messages from first to before last to the kernel, and returns how
// many it took or gave.
func (b *batch) call(number uintptr, fd, first, last, flags int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[first])), uintptr(last-first), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (b *batch) number(i int, run, number uint32) {
	binary.BigEndian.PutUint32(b.data[i], run)
	binary.BigEndian.PutUint32(b.data[i][4:], number)
}

// numbered returns what number has written; run 0, which there is none of, if
// the packet is too short.
func (b *batch) numbered(i int) (run, number uint32) {
	if b.headers[i].n < blastHeader {
		return 0, 0
	}
	return binary.BigEndian.Uint32(b.data[i]), binary.BigEndian.Uint32(b.data[i][4:])
}
