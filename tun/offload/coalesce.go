package offload

import "encoding/binary"

// Bounds of the coalescer.
const (
	// maxOpen is the number of flows that are followed at once within a batch.
	// One more ends the group of the one that was begun first.
	maxOpen = 16
	// maxDatagrams is the most UDP datagrams that the kernel's GRO puts together,
	// maxSegments the most TCP segments here: far below the pieces of one writev.
	maxDatagrams = 64
	maxSegments  = 128
	// maxHeader is the longest IP and transport header of a superpacket.
	maxHeader = ipv6Size + tcpMaxSize
)

// Coalescer finds in a batch of packets the runs that can go to the kernel as one
// superpacket. It follows the rules of the kernel's own GRO, so that what is
// put together is what a network card's driver might have put together:
//
//   - one flow, the same in TTL, TOS, DF, flow label, TCP options, window and
//     acknowledgement number, with IPv4 identifications that count up (or stand
//     still, under DF), and TCP sequence numbers without a gap;
//   - all of one size but the last, which may be shorter; PSH ends the group; no
//     segment with FIN, SYN, RST, URG or CWR, none without payload;
//   - no fragment, no IPv4 option, no IPv6 extension header, no UDP datagram
//     without a checksum;
//   - only packets whose checksums are right: the kernel takes a superpacket's
//     for granted, so a damaged packet would come out repaired;
//   - at most 65535 bytes.
//
// The order of packets within a flow is kept, and nothing overtakes a packet
// that belongs to no flow (a fragment, ICMP and the like).
//
// Splitting a group again gives the very packets it was made of, except for
// identifications that stood still.
//
// The zero value is ready for use; it is kept and reused, and then allocates
// nothing. It is not safe for concurrent use.
type Coalescer struct {
	pkts   [][]byte
	groups []group
	next   []int32        // for each packet, the next one of its group, or -1
	open   [maxOpen]int32 // groups that may still grow, oldest first
	opened int

	out      Group // what Group returned last, and the memory behind it
	head     [maxHeader]byte
	payloads [][]byte
	index    []int
}

// group is a group in the making. All of its packets are like the first.
type group struct {
	first, last, count int32
	total              int32  // bytes of the superpacket so far
	size               int32  // bytes of payload in each packet but the last
	step               uint16 // what IPv4's identification grows by: 0 or 1, known from the second packet on
	checked            bool   // the first packet's checksums are known to be right
	seg                segment
}

// Group is one write to the device.
type Group struct {
	// Virtio is the virtio_net_hdr to write first: zeroes for a single packet.
	Virtio [VirtioSize]byte
	// Head is the whole packet of a group of one, else the superpacket's headers,
	// in memory of the Coalescer.
	Head []byte
	// Payloads lie where they did in the packets. Empty for a group of one.
	Payloads [][]byte
	// Index names the packets, as given to Coalesce, that the group consists of,
	// ascending. They are unchanged, and may be written one by one instead.
	Index []int
	// GSO is what Virtio says.
	GSO GSO
}

// Coalesce groups pkts, which are IP packets or any other bytes. TCP over IPv4 and
// IPv6 is coalesced, and UDP if udp is set. It changes no packet, and keeps pkts
// until the next call. The groups are read with Len and Group.
func (c *Coalescer) Coalesce(pkts [][]byte, udp bool) {
	c.pkts, c.groups, c.next, c.opened = pkts, c.groups[:0], c.next[:0], 0
	for i, pkt := range pkts {
		c.next = append(c.next, -1)
		s := parse(pkt)
		s.mergeable = s.mergeable && (udp || s.kind != UDP)
		if s.kind == None {
			c.opened = 0
			c.begin(i, &s)
			continue
		}
		at := c.find(pkt, &s)
		verdict := apart
		if at >= 0 {
			verdict = c.join(&c.groups[c.open[at]], i, &s)
			if verdict != joined {
				copy(c.open[at:c.opened], c.open[at+1:c.opened])
				c.opened--
			}
		}
		if verdict == joined || verdict == joinedLast {
			continue
		}
		c.begin(i, &s)
		// What ends a group with PSH cannot begin one either.
		if s.mergeable && verdict != damaged && (s.kind == UDP || !s.push) {
			c.follow()
		}
	}
}

// begin makes a group of packet i.
func (c *Coalescer) begin(i int, s *segment) {
	n := int32(len(c.pkts[i]))
	c.groups = append(c.groups, group{
		first: int32(i), last: int32(i), count: 1,
		total: n, size: n - int32(s.header), seg: *s,
	})
}

// follow opens the group made last, so that more packets may join it.
func (c *Coalescer) follow() {
	if c.opened == maxOpen {
		copy(c.open[:], c.open[1:])
		c.opened--
	}
	c.open[c.opened] = int32(len(c.groups) - 1)
	c.opened++
}

// find returns which open group pkt's flow has, or -1.
func (c *Coalescer) find(pkt []byte, s *segment) int {
	for at := c.opened - 1; at >= 0; at-- {
		g := &c.groups[c.open[at]]
		if g.seg.hash == s.hash && g.seg.kind == s.kind && g.seg.transport == s.transport &&
			sameFlow(c.pkts[g.first], pkt, s.transport) {
			return at
		}
	}
	return -1
}

// verdict is what came of trying to add a packet to its flow's group.
type verdict uint8

const (
	apart      verdict = iota // it does not fit: the group is complete without it
	damaged                   // its checksum is wrong: likewise, and it stays alone
	joined                    // it is in, and more may follow
	joinedLast                // it is in, and the last
)

// join adds packet i to g if that is allowed.
func (c *Coalescer) join(g *group, i int, s *segment) verdict {
	first, pkt := c.pkts[g.first], c.pkts[i]
	payload := int32(len(pkt)) - int32(s.header)
	if !s.mergeable || s.header != g.seg.header || payload > g.size || g.total+payload > MaxPacket {
		return apart
	}
	if s.kind == UDP {
		if g.count == maxDatagrams {
			return apart
		}
	} else if g.count == maxSegments || s.seq != g.seg.seq+uint32(g.count*g.size) {
		return apart
	}
	step := g.step
	if s.transport == ipv4Size {
		if g.count == 1 {
			step = s.id - g.seg.id
		}
		if step != 1 && (step != 0 || !s.df) || s.id != g.seg.id+uint16(g.count)*step {
			return apart
		}
	}
	if !sameHeaders(first, pkt, s.transport, s.header) {
		return apart
	}
	// The first packet is checked only now: most groups of one need not be.
	if !g.checked {
		if !intact(first, s.transport, s.kind) {
			return apart
		}
		g.checked = true
	}
	if !intact(pkt, s.transport, s.kind) {
		return damaged
	}
	c.next[g.last] = int32(i)
	g.last = int32(i)
	g.count++
	g.total += payload
	g.step = step
	if payload < g.size || s.kind != UDP && s.push {
		return joinedLast
	}
	return joined
}

// Len returns the number of groups that the last Coalesce made.
func (c *Coalescer) Len() int { return len(c.groups) }

// Group returns group i, below Len. Groups are in the order of their first
// packets, which is the order to write them in. The result is valid until the next call of
// Group or Coalesce, and as long as the packets are.
func (c *Coalescer) Group(i int) *Group {
	g, out := &c.groups[i], &c.out
	c.index, c.payloads = c.index[:0], c.payloads[:0]
	for p := g.first; p >= 0; p = c.next[p] {
		c.index = append(c.index, int(p))
		if g.count > 1 {
			c.payloads = append(c.payloads, c.pkts[p][g.seg.header:])
		}
	}
	out.Index, out.Payloads = c.index, c.payloads
	if g.count == 1 {
		out.Virtio, out.GSO, out.Head = [VirtioSize]byte{}, GSO{}, c.pkts[g.first]
		return out
	}
	out.Head = c.head[:copy(c.head[:], c.pkts[g.first][:g.seg.header])]
	out.GSO = g.describe()
	PutVirtio(out.Virtio[:], out.GSO)
	g.fixHead(out.Head)
	if g.seg.kind != UDP {
		out.Head[g.seg.transport+tcpFlags] |= c.pkts[g.last][g.seg.transport+tcpFlags] & flagPSH
	}
	return out
}

// describe returns the virtio header of a group of several packets.
func (g *group) describe() GSO {
	return GSO{
		Type: g.seg.kind, NeedsChecksum: true,
		HeaderLen: uint16(g.seg.header), Size: uint16(g.size),
		ChecksumStart: uint16(g.seg.transport), ChecksumOffset: uint16(checkOffset(g.seg.kind)),
	}
}

// fixHead gives the first packet's headers the superpacket's length, and the sum
// of the pseudo-header where the kernel expects it.
func (g *group) fixHead(head []byte) {
	transport := head[g.seg.transport:]
	length := int(g.total) - int(g.seg.transport)
	from := ipv6Sources
	if g.seg.transport == ipv4Size {
		from = ipv4Sources
		binary.BigEndian.PutUint16(head[ipv4Length:], uint16(g.total))
		putIPv4Checksum(head[:ipv4Size])
	} else {
		binary.BigEndian.PutUint16(head[ipv6Length:], uint16(length))
	}
	protocol, check := uint8(protocolTCP), transport[checkOffset(g.seg.kind):]
	if g.seg.kind == UDP {
		protocol = protocolUDP
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(length))
	}
	binary.BigEndian.PutUint16(check, Fold(PseudoHeader(head[from:g.seg.transport], protocol, length)))
}
