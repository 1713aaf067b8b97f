// Package noise is WireGuard's handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s: section 5.4 of the paper, in the terms of
// the Noise specification (https://noiseprotocol.org/noise.html).
//
// The initiator calls Initiate and sends the message; with the response it calls Initiator.Finish and has a Session. The
// responder calls Accept, looks up who is calling, calls Accepted.Authenticate, checks the timestamp, and calls
// Responder.Respond. Each step is a type of its own which the step before returns, so that no step can be left out, and each
// works once. What goes around the handshake is elsewhere: layouts in noise/wire, mac1, mac2 and cookies in noise/cookie.
//
// The package is pure: randomness, timestamps and indices are arguments. It keeps to these rules:
//
//   - Every handshake has a fresh ephemeral key, erased when the handshake ends.
//   - Chaining keys, hashes, Diffie-Hellman results and ciphers' keys are zeroed when a step returns, whatever it returns;
//     what the next step needs lives in the step's value until that is used or erased. What handles them runs in
//     erasing.Do, and puts nothing secret on the heap.
//   - Nothing of a message that failed is left in it: a message not fit to be sent is all zeros.
//
// Errors are compared with errors.Is, and never contain a key.
package noise

import (
	"errors"

	"vpn/noise/key"
)

var (
	// ErrLowOrder means that a public key, the peer's static one or an ephemeral, has low order, so that what is derived
	// from it is no secret.
	ErrLowOrder = errors.New("public key of low order")
	// ErrAuthentication means that a message was not made by the peer for us, or was changed on the way.
	ErrAuthentication = errors.New("handshake message is not authentic")
	// ErrSpent means that a step was already used or erased.
	ErrSpent = errors.New("handshake step already used")
	// ErrNoPrivateKey means that the own identity has no private key, or not any more.
	ErrNoPrivateKey = errors.New("no private key")
)

// Session is what a handshake ends with: one key for each direction, and both sides' indices. The keys are the caller's to
// erase.
type Session struct {
	Send, Receive           [32]byte
	LocalIndex, RemoteIndex uint32
}

// Erase zeroes the session's keys. It may be called on nil, and again.
func (s *Session) Erase() {
	if s != nil {
		*s = Session{}
	}
}

// mixSecret mixes in the Diffie-Hellman result of k and p.
func (s *symmetric) mixSecret(k *key.Private, p key.Public) error {
	var secret [32]byte
	defer clear(secret[:])
	if !k.SharedSecret(p, &secret) {
		return ErrLowOrder
	}
	s.mixKey(&secret)
	return nil
}

// mixStaticStatic mixes in the Diffie-Hellman result of both static keys.
func (s *symmetric) mixStaticStatic(l *Local, r *Remote) error {
	secret := r.shared(l)
	if secret == nil {
		return ErrLowOrder
	}
	s.mixKey(secret)
	return nil
}

// mixEphemeral mixes in an ephemeral public key, own or received. "In handshake patterns with PSKs, the e token also calls
// MixKey(e.public_key)" (Noise, section 9.2).
func (s *symmetric) mixEphemeral(e *[32]byte) {
	s.mixHash(e[:])
	s.mixKey(e)
}
