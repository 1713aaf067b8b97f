package noise

import (
	"fmt"
	"io"

	"vpn/noise/erasing"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// Accepted is the responder's state once it has read who is calling. That is a claim only, made by anybody who knows both
// public keys: it serves to look the peer up, and Authenticate is what proves it. Erase it when there is no such peer. Its
// calls must not be concurrent.
type Accepted struct {
	symmetric   symmetric
	local       *Local
	static      key.Public
	ephemeral   [32]byte
	senderIndex uint32
	spent       bool
}

// Accept reads the sender's static public key from an initiation. l must stay in force until Authenticate. It fails with
// ErrAuthentication, ErrLowOrder or ErrNoPrivateKey.
func Accept(l *Local, msg *wire.Initiation) (*Accepted, error) {
	if l.private.IsZero() {
		return nil, ErrNoPrivateKey
	}
	a := &Accepted{symmetric: l.begin, local: l, ephemeral: *msg.Ephemeral(), senderIndex: msg.Sender()}
	var err error
	erasing.Do(func() { err = a.symmetric.readStatic(l, &a.ephemeral, &a.static, msg.Static()) })
	if err != nil {
		a.Erase()
		return nil, fmt.Errorf("accept initiation: %w", err)
	}
	return a, nil
}

// readStatic reads the first half of the first message, `-> e, es, s`.
func (s *symmetric) readStatic(l *Local, e *[32]byte, static *key.Public, sealed *[48]byte) error {
	s.mixHash(l.public[:])
	s.mixEphemeral(e)
	if err := s.mixSecret(&l.private, *e); err != nil {
		return err
	}
	if !s.decryptAndHash(static[:], sealed[:]) {
		return ErrAuthentication
	}
	clear(s.key[:])
	return nil
}

// Static is who the initiation says is calling.
func (a *Accepted) Static() key.Public { return a.static }

// Authenticate proves that r sent msg, the initiation given to Accept, and reads its timestamp. It computes the
// static-static secret if r has none yet. Whatever it returns, a is erased.
//
// It fails with ErrAuthentication, also if r is not the peer that a names; with ErrLowOrder if r's public key is no good;
// with ErrSpent if a was used or erased.
func (a *Accepted) Authenticate(r *Remote, msg *wire.Initiation) (*Responder, error) {
	if a.spent {
		return nil, fmt.Errorf("authenticate initiation: %w", ErrSpent)
	}
	defer a.Erase()
	if r.Public != a.static {
		return nil, fmt.Errorf("authenticate initiation: another peer's: %w", ErrAuthentication)
	}
	h := &Responder{static: a.static, ephemeral: a.ephemeral, senderIndex: a.senderIndex}
	err := r.step(a.local, func() error {
		h.symmetric = a.symmetric
		return h.symmetric.readPayload(a.local, r, h.timestamp[:], msg.Timestamp()[:])
	})
	if err != nil {
		h.Erase()
		return nil, fmt.Errorf("authenticate initiation: %w", err)
	}
	return h, nil
}

// readPayload reads the second half of the first message, `ss` and the payload.
func (s *symmetric) readPayload(l *Local, r *Remote, payload, sealed []byte) error {
	if err := s.mixStaticStatic(l, r); err != nil {
		return err
	}
	if !s.decryptAndHash(payload, sealed) {
		return ErrAuthentication
	}
	clear(s.key[:])
	return nil
}

// Erase ends a handshake that goes no further. It may be called again.
func (a *Accepted) Erase() {
	a.spent = true
	a.symmetric.erase()
}

// Responder is the responder's state once the initiation is authentic. It may still be an old one, replayed: the caller
// compares the timestamp with the greatest it has had from this peer. Erase it if it goes no further. Its calls must not
// be concurrent.
type Responder struct {
	symmetric   symmetric
	static      key.Public
	ephemeral   [32]byte
	timestamp   TAI64N
	senderIndex uint32
	spent       bool
}

// Timestamp is the initiation's.
func (h *Responder) Timestamp() TAI64N { return h.timestamp }

// SenderIndex is the initiator's index.
func (h *Responder) SenderIndex() uint32 { return h.senderIndex }

// Respond writes msg whole but for both macs, which cookie.Generator adds, and ends the handshake with r, the peer given to
// Authenticate, mixing its preshared key as it is now. senderIndex is the own index; rand gives the ephemeral key. The
// session is the caller's to erase. Whatever it returns, h is erased.
//
// It fails as rand does, with ErrAuthentication if r is another peer, or with ErrSpent. msg is all zeros then.
func (h *Responder) Respond(r *Remote, senderIndex uint32, rand io.Reader, msg *wire.Response) (*Session, error) {
	*msg = wire.Response{}
	if h.spent {
		return nil, fmt.Errorf("respond to initiation: %w", ErrSpent)
	}
	defer h.Erase()
	if r.Public != h.static {
		return nil, fmt.Errorf("respond to initiation: another peer's: %w", ErrAuthentication)
	}
	ephemeral, err := key.NewPrivate(rand)
	if err != nil {
		return nil, fmt.Errorf("respond to initiation: %w", err)
	}
	defer ephemeral.Erase()
	session := &Session{LocalIndex: senderIndex, RemoteIndex: h.senderIndex}
	erasing.Do(func() {
		if err = h.symmetric.writeResponse(r, h.ephemeral, &ephemeral, msg.Ephemeral(), msg.Empty()[:], nil); err == nil {
			h.symmetric.split(&session.Receive, &session.Send)
		}
	})
	if err != nil {
		*msg = wire.Response{}
		return nil, fmt.Errorf("respond to initiation: %w", err)
	}
	msg.SetHeader(senderIndex, h.senderIndex)
	return session, nil
}

// writeResponse writes the second message of the pattern, `<- e, ee, se, psk`, into its two parts.
func (s *symmetric) writeResponse(r *Remote, theirs key.Public, ephemeral *key.Private, e *[32]byte, sealed, payload []byte) error {
	*e = ephemeral.Public()
	s.mixEphemeral(e)
	if err := s.mixSecret(ephemeral, theirs); err != nil {
		return err
	}
	if err := s.mixSecret(ephemeral, r.Public); err != nil {
		return err
	}
	s.mixKeyAndHash(r.preshared.Bytes())
	s.encryptAndHash(sealed, payload)
	return nil
}

// Erase ends a handshake that goes no further. It may be called again.
func (h *Responder) Erase() {
	h.spent = true
	h.symmetric.erase()
}
