package wire

import "encoding/binary"

// QuotedSender returns the sender index of an initiation or a response of which only the beginning is there, as an ICMP error quotes it.
// It reports false if b is the beginning of neither, or too short.
func QuotedSender(b []byte) (sender uint32, ok bool) {
	const header = 8
	if len(b) < header {
		return 0, false
	}
	switch binary.LittleEndian.Uint32(b) {
	case uint32(TypeInitiation), uint32(TypeResponse):
		return binary.LittleEndian.Uint32(b[4:]), true
	}
	return 0, false
}
