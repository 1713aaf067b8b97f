package noise

import (
	"vpn/noise/erasing"
	"vpn/noise/key"
)

// Local is the own static identity. It is made once, and may be used concurrently until Erase.
type Local struct {
	private key.Private
	public  key.Public
	begin   symmetric // the state after the prologue, which is the same for all handshakes; not secret
}

// NewLocal makes an identity from a private key, which is copied: k stays the caller's to erase. It computes the public
// key. An all-zero k makes an identity with which every handshake fails with ErrNoKey.
func NewLocal(k *key.Private) *Local { return newLocal(k, prologue) }

func newLocal(k *key.Private, prologue string) *Local {
	l := &Local{private: k.Clone(), public: k.Public()}
	l.begin.initialize(prologue)
	return l
}

// Public is the own public key.
func (l *Local) Public() key.Public { return l.public }

// Erase zeroes the private key. Nobody may be using it.
func (l *Local) Erase() { l.private.Erase() }

// Remote is a peer's static identity: its public key, the preshared key, and the static-static secret once a handshake
// has needed it. It is small, and making one computes nothing, so that a configured idle peer costs little. Calls for one
// Remote must not be concurrent.
type Remote struct {
	Public key.Public // never changed after NewRemote

	preshared    key.Preshared
	staticStatic *staticStatic
}

// staticStatic is the secret that two static keys share. It remembers with whose private key it was made, so that a
// changed identity can't use the old one's.
type staticStatic struct {
	local  *Local // nil: there is no secret yet
	secret [32]byte
}

// NewRemote makes a peer's identity. Any public key is taken, as wg does: one of low order fails in the handshake.
func NewRemote(public key.Public) *Remote { return &Remote{Public: public} }

// SetPreshared sets the preshared key, which is copied, and erases the one before it. The next message made or read uses
// it, also in a handshake under way. The zero key, or nil, is none.
func (r *Remote) SetPreshared(k *key.Preshared) {
	old := r.preshared
	r.preshared = key.Preshared{}
	if k != nil && !k.IsZero() {
		r.preshared = k.Clone()
	}
	old.Erase()
}

// Preshared returns the preshared key; the zero key if there is none. The handle is the Remote's own: Clone to keep it.
func (r *Remote) Preshared() key.Preshared { return r.preshared }

// Forget erases the static-static secret. The next handshake computes it again.
func (r *Remote) Forget() {
	if r.staticStatic != nil {
		clear(r.staticStatic.secret[:])
		r.staticStatic = nil
	}
}

// Erase erases both secrets: the peer is being removed.
func (r *Remote) Erase() {
	r.Forget()
	r.SetPreshared(nil)
}

// step does a part of the handshake, which may use the static-static secret, and erases what that leaves behind.
func (r *Remote) step(l *Local, do func() error) (err error) {
	r.makeRoom(l)
	erasing.Do(func() { err = do() })
	if r.staticStatic.local == nil {
		r.staticStatic = nil // it was not needed, or the peer's public key has low order
	}
	return err
}

// makeRoom makes room for the static-static secret. A step does so first, because in it nothing is allocated.
func (r *Remote) makeRoom(l *Local) {
	if r.staticStatic != nil && r.staticStatic.local != l {
		r.Forget()
	}
	if r.staticStatic == nil {
		r.staticStatic = new(staticStatic)
	}
}

// shared returns the static-static secret, made at first use; nil if the peer's public key has low order.
func (r *Remote) shared(l *Local) *[32]byte {
	r.makeRoom(l)
	s := r.staticStatic
	if s.local == l {
		return &s.secret
	}
	if !l.private.SharedSecret(r.Public, &s.secret) {
		return nil
	}
	s.local = l
	return &s.secret
}
