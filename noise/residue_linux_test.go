package noise

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"vpn/noise/key"
	"vpn/noise/wire"
)

// The test that no secret outlives its handshake looks for each in the memory of a process that has used it: a child of
// this one, which is this test binary again. The secrets are computed here and handed over masked, so that the child holds
// them only where the code under test puts them.

const (
	residueChild = "NOISE_TEST_RESIDUE"
	mask         = 0xa5
)

func TestMain(m *testing.M) {
	if secrets := os.Getenv(residueChild); secrets != "" {
		if err := residue(strings.Fields(secrets)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func masked(b [32]byte) (m [32]byte) {
	for i := range b {
		m[i] = b[i] ^ mask
	}
	return m
}

// inputs are the private values of the child's handshake: both static keys, both ephemerals, a preshared key, and one that
// the child leaves lying about, to see that it would be found.
var inputs = [6]string{"static of the initiator", "static of the responder", "ephemeral of the initiator", "ephemeral of the responder", "preshared key", "planted"}

func TestNoResidue(t *testing.T) {
	var secrets [len(inputs)][32]byte
	for i := range secrets {
		k := fresh(t)
		copy(secrets[i][:], unhex(t, k.Hex()))
	}
	found := search(t, secrets)
	names, derived := derive(t, secrets)
	all := append(secrets[:], derived...)
	for i, name := range append(inputs[:], names...) {
		if where := found[hexOf(masked(all[i]))]; (where != "") != (name == "planted") {
			t.Errorf("%s found in memory at: %q", name, where)
		}
	}
}

func hexOf(b [32]byte) string { return hex.EncodeToString(b[:]) }

// search runs the child, and returns where it has found each masked secret.
func search(t *testing.T, secrets [len(inputs)][32]byte) map[string]string {
	t.Helper()
	_, derived := derive(t, secrets)
	var arg []string
	for _, s := range append(secrets[:], derived...) {
		arg = append(arg, hexOf(masked(s)))
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program)
	// A signal in the midst of a step would save registers where nobody can erase them.
	c.Env = append(os.Environ(), residueChild+"="+strings.Join(arg, " "), "GODEBUG=asyncpreemptoff=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		secret, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[secret] = where
	}
	return found
}

// derive computes every secret that the handshake of these inputs goes through.
func derive(t *testing.T, in [len(inputs)][32]byte) (names []string, secrets [][32]byte) {
	t.Helper()
	add := func(name string, secret [32]byte) {
		names, secrets = append(names, name), append(secrets, secret)
	}
	staticI, staticR := private(t, in[0]), private(t, in[1])
	ephemeralI, ephemeralR := private(t, in[2]), private(t, in[3])
	l, r := NewLocal(staticI), NewRemote(staticR.Public())
	s := l.begin
	mix := func(name string, k *key.Private, p key.Public) {
		var secret [32]byte
		if !k.SharedSecret(p, &secret) {
			t.Fatal("low order")
		}
		s.mixKey(&secret)
		add(name, secret)
		add("chaining key after "+name, s.chainingKey)
		add("key after "+name, s.key)
	}
	var sealed [48]byte
	e := [32]byte(ephemeralI.Public())
	s.mixHash(r.Public[:])
	s.mixEphemeral(&e)
	mix("es", ephemeralI, r.Public)
	s.encryptAndHash(sealed[:], l.public[:])
	mix("ss", staticI, r.Public)
	s.encryptAndHash(sealed[:28], stamp[:])
	e = ephemeralR.Public()
	s.mixEphemeral(&e)
	mix("ee", ephemeralI, e)
	mix("se", staticI, e)
	s.mixKeyAndHash(&in[4])
	add("chaining key after psk", s.chainingKey)
	add("key after psk", s.key)
	var send, receive [32]byte
	s.split(&send, &receive)
	add("sending key", send)
	add("receiving key", receive)
	return names, secrets
}

// unmasking is a source of randomness that unmasks straight into its reader's memory.
type unmasking struct{ masked []byte }

func (u *unmasking) Read(b []byte) (int, error) {
	n := min(len(b), len(u.masked))
	for i := range n {
		b[i] = u.masked[i] ^ mask
	}
	u.masked = u.masked[n:]
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// residue is the child: it runs a handshake, and every way to fail, and then searches its memory.
func residue(args []string) error {
	debug.SetGCPercent(-1) // what is dead stays
	needles := make([][]byte, len(args))
	for i, a := range args {
		b, err := hex.DecodeString(a)
		if err != nil {
			return err
		}
		needles[i] = b
	}
	planted := make([]byte, 32)
	if _, err := io.ReadFull(&unmasking{needles[5]}, planted); err != nil {
		return err
	}
	if err := useAll(needles); err != nil {
		return err
	}
	if err := scan(needles); err != nil {
		return err
	}
	clear(planted)
	return nil
}

func useAll(masked [][]byte) error {
	staticI, err := key.NewPrivate(&unmasking{masked[0]})
	if err != nil {
		return err
	}
	staticR, err := key.NewPrivate(&unmasking{masked[1]})
	if err != nil {
		return err
	}
	psk, err := key.NewPreshared(&unmasking{masked[4]})
	if err != nil {
		return err
	}
	p := &pair{initiator: NewLocal(&staticI), responder: NewLocal(&staticR)}
	p.toResponder, p.toInitial = NewRemote(p.responder.Public()), NewRemote(p.initiator.Public())
	p.toResponder.SetPreshared(&psk)
	p.toInitial.SetPreshared(&psk)
	staticI.Erase()
	staticR.Erase()
	psk.Erase()
	if err := p.failEverywhere(masked[2], masked[3]); err != nil {
		return err
	}
	p.initiator.Erase()
	p.responder.Erase()
	p.toInitial.Erase()
	p.toResponder.Erase()
	return nil
}

// apart runs one step on a new goroutine: its stack is small, and moves when it grows.
func apart[T any](step func() (T, error)) (result T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = step()
	}()
	<-done
	return result, err
}

// failEverywhere runs each step to each of its ends.
func (p *pair) failEverywhere(ephemeralI, ephemeralR []byte) error {
	expect := func(step string, err, want error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("%s: got error %v, want %v", step, err, want)
		}
		return nil
	}
	lowOrder := key.Public{0: 1}
	bad, stranger := NewRemote(lowOrder), NewRemote(key.Public{9})
	initiation, response := new(wire.Initiation), new(wire.Response)
	_, err1 := apart(func() (*Initiator, error) {
		return Initiate(p.initiator, bad, 1, stamp, &unmasking{ephemeralI}, initiation)
	})
	_, err2 := apart(func() (*Initiator, error) {
		return Initiate(p.initiator, p.toResponder, 1, stamp, &unmasking{ephemeralI[:20]}, initiation)
	})
	i, err3 := apart(func() (*Initiator, error) {
		return Initiate(p.initiator, p.toResponder, 1, stamp, &unmasking{ephemeralI}, initiation)
	})
	if err := errors.Join(expect("Initiate", err1, ErrLowOrder), expect("Initiate", err2, io.ErrUnexpectedEOF), err3); err != nil {
		return err
	}

	forged := *initiation
	forged.Static()[0] ^= 1
	_, err1 = apart(func() (*Accepted, error) { return Accept(p.responder, &forged) })
	forged = *initiation
	*forged.Ephemeral() = lowOrder
	_, err2 = apart(func() (*Accepted, error) { return Accept(p.responder, &forged) })
	if err := errors.Join(expect("Accept", err1, ErrAuthentication), expect("Accept", err2, ErrLowOrder)); err != nil {
		return err
	}
	forged = *initiation
	forged.Timestamp()[0] ^= 1
	for _, c := range []struct {
		r    *Remote
		msg  *wire.Initiation
		want error
	}{{p.toInitial, &forged, ErrAuthentication}, {stranger, initiation, ErrAuthentication}} {
		a, err := apart(func() (*Accepted, error) { return Accept(p.responder, initiation) })
		if err != nil {
			return err
		}
		_, err = apart(func() (*Responder, error) { return a.Authenticate(c.r, c.msg) })
		if err := expect("Authenticate", err, c.want); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		r    *Remote
		rand io.Reader
		want error
	}{{stranger, &unmasking{ephemeralR}, ErrAuthentication}, {p.toInitial, &unmasking{ephemeralR[:20]}, io.ErrUnexpectedEOF}, {p.toInitial, &unmasking{ephemeralR}, nil}} {
		a, err := apart(func() (*Accepted, error) { return Accept(p.responder, initiation) })
		if err != nil {
			return err
		}
		h, err := apart(func() (*Responder, error) { return a.Authenticate(p.toInitial, initiation) })
		if err != nil {
			return err
		}
		s, err := apart(func() (*Session, error) { return h.Respond(c.r, 2, c.rand, response) })
		s.Erase()
		if err := expect("Respond", err, c.want); err != nil {
			return err
		}
	}

	other := *response
	other.Empty()[0] ^= 1
	_, err1 = apart(func() (*Session, error) { return i.Finish(p.initiator, p.toResponder, &other) })
	*other.Ephemeral() = lowOrder
	_, err2 = apart(func() (*Session, error) { return i.Finish(p.initiator, p.toResponder, &other) })
	s, err3 := apart(func() (*Session, error) { return i.Finish(p.initiator, p.toResponder, response) })
	s.Erase()
	return errors.Join(expect("Finish", err1, ErrAuthentication), expect("Finish", err2, ErrLowOrder), err3)
}

// scan prints each masked needle of which a half is anywhere in writable memory, and where.
func scan(needles [][]byte) error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return err
	}
	defer mem.Close()
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			return err
		}
		if !strings.HasPrefix(mode, "rw") {
			continue
		}
		for at := from; at < to; at += uint64(len(buf)) - 64 {
			n, err := mem.ReadAt(buf[:min(uint64(len(buf)), to-at)], int64(at))
			if err != nil && n == 0 {
				break // a guard page, or a mapping of a device
			}
			for _, needle := range needles {
				report(buf[:n], needle, at)
			}
		}
	}
	return nil
}

func report(text, needle []byte, at uint64) {
	for half := range 2 {
		part := needle[16*half : 16*half+16]
		var prefix [6]byte // too short to be a secret
		for i := range prefix {
			prefix[i] = part[i] ^ mask
		}
		for from := 0; ; from++ {
			i := bytes.Index(text[from:], prefix[:])
			if i < 0 {
				break
			}
			if from += i; matches(text[from:], part) {
				fmt.Printf("%x %#x\n", needle, at+uint64(from))
				return
			}
		}
	}
}

func matches(text, part []byte) bool {
	if len(text) < len(part) {
		return false
	}
	for i, b := range part {
		if text[i]^mask != b {
			return false
		}
	}
	return true
}
