package noise

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	flynn "github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/device"

	"vpn/noise/cookie"
	"vpn/noise/wire"
)

//go:embed testdata/handshake.txt
var recorded string

// TestRecorded makes the handshakes of testdata/handshake.txt again, byte by byte. Their bytes were made by others: see
// TestRecordedByOthers.
func TestRecorded(t *testing.T) {
	blocks := rows(recorded)
	if len(blocks) != 2 {
		t.Fatalf("%d recorded handshakes, want 2: with and without a preshared key", len(blocks))
	}
	for _, v := range blocks {
		p := recordedPair(t, v)
		timestamp := TAI64N(unhex(t, v["timestamp"]))
		initiation, response := new(wire.Initiation), new(wire.Response)

		i, err := Initiate(p.initiator, p.toResponder, 0x01020304, timestamp, stream(unhex32(t, v["initiator_ephemeral"])), initiation)
		if err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(p.responder.Public()).AddMACs(initiation[:], 0)
		want(t, "initiation", initiation[:], v["initiation"])

		h := p.authenticate(t, initiation)
		if h.Timestamp() != timestamp || h.SenderIndex() != 0x01020304 {
			t.Errorf("timestamp %x of index %#x, want %x of 0x01020304", h.Timestamp(), h.SenderIndex(), timestamp)
		}
		theirs, err := h.Respond(p.toInitial, 0x05060708, stream(unhex32(t, v["responder_ephemeral"])), response)
		if err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(p.initiator.Public()).AddMACs(response[:], 0)
		want(t, "response", response[:], v["response"])

		ours, err := i.Finish(p.initiator, p.toResponder, response)
		if err != nil {
			t.Fatal(err)
		}
		if ours.Send != theirs.Receive || ours.Receive != theirs.Send {
			t.Error("the two sides have different keys")
		}
		if ours.LocalIndex != 0x01020304 || ours.RemoteIndex != 0x05060708 || theirs.LocalIndex != 0x05060708 || theirs.RemoteIndex != 0x01020304 {
			t.Errorf("indices %#x, %#x and %#x, %#x", ours.LocalIndex, ours.RemoteIndex, theirs.LocalIndex, theirs.RemoteIndex)
		}
		want(t, "initiator's keepalive", keepalive(t, &ours.Send), v["initiator_keepalive"])
		want(t, "responder's keepalive", keepalive(t, &theirs.Send), v["responder_keepalive"])
	}
}

func recordedPair(t *testing.T, v map[string]string) *pair {
	t.Helper()
	p := &pair{
		initiator: NewLocal(private(t, unhex32(t, v["initiator_static"]))),
		responder: NewLocal(private(t, unhex32(t, v["responder_static"]))),
	}
	p.toResponder, p.toInitial = NewRemote(p.responder.Public()), NewRemote(p.initiator.Public())
	if v["preshared_key"] != "" {
		k := preshared(t, unhex32(t, v["preshared_key"]))
		p.toResponder.SetPreshared(k)
		p.toInitial.SetPreshared(k)
	}
	return p
}

func keepalive(t *testing.T, k *[32]byte) []byte {
	t.Helper()
	c, err := chacha20poly1305.New(k[:])
	if err != nil {
		t.Fatal(err)
	}
	return c.Seal(nil, zeroNonce[:], nil, nil)
}

// others is a handshake made without a line of ours: the pattern by flynn/noise, the macs by wireguard-go.
type others struct{ initiation, response, keepaliveI, keepaliveR []byte }

func madeByOthers(t *testing.T, staticI, staticR, ephemeralI, ephemeralR, psk [32]byte, timestamp []byte) others {
	t.Helper()
	suite := flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashBLAKE2s)
	pairOf := func(k [32]byte) flynn.DHKey {
		d, err := suite.GenerateKeypair(bytes.NewReader(k[:]))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	config := func(own, peer, ephemeral [32]byte) flynn.Config {
		return flynn.Config{
			CipherSuite: suite, Pattern: flynn.HandshakeIK, Prologue: []byte("WireGuard v1 zx2c4 Jason@zx2c4.com"),
			PresharedKey: psk[:], PresharedKeyPlacement: 2,
			StaticKeypair: pairOf(own), PeerStatic: pairOf(peer).Public, Random: bytes.NewReader(ephemeral[:]),
		}
	}
	begin := func(c flynn.Config) *flynn.HandshakeState {
		h, err := flynn.NewHandshakeState(c)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	configI := config(staticI, staticR, ephemeralI)
	configI.Initiator = true
	configR := config(staticR, staticI, ephemeralR)
	configR.PeerStatic = nil
	i, r := begin(configI), begin(configR)

	text, _, _, err := i.WriteMessage(nil, timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.ReadMessage(nil, text); err != nil {
		t.Fatal(err)
	}
	o := others{initiation: addMACs(binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, 0x01020304), text, pairOf(staticR).Public)}
	text, c1, c2, err := r.WriteMessage(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	header := binary.LittleEndian.AppendUint32([]byte{2, 0, 0, 0}, 0x05060708)
	o.response = addMACs(binary.LittleEndian.AppendUint32(header, 0x01020304), text, pairOf(staticI).Public)
	if o.keepaliveI, err = c1.Encrypt(nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if o.keepaliveR, err = c2.Encrypt(nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

func addMACs(header, text, peer []byte) []byte {
	msg := append(append(header, text...), make([]byte, 32)...)
	var g device.CookieGenerator
	g.Init(device.NoisePublicKey(peer))
	g.AddMacs(msg)
	return msg
}

// TestRecordedByOthers proves where the bytes of testdata/handshake.txt come from.
func TestRecordedByOthers(t *testing.T) {
	for _, v := range rows(recorded) {
		var psk [32]byte
		copy(psk[:], unhex(t, v["preshared_key"]))
		o := madeByOthers(t, unhex32(t, v["initiator_static"]), unhex32(t, v["responder_static"]),
			unhex32(t, v["initiator_ephemeral"]), unhex32(t, v["responder_ephemeral"]), psk, unhex(t, v["timestamp"]))
		want(t, "initiation", o.initiation, v["initiation"])
		want(t, "response", o.response, v["response"])
		want(t, "initiator's keepalive", o.keepaliveI, v["initiator_keepalive"])
		want(t, "responder's keepalive", o.keepaliveR, v["responder_keepalive"])
	}
}

// TestAgainstOthers compares handshakes of random keys.
func TestAgainstOthers(t *testing.T) {
	random := rand.NewChaCha8([32]byte{'n', 'o', 'i', 's', 'e'})
	for range 20 {
		var k [5][32]byte
		for i := range k {
			random.Read(k[i][:])
		}
		timestamp := make([]byte, 12)
		random.Read(timestamp)
		o := madeByOthers(t, k[0], k[1], k[2], k[3], k[4], timestamp)
		v := map[string]string{
			"initiator_static": hex.EncodeToString(k[0][:]), "responder_static": hex.EncodeToString(k[1][:]),
			"preshared_key": hex.EncodeToString(k[4][:]),
		}
		p := recordedPair(t, v)
		initiation, response := new(wire.Initiation), new(wire.Response)
		if _, err := Initiate(p.initiator, p.toResponder, 0x01020304, TAI64N(timestamp), stream(k[2]), initiation); err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(p.responder.Public()).AddMACs(initiation[:], 0)
		want(t, "initiation", initiation[:], hex.EncodeToString(o.initiation))
		if _, err := p.authenticate(t, initiation).Respond(p.toInitial, 0x05060708, stream(k[3]), response); err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(p.initiator.Public()).AddMACs(response[:], 0)
		want(t, "response", response[:], hex.EncodeToString(o.response))
	}
}
