package tun

import (
	"encoding/binary"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"vpn/tun/offload"
)

// udpPacket is a datagram from 10.77.0.2 to 10.77.0.1, number i of a flow; its payload is i and zeroes.
func udpPacket(i int, port uint16) []byte {
	const payload = 100
	b := make([]byte, 28+payload)
	copy(b, []byte{0x45, 0, 0, 28 + payload, 0, byte(i), 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1, 0, 9})
	binary.BigEndian.PutUint16(b[10:], offload.Checksum(b[:20], 0))
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], 8+payload)
	b[28] = byte(i)
	binary.BigEndian.PutUint16(b[26:], offload.Checksum(b[20:], offload.PseudoHeader(b[12:20], 17, 8+payload)))
	return b
}

// TestRefusalsAreCountedInARow has a kernel that refuses superpackets now and then, or of one kind.
func TestRefusalsAreCountedInARow(t *testing.T) {
	n := newNamespace(t)
	d := n.create("fickle", 0, 1)
	n.up("fickle", "10.77.0.1/24")
	q := d.queues[0].(*queue)
	q.udp = true // whatever this kernel knows: it is not asked
	refuse := false
	superpackets := 0
	q.writev = func(_ uintptr, iov []unix.Iovec) syscall.Errno {
		if len(iov) == 2 {
			return 0
		}
		superpackets++
		if refuse {
			return unix.EINVAL
		}
		return 0
	}
	tcp := [][]byte{tcpPacket(0), tcpPacket(1), tcpPacket(2)}
	udp := [][]byte{udpPacket(0, 9), udpPacket(1, 9), udpPacket(2, 9)}
	write := func(what string, pkts [][]byte, refused bool, times, tried int) {
		t.Helper()
		refuse, superpackets = refused, 0
		for range times {
			if taken, err := q.Write(pkts); taken != len(pkts) || err != nil {
				t.Fatalf("%s: %d taken, %v", what, taken, err)
			}
		}
		if superpackets != tried {
			t.Errorf("%s: %d superpackets were tried, want %d", what, superpackets, tried)
		}
	}
	for range 3 {
		write("some are refused", tcp, true, maxRefusals-1, maxRefusals-1)
		write("then one is taken", tcp, false, 1, 1)
	}
	write("all of UDP are refused", udp, true, 3*maxRefusals, maxRefusals)
	write("TCP after that", tcp, false, 3, 3)
	write("UDP after that", udp, false, 3, 0)
	write("all of TCP are refused", tcp, true, 3*maxRefusals, maxRefusals)
	write("TCP after that", tcp, false, 3, 0)
}

// TestDamageIsNotRepaired writes a flow of datagrams of which one was damaged on the way, and has the kernel find it: the first, one
// in the middle, the last; in a byte of the payload, of the UDP header, of the IP header.
func TestDamageIsNotRepaired(t *testing.T) {
	n := newNamespace(t)
	d := n.create("damaged", 0, 1)
	n.up("damaged", "10.77.0.1/24")
	c := n.listenUDP("10.77.0.1:0")
	port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	const datagrams = 6
	number := 0
	for _, at := range []int{0, 2, datagrams - 1} {
		for what, offset := range map[string]int{"payload": 60, "source port": 20, "UDP checksum": 26, "IP time to live": 8, "IP checksum": 10} {
			t.Run(fmt.Sprintf("%s of %d", what, at), func(t *testing.T) {
				var pkts [][]byte
				want := map[byte]bool{}
				for i := range datagrams {
					p := udpPacket(number, port)
					if i == at {
						p[offset] ^= 4
					} else {
						want[byte(number)] = true
					}
					pkts = append(pkts, p)
					number++
				}
				if taken, err := d.Queues()[0].Write(pkts); taken != datagrams || err != nil {
					t.Fatal(taken, err)
				}
				buf := make([]byte, 200)
				n.check(c.SetReadDeadline(time.Now().Add(10 * time.Second)))
				for range datagrams - 1 {
					size, _, err := c.ReadFromUDPAddrPort(buf)
					n.check(err)
					if !want[buf[0]] || size != 100 {
						t.Fatalf("datagram %d, of %d bytes, arrived", buf[0], size)
					}
					delete(want, buf[0])
				}
			})
		}
	}
}
