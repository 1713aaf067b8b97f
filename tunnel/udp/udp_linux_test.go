package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// raw is the fast path behind a Socket.
func raw(t testing.TB, s Socket) *socket {
	t.Helper()
	one, ok := s.(*socket)
	if !ok {
		t.Fatalf("a %T", s)
	}
	return one
}

// option reads an option of a socket.
func option(t *testing.T, s Socket, level, name int) (v int) {
	t.Helper()
	must(t, onDescriptor(raw(t, s).raw, func(fd int) (err error) {
		v, err = unix.GetsockoptInt(fd, level, name)
		return err
	}))
	return v
}

func TestOptions(t *testing.T) {
	s := open(t, System())
	for _, one := range s.All() {
		if option(t, one, unix.SOL_SOCKET, unix.SO_REUSEPORT) != 0 || option(t, one, unix.SOL_SOCKET, unix.SO_REUSEADDR) != 0 {
			t.Error("the port can be taken a second time")
		}
		size := option(t, one, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if os.Geteuid() == 0 && size < 2*receiveBuffer {
			t.Errorf("receive buffer of %d bytes, want %d", size, 2*receiveBuffer)
		}
	}
	if option(t, s.V6[0], unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 1 {
		t.Error("the IPv6 socket takes IPv4")
	}
	for _, d := range []int{option(t, s.V4[0], unix.IPPROTO_IP, unix.IP_MTU_DISCOVER), option(t, s.V6[0], unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER)} {
		if d == unix.IP_PMTUDISC_DO || d == unix.IP_PMTUDISC_PROBE {
			t.Error("packets may not be fragmented")
		}
	}
}

// A segmented send leaves as one and is received as one.
func TestCoalesced(t *testing.T) {
	for _, family := range families {
		s := open(t, System())
		one, there := loopback(t, s, family)
		mustSend(t, one, Outgoing{Data: pattern(10*1000+1, 1), Segment: 1000, To: there})
		b := NewBatch()
		must(t, one.Receive(b))
		if len(b.Messages) != 1 || b.Messages[0].Segment != 1000 || b.Messages[0].Datagrams() != 11 {
			t.Errorf("%s: %d messages, the first of %d bytes in segments of %d",
				family, len(b.Messages), len(b.Messages[0].Data), b.Messages[0].Segment)
		}
	}
}

// Any run of segments arrives, whatever its length and that of the segments,
// and however many kernel sends it takes.
func TestRuns(t *testing.T) {
	for _, o := range []systemOpener{{}, {noGRO: true}, {noSegment: true}, {noGRO: true, noSegment: true}} {
		for _, family := range families {
			t.Run(fmt.Sprintf("%s %+v", family, o), func(t *testing.T) {
				s := open(t, o)
				one, there := loopback(t, s, family)
				rapid.Check(t, func(rt *rapid.T) {
					segment := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 2000), rapid.IntRange(20000, 65000)).Draw(rt, "segment")
					segments := rapid.IntRange(1, min(300, 200_000/segment+1)).Draw(rt, "segments")
					last := rapid.IntRange(1, segment).Draw(rt, "last")
					plain := rapid.Bool().Draw(rt, "plain")
					data := pattern((segments-1)*segment+last, uint64(segments))
					sent := make(chan error, 1)
					go func() {
						n, err := one.Send([]Outgoing{{Data: data, Segment: segment, To: there, Plain: plain}})
						if err == nil && n != 1 {
							err = errors.New("nothing sent, no error")
						}
						sent <- err
					}()
					checkCut(t, collect(t, one, segments), data, segment)
					must(t, <-sent)
				})
			})
		}
	}
}

// Datagrams of any length, with any content, are delivered; none of them ends
// reception or hurts the next.
func TestAnyLength(t *testing.T) {
	for _, gro := range []bool{true, false} {
		for _, family := range families {
			t.Run(fmt.Sprintf("%s GRO %v", family, gro), func(t *testing.T) {
				s := open(t, systemOpener{noGRO: !gro})
				one, there := loopback(t, s, family)
				lengths := []int{1279, 1280, 1452, 1500, 9000, 10_000, 16_384, 32_768, 65_000, 65_506, MaxBytes}
				for n := range 200 {
					lengths = append(lengths, n)
				}
				for n := 200; n < MaxBytes; n += 499 {
					lengths = append(lengths, n)
				}
				for i, n := range lengths {
					data := pattern(n, uint64(i))
					mustSend(t, one, Outgoing{Data: data, To: there}, Outgoing{Data: data[:n/2], To: there})
					got := collect(t, one, 2)
					if !bytes.Equal(got[0].data, data) || !bytes.Equal(got[1].data, data[:n/2]) {
						t.Fatalf("sent %d and %d bytes, received %d and %d, or others", n, n/2, len(got[0].data), len(got[1].data))
					}
				}
				if c := s.Counters(); c != (Counters{}) {
					t.Errorf("%+v", c)
				}
			})
		}
	}
}

// A batch ends at 64 datagrams or 64 KiB, give or take one read, and what did
// not fit is in the next.
func TestBatchBounds(t *testing.T) {
	for _, o := range []systemOpener{{}, {noGRO: true}} {
		s := open(t, o)
		one, there := loopback(t, s, "IPv4")
		for _, size := range []int{10, 3000} {
			for i := range 150 {
				mustSend(t, one, Outgoing{Data: pattern(size, uint64(i)), To: there})
			}
			b := NewBatch()
			for received := 0; received < 150; {
				must(t, one.Receive(b))
				bytes, datagrams := 0, 0
				for i := range b.Messages {
					bytes += len(b.Messages[i].Data)
					datagrams += b.Messages[i].Datagrams()
				}
				if datagrams > batchDatagrams || bytes > batchBytes+size {
					t.Errorf("a batch of %d datagrams, %d bytes", datagrams, bytes)
				}
				if received += datagrams; received < 150 && !b.Full() {
					t.Errorf("a batch of %d datagrams, %d bytes, and there were more", datagrams, bytes)
				}
			}
		}
	}
}

// Every traffic class byte arrives, zero too, in one system call with others;
// and so does every time to live.
func TestTrafficClassAndTTL(t *testing.T) {
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			s := open(t, System())
			one, there := loopback(t, s, family)
			ms := make([]Outgoing, 256)
			for i := range ms {
				ms[i] = Outgoing{Data: []byte{byte(i), 1, byte(i), 2}, Segment: 2, To: there, TOS: byte(i), TTL: byte(i)}
			}
			mustSend(t, one, ms...)
			for i, d := range collect(t, one, 512) {
				if d.data[0] != byte(i/2) || d.tos != byte(i/2) {
					t.Fatalf("datagram %d of message %d has traffic class %#x", i, d.data[0], d.tos)
				}
			}

			level, ask, kind := unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IP_TTL
			if family == "IPv6" {
				level, ask, kind = unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, unix.IPV6_HOPLIMIT
			}
			must(t, onDescriptor(raw(t, one).raw, func(fd int) error { return unix.SetsockoptInt(fd, level, ask, 1) }))
			mustSend(t, one, ms...)
			for i, got := range collectTTL(t, raw(t, one), 512, level, kind) {
				if want := i / 2; want != 0 && got != want || want == 0 && got < 32 {
					t.Fatalf("message %d has a time to live of %d", want, got)
				}
			}
		})
	}
}

// collectTTL receives n datagrams of two bytes and returns the time to live of
// each.
func collectTTL(t *testing.T, s *socket, n, level, kind int) (all []int) {
	t.Helper()
	data, oob := make([]byte, 2*n), make([]byte, 200)
	for len(all) < n {
		read, oobn, _, _, err := s.conn.ReadMsgUDP(data, oob)
		must(t, err)
		controls, err := unix.ParseSocketControlMessage(oob[:oobn])
		must(t, err)
		for _, m := range controls {
			if int(m.Header.Level) == level && int(m.Header.Type) == kind {
				for range read / 2 {
					all = append(all, int(binary.NativeEndian.Uint32(m.Data)))
				}
			}
		}
	}
	return all
}

// The kernel of a socket that takes no more than 64 segments: the first send
// of more finds out, and nothing is lost.
func TestFewSegments(t *testing.T) {
	s := open(t, System())
	one, there := loopback(t, s, "IPv4")
	from := raw(t, one)
	there.Source = there.Addr.Addr()
	data := pattern(100*10, 1)
	ms := []Outgoing{{Data: data, Segment: 10, To: there}}
	w := newSender(from)
	w.messages, w.segments = ms, MaxSegments
	must(t, w.fill())
	if w.n != 1 || w.ends[0].segmented != 100 {
		t.Fatalf("%d sends, the first of %d segments", w.n, w.ends[0].segmented)
	}
	// As the kernel would: EINVAL, whatever the source.
	for i := range 2 {
		if err := w.refuse(unix.EINVAL); err != nil {
			t.Fatalf("refusal %d: %v", i, err)
		}
		must(t, w.fill())
	}
	if w.n != 2 || w.ends[0].segmented != 64 || w.ends[1].segmented != 36 || ms[0].SourceRefused {
		t.Fatalf("%d sends, the first of %d segments; source refused: %v", w.n, w.ends[0].segmented, ms[0].SourceRefused)
	}
	must(t, w.send())
	checkCut(t, collect(t, one, 100), data, 10)
	if got := from.segments.Load(); got != fewSegments {
		t.Errorf("the socket has learnt %d segments", got)
	}
	mustSend(t, one, ms...)
	checkCut(t, collect(t, one, 100), data, 10)

	// Refused with few segments too, it was not their number.
	w.at, w.segments, w.refused = end{}, fewSegments, there
	must(t, w.fill())
	if err := w.refuse(unix.EINVAL); !SegmentRefused(err) {
		t.Errorf("refusal: %v", err)
	}
}

func TestAllocations(t *testing.T) {
	for _, family := range families {
		s := open(t, System())
		one, there := loopback(t, s, family)
		there.Source = there.Addr.Addr()
		data := make([]byte, 20*1000)
		b := NewBatch()
		for _, ms := range [][]Outgoing{
			{{Data: data[:100], To: there}},
			{{Data: data, Segment: 1000, To: there}},
			{{Data: data, Segment: 1000, To: there, Plain: true}, {Data: data[:10], To: there, TOS: 1}},
		} {
			datagrams := 0
			for i := range ms {
				datagrams += (&Incoming{Data: ms[i].Data, Segment: ms[i].Segment}).Datagrams()
			}
			if n := testing.AllocsPerRun(50, func() {
				if n, err := one.Send(ms); n != len(ms) || err != nil {
					t.Errorf("Send = %d, %v", n, err)
				}
				for got := 0; got < datagrams; {
					if err := one.Receive(b); err != nil {
						t.Error(err)
					}
					for i := range b.Messages {
						got += b.Messages[i].Datagrams()
					}
				}
			}); n != 0 {
				t.Errorf("%s: %d messages cost %v allocations", family, len(ms), n)
			}
		}
	}
}

// Sockets go through files to another owner, with all that they were set to.
func TestFiles(t *testing.T) {
	first := open(t, System())
	files, err := first.Files()
	must(t, err)
	second, err := FromFiles(files[1], files[0])
	must(t, err)
	defer second.Close()
	for _, f := range files {
		must(t, f.Close())
	}
	must(t, first.Close())
	if second.Port != first.Port {
		t.Errorf("port %d, want %d", second.Port, first.Port)
	}
	for _, family := range families {
		one, there := loopback(t, second, family)
		data := pattern(5000, 1)
		mustSend(t, one, Outgoing{Data: data, Segment: 1000, To: there})
		got := collect(t, one, 5)
		checkCut(t, got, data, 1000)
		if got[0].from.Source != there.Addr.Addr() {
			t.Errorf("came to %v, want %v", got[0].from.Source, there.Addr)
		}
	}
}

func TestFromFilesRefuses(t *testing.T) {
	a, b := open(t, System()), open(t, System())
	fa, err := a.Files()
	must(t, err)
	fb, err := b.Files()
	must(t, err)
	r, w, err := os.Pipe()
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	stream, err := listener.(*net.TCPListener).File()
	must(t, err)
	defer func() {
		for _, f := range append(append(fa, fb...), r, w, stream) {
			f.Close()
		}
		listener.Close()
	}()
	for want, files := range map[string][]*os.File{
		"no socket given": nil,
		"port":            {fa[0], fb[1]},
		"twice":           {fa[0], fa[0]},
		"socket |":        {r},
		"socket":          {stream},
	} {
		s, err := FromFiles(files...)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q in it", err, want)
		}
	}
}

// What does not fit into the receive buffer is counted.
func TestOverflows(t *testing.T) {
	s := open(t, System())
	one, there := loopback(t, s, "IPv4")
	data := make([]byte, 60_000)
	for s.Counters().Overflows == 0 {
		mustSend(t, one, Outgoing{Data: data, To: there})
	}
}
