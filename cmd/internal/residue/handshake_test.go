//go:build linux

package residue

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// A handshake is the Noise_IKpsk2 of section 5.4, done in the open: whatever the other side must forget is noted.
// It is written from the paper and shares no code with package noise.
type handshake struct {
	chainingKey, hash, key [32]byte
	noted                  []secret
}

// A secret is 32 bytes that nobody is to find.
type secret struct {
	name  string
	bytes [32]byte
}

func newKey() *ecdh.PrivateKey {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system's random numbers never fail
	}
	return k
}

func public(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }

func (h *handshake) note(name string, b [32]byte) { h.noted = append(h.noted, secret{name, b}) }

func begin(responder [32]byte) *handshake {
	h := &handshake{chainingKey: blake2s.Sum256([]byte("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"))}
	h.hash = h.chainingKey
	h.mixHash([]byte("WireGuard v1 zx2c4 Jason@zx2c4.com"))
	h.mixHash(responder[:])
	return h
}

func (h *handshake) mixHash(b []byte) { h.hash = blake2s.Sum256(append(h.hash[:], b...)) }

func hmacOf(key []byte, parts ...[]byte) (out [32]byte) {
	m := hmac.New(func() hash.Hash {
		h, err := blake2s.New256(nil)
		if err != nil {
			panic(err) // it has no key that could be too long
		}
		return h
	}, key)
	for _, p := range parts {
		m.Write(p)
	}
	return [32]byte(m.Sum(nil))
}

func kdf(key, input []byte) (extracted, one, two, three [32]byte) {
	extracted = hmacOf(key, input)
	one = hmacOf(extracted[:], []byte{1})
	two = hmacOf(extracted[:], one[:], []byte{2})
	three = hmacOf(extracted[:], two[:], []byte{3})
	return extracted, one, two, three
}

// mix mixes an ephemeral public key into the chaining key.
func (h *handshake) mix(input [32]byte) {
	_, h.chainingKey, h.key, _ = kdf(h.chainingKey[:], input[:])
}

// mixSecret mixes in a Diffie-Hellman result.
func (h *handshake) mixSecret(name string, private *ecdh.PrivateKey, other [32]byte) error {
	p, err := ecdh.X25519().NewPublicKey(other[:])
	if err != nil {
		return err
	}
	shared, err := private.ECDH(p)
	if err != nil {
		return err
	}
	extracted, chainingKey, k, _ := kdf(h.chainingKey[:], shared)
	h.chainingKey, h.key = chainingKey, k
	h.note(name, [32]byte(shared))
	h.note("extracted from "+name, extracted)
	h.note("chaining key after "+name, chainingKey)
	h.note("key after "+name, k)
	return nil
}

func (h *handshake) mixPreshared(psk [32]byte) {
	extracted, chainingKey, tau, k := kdf(h.chainingKey[:], psk[:])
	h.chainingKey, h.key = chainingKey, k
	h.mixHash(tau[:])
	h.note("extracted from the preshared key", extracted)
	h.note("chaining key after the preshared key", chainingKey)
	h.note("key after the preshared key", k)
}

func (h *handshake) seal(out, text []byte) {
	c, _ := chacha20poly1305.New(h.key[:])
	c.Seal(out[:0], make([]byte, c.NonceSize()), text, h.hash[:])
	h.mixHash(out)
}

func (h *handshake) open(sealed []byte) ([]byte, error) {
	c, _ := chacha20poly1305.New(h.key[:])
	text, err := c.Open(nil, make([]byte, c.NonceSize()), sealed, h.hash[:])
	h.mixHash(sealed)
	return text, err
}

// split returns the initiator's sending key and its receiving key.
func (h *handshake) split() (send, receive [32]byte) {
	extracted, send, receive, _ := kdf(h.chainingKey[:], nil)
	h.note("extracted at the end", extracted)
	h.note("key of the initiator", send)
	h.note("key of the responder", receive)
	return send, receive
}

// initiation makes the first message.
func (h *handshake) initiation(static, ephemeral *ecdh.PrivateKey, responder [32]byte, index uint32, at time.Time) ([]byte, error) {
	m := new(wire.Initiation)
	m.SetHeader(index)
	*m.Ephemeral() = public(ephemeral)
	h.mixHash(m.Ephemeral()[:])
	h.mix(*m.Ephemeral())
	if err := h.mixSecret("es", ephemeral, responder); err != nil {
		return nil, err
	}
	own := public(static)
	h.seal(m.Static()[:], own[:])
	if err := h.mixSecret("ss", static, responder); err != nil {
		return nil, err
	}
	stamp := noise.Stamp(at)
	h.seal(m.Timestamp()[:], stamp[:])
	cookie.NewGenerator(key.Public(responder)).AddMACs(m[:], 0)
	return m[:], nil
}

// readResponse reads the second message.
func (h *handshake) readResponse(m *wire.Response, static, ephemeral *ecdh.PrivateKey, psk [32]byte) error {
	h.mixHash(m.Ephemeral()[:])
	h.mix(*m.Ephemeral())
	if err := errors.Join(h.mixSecret("ee", ephemeral, *m.Ephemeral()), h.mixSecret("se", static, *m.Ephemeral())); err != nil {
		return err
	}
	h.mixPreshared(psk)
	_, err := h.open(m.Empty()[:])
	return err
}

// readInitiation reads the first message; the sender is known.
func (h *handshake) readInitiation(m *wire.Initiation, static *ecdh.PrivateKey, initiator [32]byte) error {
	h.mixHash(m.Ephemeral()[:])
	h.mix(*m.Ephemeral())
	if err := h.mixSecret("es", static, *m.Ephemeral()); err != nil {
		return err
	}
	text, err := h.open(m.Static()[:])
	if err != nil {
		return err
	}
	if [32]byte(text) != initiator {
		return fmt.Errorf("an initiation of %x", text)
	}
	if err := h.mixSecret("ss", static, initiator); err != nil {
		return err
	}
	_, err = h.open(m.Timestamp()[:])
	return err
}

// response makes the second message.
func (h *handshake) response(to *wire.Initiation, ephemeral *ecdh.PrivateKey, initiator, psk [32]byte, index uint32) ([]byte, error) {
	m := new(wire.Response)
	m.SetHeader(index, to.Sender())
	*m.Ephemeral() = public(ephemeral)
	h.mixHash(m.Ephemeral()[:])
	h.mix(*m.Ephemeral())
	if err := errors.Join(h.mixSecret("ee", ephemeral, *to.Ephemeral()), h.mixSecret("se", ephemeral, initiator)); err != nil {
		return nil, err
	}
	h.mixPreshared(psk)
	h.seal(m.Empty()[:], nil)
	cookie.NewGenerator(key.Public(initiator)).AddMACs(m[:], 0)
	return m[:], nil
}
