// Package wire lays out WireGuard's four messages: bytes only, no cryptography, nothing allocated or copied.
//
// All numbers are little-endian. Section 5.4 of the paper gives the layouts; there each message begins with a byte for its
// type and three reserved zero bytes, here as in every implementation these are one word.
package wire

import "encoding/binary"

// Type is the first word of a message.
type Type uint8

// The four types.
const (
	TypeInitiation  Type = 1
	TypeResponse    Type = 2
	TypeCookieReply Type = 3
	TypeData        Type = 4
)

// Sizes of messages in bytes.
const (
	SizeInitiation  = 148
	SizeResponse    = 92
	SizeCookieReply = 64
	SizeDataHeader  = 16
	MinSizeData     = SizeDataHeader + 16 // a keepalive: nothing but the tag
)

// String names the type as the paper does.
func (t Type) String() string {
	switch t {
	case TypeInitiation:
		return "initiation"
	case TypeResponse:
		return "response"
	case TypeCookieReply:
		return "cookie reply"
	case TypeData:
		return "data"
	}
	return "unknown"
}

// Classify tells what message b holds. It is false unless the whole type word is one of the four, with its three reserved
// bytes zero, and the length is that type's own; a data message has at least MinSizeData bytes.
func Classify(b []byte) (Type, bool) {
	if len(b) < MinSizeData {
		return 0, false
	}
	switch binary.LittleEndian.Uint32(b) {
	case uint32(TypeData):
		return TypeData, true
	case uint32(TypeInitiation):
		return TypeInitiation, len(b) == SizeInitiation
	case uint32(TypeResponse):
		return TypeResponse, len(b) == SizeResponse
	case uint32(TypeCookieReply):
		return TypeCookieReply, len(b) == SizeCookieReply
	}
	return 0, false
}

// PutDataHeader writes the 16 bytes that precede a data message's ciphertext.
func PutDataHeader(b []byte, receiver uint32, counter uint64) {
	_ = b[SizeDataHeader-1]
	binary.LittleEndian.PutUint32(b, uint32(TypeData))
	binary.LittleEndian.PutUint32(b[4:], receiver)
	binary.LittleEndian.PutUint64(b[8:], counter)
}

// DataReceiver returns the receiver index of a data message.
func DataReceiver(b []byte) uint32 { return binary.LittleEndian.Uint32(b[4:8]) }

// DataCounter returns the counter of a data message.
func DataCounter(b []byte) uint64 { return binary.LittleEndian.Uint64(b[8:16]) }
