package tun

import "vpn/tun/offload"

// Bounds of what one Queue.Read takes.
const (
	MaxPackets = 64
	BatchBytes = 64 << 10
)

const (
	// maxRead is the most that one read gives: the kernel's GSO_LEGACY_MAX_SIZE,
	// which is also more than a link's greatest MTU.
	maxRead = 65536
	// packetAlign is what IP headers are aligned to in a batch.
	packetAlign = 16
)

// Batch is a buffer of packets that Queue.Read fills, about 128 KiB, to be kept
// and reused. Its owner may do with the packets' bytes what he likes until he
// reads into it again. It is not safe for concurrent use.
type Batch struct {
	// Packets are in the order read.
	Packets []Packet
	buf     []byte
	used    int
}

// NewBatch returns an empty batch.
func NewBatch() *Batch {
	return &Batch{
		Packets: make([]Packet, 0, MaxPackets),
		buf:     make([]byte, BatchBytes+packetAlign+maxRead),
	}
}

// Reset empties the batch. Only who implements a Queue needs this and the
// methods below.
func (b *Batch) Reset() { b.Packets, b.used = b.Packets[:0], 0 }

// Full reports whether nothing more is to be put into the batch.
func (b *Batch) Full() bool {
	n := len(b.Packets)
	return n >= MaxPackets || b.used >= BatchBytes || n > 0 && b.Packets[n-1].GSO.Type != offload.None
}

// room returns memory for one more read, of which the first headroom bytes, at
// most packetAlign, are not part of the packet. The batch must not be full.
func (b *Batch) room(headroom int) []byte {
	at := (b.used+headroom+packetAlign-1)&^(packetAlign-1) - headroom
	return b.buf[at : at+headroom+maxRead]
}

// add makes a packet of data, which lies at the beginning of what room returned,
// behind the headroom.
func (b *Batch) add(data []byte, g offload.GSO) {
	// data's capacity reaches to the end of buf, and so tells where in buf it lies.
	b.used = cap(b.buf) - cap(data) + len(data)
	b.Packets = append(b.Packets, Packet{Data: data[:len(data):len(data)], GSO: g})
}

// Add copies one packet into the batch, unless the batch is full or data is
// longer than any packet can be; it reports whether it did.
func (b *Batch) Add(data []byte, g offload.GSO) bool {
	if b.Full() || len(data) > maxRead {
		return false
	}
	room := b.room(0)
	b.add(room[:copy(room, data)], g)
	return true
}
