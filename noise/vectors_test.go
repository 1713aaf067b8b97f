package noise

import (
	_ "embed"
	"encoding/hex"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"vpn/noise/key"
)

//go:embed testdata/vectors.txt
var vectors string

// TestVectors runs the pattern, which is the code behind Initiate, Accept, Authenticate, Respond and Finish, over the
// vectors of another implementation. They have other prologues and payloads than WireGuard.
func TestVectors(t *testing.T) {
	blocks := rows(vectors)
	if len(blocks) != 4 {
		t.Fatalf("%d vectors, want 4", len(blocks))
	}
	for _, v := range blocks {
		if v["handshake"] != protocolName {
			t.Fatalf("vector of %s", v["handshake"])
		}
		runVector(t, v)
	}
}

func runVector(t *testing.T, v map[string]string) {
	prologue := string(unhex(t, v["prologue"]))
	initiator := newLocal(private(t, unhex32(t, v["init_static"])), prologue)
	responder := newLocal(private(t, unhex32(t, v["resp_static"])), prologue)
	toResponder, toInitiator := NewRemote(responder.Public()), NewRemote(initiator.Public())
	psk := preshared(t, unhex32(t, v["preshared_key"]))
	toResponder.SetPreshared(psk)
	toInitiator.SetPreshared(psk)
	ephemeralI := private(t, unhex32(t, v["gen_init_ephemeral"]))
	ephemeralR := private(t, unhex32(t, v["gen_resp_ephemeral"]))
	payload0, payload1 := unhex(t, v["msg_0_payload"]), unhex(t, v["msg_1_payload"])

	// -> e, es, s, ss
	var e [32]byte
	var static [48]byte
	sealed := make([]byte, len(payload0)+tagSize)
	i, r := initiator.begin, responder.begin
	if err := i.writeInitiation(initiator, toResponder, ephemeralI, &e, &static, sealed, payload0); err != nil {
		t.Fatal("writeInitiation:", err)
	}
	want(t, "message 0", append(append(e[:len(e):len(e)], static[:]...), sealed...), v["msg_0_ciphertext"])

	var caller key.Public
	if err := r.readStatic(responder, &e, &caller, &static); err != nil {
		t.Fatal("readStatic:", err)
	}
	if caller != initiator.Public() {
		t.Errorf("initiation is from %v, want %v", caller, initiator.Public())
	}
	got := make([]byte, len(payload0))
	if err := r.readPayload(responder, toInitiator, got, sealed); err != nil {
		t.Fatal("readPayload:", err)
	}
	want(t, "payload 0", got, v["msg_0_payload"])

	// <- e, ee, se, psk
	var e2 [32]byte
	sealed = make([]byte, len(payload1)+tagSize)
	if err := r.writeResponse(toInitiator, e, ephemeralR, &e2, sealed, payload1); err != nil {
		t.Fatal("writeResponse:", err)
	}
	want(t, "message 1", append(e2[:len(e2):len(e2)], sealed...), v["msg_1_ciphertext"])
	got = make([]byte, len(payload1))
	if err := i.readResponse(initiator, toResponder, ephemeralI, &e2, got, sealed); err != nil {
		t.Fatal("readResponse:", err)
	}
	want(t, "payload 1", got, v["msg_1_payload"])

	// Transport: messages 2 and 4 are the initiator's, 3 and 5 the responder's.
	var keys, theirs [2][32]byte
	i.split(&keys[0], &keys[1])
	r.split(&theirs[0], &theirs[1])
	if keys != theirs {
		t.Error("the two sides have split differently")
	}
	for n := 2; n < 4; n++ {
		name := "msg_" + string(rune('0'+n))
		c, err := chacha20poly1305.New(keys[n-2][:])
		if err != nil {
			t.Fatal(err)
		}
		want(t, name, c.Seal(nil, zeroNonce[:], unhex(t, v[name+"_payload"]), nil), v[name+"_ciphertext"])
	}
}

func want(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s is\n%x, want\n%s", what, got, want)
	}
}
