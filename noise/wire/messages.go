package wire

import "encoding/binary"

// Offsets of the fields, each the end of the one before it. The lines below them keep the sums honest.
const (
	initiationSender    = 4
	initiationEphemeral = 8
	initiationStatic    = initiationEphemeral + 32
	initiationTimestamp = initiationStatic + 32 + 16
	initiationMAC1      = initiationTimestamp + 12 + 16
	initiationMAC2      = initiationMAC1 + 16

	responseSender    = 4
	responseReceiver  = 8
	responseEphemeral = 12
	responseEmpty     = responseEphemeral + 32
	responseMAC1      = responseEmpty + 16
	responseMAC2      = responseMAC1 + 16

	replyReceiver = 4
	replyNonce    = 8
	replyCookie   = replyNonce + 24
)

const (
	_ = uint(initiationMAC2 + 16 - SizeInitiation)
	_ = uint(SizeInitiation - initiationMAC2 - 16)
	_ = uint(responseMAC2 + 16 - SizeResponse)
	_ = uint(SizeResponse - responseMAC2 - 16)
	_ = uint(replyCookie + 32 - SizeCookieReply)
	_ = uint(SizeCookieReply - replyCookie - 32)
)

// Initiation is the first message of a handshake. Its accessors point into the message.
type Initiation [SizeInitiation]byte

// AsInitiation views b, which Classify has called an initiation, without copying. It panics on any other length.
func AsInitiation(b []byte) *Initiation {
	mustBe(len(b), SizeInitiation)
	return (*Initiation)(b)
}

// SetHeader writes the type and the sender's index.
func (m *Initiation) SetHeader(sender uint32) {
	binary.LittleEndian.PutUint32(m[:], uint32(TypeInitiation))
	m.SetSender(sender)
}

// Sender is the index by which the initiator wants to be addressed.
func (m *Initiation) Sender() uint32 { return binary.LittleEndian.Uint32(m[initiationSender:]) }

// SetSender writes the sender's index.
func (m *Initiation) SetSender(sender uint32) {
	binary.LittleEndian.PutUint32(m[initiationSender:], sender)
}

// Ephemeral is the initiator's ephemeral public key, in the clear.
func (m *Initiation) Ephemeral() *[32]byte { return (*[32]byte)(m[initiationEphemeral:]) }

// Static is the initiator's static public key, sealed.
func (m *Initiation) Static() *[48]byte { return (*[48]byte)(m[initiationStatic:]) }

// Timestamp is the TAI64N timestamp, sealed.
func (m *Initiation) Timestamp() *[28]byte { return (*[28]byte)(m[initiationTimestamp:]) }

// MAC1 proves knowledge of the responder's public key.
func (m *Initiation) MAC1() *[16]byte { return (*[16]byte)(m[initiationMAC1:]) }

// MAC2 proves ownership of an address; zero without a cookie.
func (m *Initiation) MAC2() *[16]byte { return (*[16]byte)(m[initiationMAC2:]) }

// BeforeMAC1 is what MAC1 covers.
func (m *Initiation) BeforeMAC1() []byte { return m[:initiationMAC1:initiationMAC1] }

// BeforeMAC2 is what MAC2 covers.
func (m *Initiation) BeforeMAC2() []byte { return m[:initiationMAC2:initiationMAC2] }

// Response is the second message of a handshake. Its accessors point into the message.
type Response [SizeResponse]byte

// AsResponse views b, which Classify has called a response, without copying. It panics on any other length.
func AsResponse(b []byte) *Response {
	mustBe(len(b), SizeResponse)
	return (*Response)(b)
}

// SetHeader writes the type and both indices.
func (m *Response) SetHeader(sender, receiver uint32) {
	binary.LittleEndian.PutUint32(m[:], uint32(TypeResponse))
	m.SetSender(sender)
	m.SetReceiver(receiver)
}

// Sender is the index by which the responder wants to be addressed.
func (m *Response) Sender() uint32 { return binary.LittleEndian.Uint32(m[responseSender:]) }

// SetSender writes the sender's index.
func (m *Response) SetSender(sender uint32) {
	binary.LittleEndian.PutUint32(m[responseSender:], sender)
}

// Receiver is the initiator's index.
func (m *Response) Receiver() uint32 { return binary.LittleEndian.Uint32(m[responseReceiver:]) }

// SetReceiver writes the receiver's index.
func (m *Response) SetReceiver(receiver uint32) {
	binary.LittleEndian.PutUint32(m[responseReceiver:], receiver)
}

// Ephemeral is the responder's ephemeral public key, in the clear.
func (m *Response) Ephemeral() *[32]byte { return (*[32]byte)(m[responseEphemeral:]) }

// Empty is the sealed empty payload: a tag.
func (m *Response) Empty() *[16]byte { return (*[16]byte)(m[responseEmpty:]) }

// MAC1 proves knowledge of the initiator's public key.
func (m *Response) MAC1() *[16]byte { return (*[16]byte)(m[responseMAC1:]) }

// MAC2 proves ownership of an address; zero without a cookie.
func (m *Response) MAC2() *[16]byte { return (*[16]byte)(m[responseMAC2:]) }

// BeforeMAC1 is what MAC1 covers.
func (m *Response) BeforeMAC1() []byte { return m[:responseMAC1:responseMAC1] }

// BeforeMAC2 is what MAC2 covers.
func (m *Response) BeforeMAC2() []byte { return m[:responseMAC2:responseMAC2] }

// CookieReply is what a loaded responder sends in place of a response. Its accessors point into the message.
type CookieReply [SizeCookieReply]byte

// AsCookieReply views b, which Classify has called a cookie reply, without copying. It panics on any other length.
func AsCookieReply(b []byte) *CookieReply {
	mustBe(len(b), SizeCookieReply)
	return (*CookieReply)(b)
}

// SetHeader writes the type and the receiver's index.
func (m *CookieReply) SetHeader(receiver uint32) {
	binary.LittleEndian.PutUint32(m[:], uint32(TypeCookieReply))
	m.SetReceiver(receiver)
}

// Receiver is the index of the sender of the message that this replies to.
func (m *CookieReply) Receiver() uint32 { return binary.LittleEndian.Uint32(m[replyReceiver:]) }

// SetReceiver writes the receiver's index.
func (m *CookieReply) SetReceiver(receiver uint32) {
	binary.LittleEndian.PutUint32(m[replyReceiver:], receiver)
}

// Nonce is the random nonce under which the cookie is sealed.
func (m *CookieReply) Nonce() *[24]byte { return (*[24]byte)(m[replyNonce:]) }

// Cookie is the cookie, sealed.
func (m *CookieReply) Cookie() *[32]byte { return (*[32]byte)(m[replyCookie:]) }

// mustBe panics on a length that Classify would not have let through.
func mustBe(have, want int) {
	if have != want {
		panic("wire: message of the wrong length")
	}
}
