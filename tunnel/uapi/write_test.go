package uapi

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vpn/noise/key"
)

func sample(t testing.TB) (Device, []Peer) {
	return Device{
			PrivateKey: *private(t, 0xaa), ListenPort: 51820, FwMark: 51820,
			RekeyAfterTime: 90 * time.Second, RekeyAfterPackets: 1000,
		}, []Peer{
			{PublicKey: public(1)},
			{
				PublicKey: public(2), Preshared: *preshared(t, 0xbb), Endpoint: netip.MustParseAddrPort("[fe80::1%eth0]:51820"),
				Keepalive: 25, LastHandshake: time.Unix(1700000000, 5), Rx: 1<<64 - 1, Tx: 2,
				AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")},
			},
			{PublicKey: public(0xef), Endpoint: netip.MustParseAddrPort("192.0.2.1:1"), LastHandshake: time.Unix(1, 0)},
		}
}

func TestWriteGetGolden(t *testing.T) {
	d, peers := sample(t)
	var got bytes.Buffer
	if err := WriteGet(&got, &d, slices.Values(peers)); err != nil {
		t.Fatal(err)
	}
	golden(t, "get.txt", got.Bytes())
}

func TestWriteSetGolden(t *testing.T) {
	zero, seven := uint16(0), uint32(7)
	rekey, packets := 60*time.Second, uint64(12)
	c := Config{
		PrivateKey: private(t, 0xaa), ListenPort: &zero, FwMark: &seven, ReplacePeers: true, RekeyAfterTime: &rekey, RekeyAfterPackets: &packets,
		Peers: []PeerConfig{
			{PublicKey: public(1), Remove: true},
			{
				PublicKey: public(2), UpdateOnly: true, ReplaceAllowedIPs: true, Preshared: preshared(t, 0), Keepalive: &zero,
				Endpoint:   netip.MustParseAddrPort("[::1]:1"),
				AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::/0"), Remove: true}},
			},
		},
	}
	var got bytes.Buffer
	if err := WriteSet(&got, &c); err != nil {
		t.Fatal(err)
	}
	golden(t, "set.txt", got.Bytes())
	got.Reset()
	c.Peers[0].Candidates = []netip.AddrPort{}
	c.Peers[1].Candidates = []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:5"), netip.MustParseAddrPort("[fe80::1%2]:6")}
	if err := WriteSet(&got, &c); err != nil {
		t.Fatal(err)
	}
	back, err := ParseSet(bufio.NewReader(&got))
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(*back, c); d != "" {
		t.Errorf("read back it differs: %s", d)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestReadGetReadsWhatIsWritten(t *testing.T) {
	want, peers := sample(t)
	var text bytes.Buffer
	if err := WriteGet(&text, &want, slices.Values(peers)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadGet(bufio.NewReader(&text))
	if err != nil {
		t.Fatal(err)
	}
	want.Peers, want.PublicKey = peers, want.PrivateKey.Public()
	if d := diff(*got, want); d != "" {
		t.Error(d)
	}
	got.Erase()
	if !got.PrivateKey.IsZero() || !got.Peers[1].Preshared.IsZero() {
		t.Error("a key is still there")
	}
}

func TestReadGet(t *testing.T) {
	for text, want := range map[string]string{
		"errno=0\n\n":                "",
		"jc=3\nerrno=0\n\n":          "", // other implementations' own
		"errno=22\n\n":               "invalid argument (errno 22)",
		"errno=-22\n\n":              "invalid argument (errno 22)",
		"errno=x\n\n":                "line 1: errno: not a number",
		"\n":                         "line 1: no errno in the reply",
		"listen_port=x\nerrno=0\n\n": "line 1: listen_port: not a number from 0 to 65535",
		"what\nerrno=0\n\n":          "line 1: not of the form key=value",
		"errno=0\n":                  "unexpected EOF",
		"":                           "unexpected EOF",
		"public_key=" + hexKey("01") + "\nallowed_ip=x\nerrno=0\n\n":               "line 2: allowed_ip: not an address with a prefix length",
		"public_key=" + hexKey("01") + "\nlast_handshake_time_sec=-1\nerrno=0\n\n": "line 2: last_handshake_time_sec: not a number",
	} {
		_, err := ReadGet(bufio.NewReader(strings.NewReader(text)))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

type failing struct{ after int }

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, syscall.EPIPE
	}
	return len(b), nil
}

// A client that leaves ends the sequence, rather than having a million peers
// written into nothing.
func TestWriteGetStops(t *testing.T) {
	yielded := 0
	err := WriteGet(&failing{after: 3 * bufferSize}, &Device{}, func(yield func(Peer) bool) {
		for range 1_000_000 {
			yielded++
			if !yield(Peer{}) {
				return
			}
		}
	})
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
	if yielded > 2000 {
		t.Errorf("%d peers were asked for", yielded)
	}
}

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Errno
	}{
		{nil, 0},
		{errors.New("other"), EIO},
		{EADDRINUSE, EADDRINUSE},
		{&ParseError{Errno: EPROTO}, EPROTO},
		{syscall.EACCES, Errno(syscall.EACCES)},
		{os.NewSyscallError("bind", syscall.EADDRINUSE), EADDRINUSE},
		{Errno(0), EIO}, // an error that says it is none is still one
	} {
		if got := errnoOf(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, int(got), int(c.want))
		}
	}
	if !errors.Is(EINVAL, syscall.EINVAL) || errors.Is(EINVAL, syscall.EIO) {
		t.Error("an Errno is not the system's error of its number, or is another")
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte("private_key=" + hexKey("aa") + "\nlisten_port=1\nfwmark=2\nreplace_peers=true\nrekey_after_time=3\nrekey_after_packets=4\n" +
		"public_key=" + hexKey("01") + "\npreshared_key=" + hexKey("bb") + "\nendpoint=[fe80::1%2]:3\npersistent_keepalive_interval=4\nreplace_allowed_ips=true\nallowed_ip=-10.0.0.0/8\n\n"))
	f.Add([]byte("public_key=" + hexKey("01") + "\nremove=true\nupdate_only=true\nprotocol_version=1\n\n"))
	f.Add([]byte("public_key=" + hexKey("01") + "\ncandidate=\ncandidate=[fe80::1%2]:3\ncandidate=1.2.3.4:5\n\n"))
	f.Add([]byte("listen_port=99999\n\nnext"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseSet(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			if c != nil {
				t.Fatal("a request and an error")
			}
			return
		}
		var again bytes.Buffer
		if err := WriteSet(&again, c); err != nil {
			t.Fatal(err)
		}
		written := again.String()
		back, err := ParseSet(bufio.NewReader(&again))
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, written)
		}
		if d := diff(back, c); d != "" {
			t.Fatalf("written and read again it is another: %s", d)
		}
	})
}

func FuzzReadGet(f *testing.F) {
	d, peers := sample(f)
	var text bytes.Buffer
	if err := WriteGet(&text, &d, slices.Values(peers)); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte("errno=-22\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ReadGet(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteGet(&again, d, slices.Values(d.Peers)); err != nil {
			t.Fatal(err)
		}
		back, err := ReadGet(bufio.NewReader(&again))
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(back, d); d != "" {
			t.Fatalf("written and read again it is another: %s", d)
		}
	})
}

// setText is a request for so many peers, of 20,000 the size that `wg setconf`
// sends.
func setText(peers int) []byte {
	var b bytes.Buffer
	c := Config{ReplacePeers: true}
	keepalive := uint16(25)
	for i := range peers {
		c.Peers = append(c.Peers, PeerConfig{
			PublicKey: key.Public{byte(i), byte(i >> 8), byte(i >> 16)}, ReplaceAllowedIPs: true, Keepalive: &keepalive,
			Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)}), 51820),
			AllowedIPs: []AllowedIP{
				{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)},
				{Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 15: byte(i), 14: byte(i >> 8), 13: byte(i >> 16)}), 128)},
			},
		})
	}
	if err := WriteSet(&b, &c); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func BenchmarkParseSet20000(b *testing.B) {
	text := setText(20_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if c, err := ParseSet(bufio.NewReaderSize(bytes.NewReader(text), bufferSize)); err != nil || len(c.Peers) != 20_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteGet100000(b *testing.B) {
	prefixes := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("fd00::1234/128")}
	peers := func(yield func(Peer) bool) {
		for i := range 100_000 {
			if !yield(Peer{PublicKey: key.Public{byte(i)}, Endpoint: netip.MustParseAddrPort("192.0.2.1:51820"), AllowedIPs: prefixes, LastHandshake: time.Unix(1, 2)}) {
				return
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &failing{after: math.MaxInt}
		if err := WriteGet(w, &Device{}, peers); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(math.MaxInt - w.after))
	}
}

func BenchmarkReadGet100000(b *testing.B) {
	_, sample := sample(b)
	var text bytes.Buffer
	if err := WriteGet(&text, &Device{}, func(yield func(Peer) bool) {
		for range 100_000 {
			yield(sample[1])
		}
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadGet(bufio.NewReaderSize(bytes.NewReader(text.Bytes()), bufferSize)); err != nil {
			b.Fatal(err)
		}
	}
}
