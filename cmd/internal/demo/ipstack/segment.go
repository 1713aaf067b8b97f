package ipstack

import "encoding/binary"

// A stream is a row of numbered segments in each direction, beginning with one
// that opens it and ending with one that ends it. Each travels as the payload of a
// UDP datagram, behind a header of
//
//	kind    1 byte, with a mark that tells segments from other datagrams
//	stream  4 bytes, chosen at random by who dials
//	number  8 bytes, of this segment in its row, from 0
//	next    8 bytes, the number that is awaited from the other end: all before it have come
//	window  2 bytes, how many from next on there is room for
//	ahead   2 bytes, how many behind next have come already
//
// in network byte order. One of kind news has no number of its own: it only says
// what the last three fields say.
const (
	segmentHeader = 25
	mark          = 0xd0
)

// kind is what a segment is for.
type kind uint8

const (
	news  kind = iota // also a free slot of a window
	data              // bytes of the stream
	open              // the first of its row
	end               // the last
	reset             // there is no such stream, or no longer
)

// header is a segment's, decoded.
type header struct {
	kind          kind
	stream        uint32
	number, next  uint64
	window, ahead uint16
}

func (h *header) append(b []byte) []byte {
	b = append(b, mark|byte(h.kind))
	b = binary.BigEndian.AppendUint32(b, h.stream)
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint64(b, h.next)
	b = binary.BigEndian.AppendUint16(b, h.window)
	return binary.BigEndian.AppendUint16(b, h.ahead)
}

// parseSegment returns a segment's header and its bytes.
func parseSegment(b []byte) (h header, payload []byte, ok bool) {
	if len(b) < segmentHeader || b[0] < mark || b[0] > mark|byte(reset) {
		return h, nil, false
	}
	return header{
		kind:   kind(b[0] &^ mark),
		stream: binary.BigEndian.Uint32(b[1:]),
		number: binary.BigEndian.Uint64(b[5:]),
		next:   binary.BigEndian.Uint64(b[13:]),
		window: binary.BigEndian.Uint16(b[21:]),
		ahead:  binary.BigEndian.Uint16(b[23:]),
	}, b[segmentHeader:], true
}

// window is how many segments are on their way, or wait to be read, at most.
const window = 128

// segment is one in a window.
type segment struct {
	kind   kind
	data   []byte // whose memory is used again
	resent bool   // because later ones have come
}

// row is one direction of a stream as one end sees it: the segments that are
// neither behind nor ahead of the window.
type row [window]segment

func (r *row) at(number uint64) *segment { return &r[number%window] }

// put fills a slot.
func (r *row) put(number uint64, k kind, b []byte) {
	s := r.at(number)
	s.kind, s.data, s.resent = k, append(s.data[:0], b...), false
}
