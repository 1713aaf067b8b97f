package udp

const (
	// batchBytes and batchDatagrams end a Receive that would find more.
	batchBytes     = 64 << 10
	batchDatagrams = 64

	// longestRead is room for whatever one read may bring: a datagram, or
	// a coalesced run of them.
	longestRead = 64 << 10

	// alignment is where datagrams begin: no two share a cache line.
	alignment = 64
)

// Batch is what one Receive brings, and the memory for it: 128 KiB, reused.
// One goroutine uses it at a time.
type Batch struct {
	// Messages is what was received. It, and all that it refers to, holds
	// until the next Receive into the batch.
	Messages []Incoming

	buf       []byte
	used      int // of buf
	datagrams int // in Messages

	reader reader
}

// NewBatch makes an empty batch.
func NewBatch() *Batch {
	b := &Batch{
		Messages: make([]Incoming, 0, batchDatagrams),
		buf:      make([]byte, batchBytes+longestRead),
	}
	b.reader.init(b)
	return b
}

// Reset empties the batch.
func (b *Batch) Reset() {
	clear(b.Messages)
	b.Messages = b.Messages[:0]
	b.used, b.datagrams = 0, 0
}

// Full reports that the batch takes no more: it holds 64 KiB or 64 datagrams.
func (b *Batch) Full() bool {
	return b.used >= batchBytes || b.datagrams >= batchDatagrams
}

// Room is memory for one read of any length; the batch must not be Full. What
// is put there becomes part of the batch with Add.
func (b *Batch) Room() []byte { return b.buf[b.used : b.used+longestRead] }

// Add makes the first n bytes of Room a message of the batch, and so helps to
// write a Socket that is no socket.
func (b *Batch) Add(n, segment int, from Endpoint, tos byte) {
	if segment >= n {
		segment = 0
	}
	b.Messages = append(b.Messages, Incoming{
		Data:    b.buf[b.used : b.used+n : b.used+n],
		Segment: segment,
		From:    from,
		TOS:     tos,
	})
	b.datagrams += b.Messages[len(b.Messages)-1].Datagrams()
	b.used += (n + alignment - 1) &^ (alignment - 1)
}
