package cookie

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"vpn/noise/key"
	"vpn/noise/wire"
)

// SecretLifetime is how long one secret makes cookies, and how long these are good: R_m "changes every two minutes to a random value" (section 5.4.7).
const SecretLifetime = 120 * time.Second

// ErrMessage is returned for a message that is neither an initiation nor a response.
var ErrMessage = errors.New("neither an initiation nor a response")

// Checker checks the macs of handshake messages sent to one own identity, and makes cookie replies. It is safe for
// concurrent use.
type Checker struct {
	mac1 *macs
	aead cipher.AEAD // seals cookies; its key is derived from the public key

	mu     sync.Mutex
	secret *macs         // guarded by mu: makes cookies; nil before the first
	born   time.Duration // guarded by mu: when secret was made
}

// NewChecker makes the checker for the identity with this public key.
func NewChecker(p key.Public) *Checker {
	c := &Checker{mac1: newMACs(derive(labelMAC1, &p))}
	k := derive(labelCookie, &p)
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		panic(err) // the key's length is a constant
	}
	c.aead = aead
	return c
}

// CheckMAC1 reports whether a message has a good mac1: its sender knows our public key. It is false for anything but an
// initiation or a response.
func (c *Checker) CheckMAC1(msg []byte) bool {
	text, _, mac1, _, ok := split(msg)
	return ok && c.mac1.matches(mac1, text)
}

// CheckMAC2 reports whether a message has a good mac2: its sender has had a cookie of ours at this address and port, made
// with the present secret.
func (c *Checker) CheckMAC2(msg []byte, from netip.AddrPort, now time.Duration) bool {
	_, text, _, mac2, ok := split(msg)
	if !ok || *mac2 == [macSize]byte{} { // who has no cookie says so: in a flood nobody has one
		return false
	}
	c.mu.Lock()
	secret, live := c.secret, c.live(now)
	c.mu.Unlock()
	if !live {
		return false
	}
	h := secret.cookie(from)
	defer secret.put(h)
	mac(&h.sum, h.sum[:], text)
	return equal(&h.sum, mac2)
}

// Reply writes the cookie reply to a message with a good mac1. The nonce, and a new secret when one is due, come from rand.
// out is all zeros if it fails: with ErrMessage, or as rand does.
func (c *Checker) Reply(msg []byte, from netip.AddrPort, now time.Duration, rand io.Reader, out *wire.CookieReply) error {
	*out = wire.CookieReply{}
	_, _, mac1, _, ok := split(msg)
	if !ok {
		return fmt.Errorf("make cookie reply: %w", ErrMessage)
	}
	secret, err := c.current(now, rand)
	if err != nil {
		return fmt.Errorf("make cookie reply: %w", err)
	}
	if _, err := io.ReadFull(rand, out.Nonce()[:]); err != nil {
		*out = wire.CookieReply{}
		return fmt.Errorf("make cookie reply: %w", err)
	}
	// The sender's index is the second word of an initiation and of a response.
	out.SetHeader(binary.LittleEndian.Uint32(msg[4:]))
	h := secret.cookie(from)
	sealed := out.Cookie()
	copy(sealed[:], h.sum[:])
	secret.put(h)
	c.aead.Seal(sealed[:0], out.Nonce()[:], sealed[:macSize], mac1[:])
	return nil
}

// live reports whether there is a secret that is not too old. The caller holds mu.
func (c *Checker) live(now time.Duration) bool { return c.secret != nil && now-c.born < SecretLifetime }

// current returns the secret, made anew when it is due.
func (c *Checker) current(now time.Duration, rand io.Reader) (*macs, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live(now) {
		return c.secret, nil
	}
	var k [blake2s.Size]byte
	if _, err := io.ReadFull(rand, k[:]); err != nil {
		return nil, err
	}
	c.secret, c.born = newMACs(k), now
	return c.secret, nil
}

// sourceSize is the length of an address and a port.
const sourceSize = 16 + 2

// cookie computes the cookie of one address and port, in the sum of what it returns, which the caller puts back. Only we
// read it again, so that the layout is our own: both families as 16 bytes, because one socket may show an IPv4 address
// mapped and another not.
func (m *macs) cookie(from netip.AddrPort) *pooled {
	h := m.get()
	address := from.Addr().As16()
	copy(h.source[:], address[:])
	binary.BigEndian.PutUint16(h.source[16:], from.Port())
	h.mac(h.source[:])
	return h
}

func equal(a, b *[macSize]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
