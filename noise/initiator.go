package noise

import (
	"fmt"
	"io"

	"vpn/noise/erasing"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// Initiator is the initiator's state between the initiation and the response. It holds the ephemeral key: Erase it when the
// handshake is given up. Its calls must not be concurrent.
type Initiator struct {
	symmetric   symmetric
	ephemeral   key.Private
	senderIndex uint32
	spent       bool
}

// Initiate begins a handshake with r. It writes msg whole but for both macs, which cookie.Generator adds. The timestamp
// must be later than that of every initiation sent to r before. rand gives the ephemeral key.
//
// It fails with ErrLowOrder if r's public key is no good, with ErrNoPrivateKey, or as rand does. msg is all zeros then.
func Initiate(l *Local, r *Remote, senderIndex uint32, timestamp TAI64N, rand io.Reader, msg *wire.Initiation) (*Initiator, error) {
	*msg = wire.Initiation{}
	if l.private.IsZero() {
		return nil, ErrNoPrivateKey
	}
	ephemeral, err := key.NewPrivate(rand)
	if err != nil {
		return nil, fmt.Errorf("initiate handshake: %w", err)
	}
	i := &Initiator{symmetric: l.begin, ephemeral: ephemeral, senderIndex: senderIndex}
	err = r.step(l, func() error {
		return i.symmetric.writeInitiation(l, r, &i.ephemeral, msg.Ephemeral(), msg.Static(), msg.Timestamp()[:], timestamp[:])
	})
	if err != nil {
		i.Erase()
		*msg = wire.Initiation{}
		return nil, fmt.Errorf("initiate handshake: %w", err)
	}
	msg.SetHeader(senderIndex)
	return i, nil
}

// writeInitiation writes the first message of the pattern, `-> e, es, s, ss`, into its three parts.
func (s *symmetric) writeInitiation(l *Local, r *Remote, ephemeral *key.Private, e *[32]byte, static *[48]byte, sealed, payload []byte) error {
	s.mixHash(r.Public[:])
	*e = ephemeral.Public()
	s.mixEphemeral(e)
	if err := s.mixSecret(ephemeral, r.Public); err != nil {
		return err
	}
	s.encryptAndHash(static[:], l.public[:])
	if err := s.mixStaticStatic(l, r); err != nil {
		return err
	}
	s.encryptAndHash(sealed, payload)
	clear(s.key[:]) // it has sealed its one text
	return nil
}

// SenderIndex is the index given to Initiate, by which the response will find this handshake.
func (i *Initiator) SenderIndex() uint32 { return i.senderIndex }

// Finish reads the response, with r's preshared key as it is now, and ends the handshake: i is erased. The session is the
// caller's to erase.
//
// On failure (ErrAuthentication, ErrLowOrder) i stays as it was, because anybody may send a forged response, which must
// not end the handshake. After success or Erase it fails with ErrSpent.
func (i *Initiator) Finish(l *Local, r *Remote, msg *wire.Response) (*Session, error) {
	if i.spent {
		return nil, fmt.Errorf("finish handshake: %w", ErrSpent)
	}
	if msg.Receiver() != i.senderIndex {
		return nil, fmt.Errorf("finish handshake: response to another initiation: %w", ErrAuthentication)
	}
	session := &Session{LocalIndex: i.senderIndex, RemoteIndex: msg.Sender()}
	var err error
	erasing.Do(func() {
		s := i.symmetric
		defer s.erase()
		if err = s.readResponse(l, r, &i.ephemeral, msg.Ephemeral(), nil, msg.Empty()[:]); err == nil {
			s.split(&session.Send, &session.Receive)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("finish handshake: %w", err)
	}
	i.Erase()
	return session, nil
}

// readResponse reads the second message of the pattern, `<- e, ee, se, psk`, from its two parts.
func (s *symmetric) readResponse(l *Local, r *Remote, ephemeral *key.Private, e *[32]byte, payload, sealed []byte) error {
	s.mixEphemeral(e)
	if err := s.mixSecret(ephemeral, *e); err != nil {
		return err
	}
	if err := s.mixSecret(&l.private, *e); err != nil {
		return err
	}
	s.mixKeyAndHash(r.preshared.Bytes())
	if !s.decryptAndHash(payload, sealed) {
		return ErrAuthentication
	}
	return nil
}

// Erase gives the handshake up: the ephemeral key and the chaining key are gone. It may be called again.
func (i *Initiator) Erase() {
	i.spent = true
	i.ephemeral.Erase()
	i.symmetric.erase()
}
