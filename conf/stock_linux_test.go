package conf_test

import (
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secretText = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	pskText    = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
	oneText    = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	twoText    = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
)

// recorder is an interface that notes what `wg setconf` makes of a file.
type recorder struct {
	mu   sync.Mutex
	text string // the last request, as we write it
}

func (r *recorder) Set(c *uapi.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = requestText(c)
	return nil
}

func (r *recorder) Get() (uapi.Device, iter.Seq[uapi.Peer]) {
	return uapi.Device{}, func(func(uapi.Peer) bool) {}
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.text
	r.text = ""
	return text
}

func requestText(c *uapi.Config) string {
	var b strings.Builder
	if err := uapi.WriteSet(&b, c); err != nil {
		panic(err)
	}
	return b.String()
}

// setconf is the request that a file stands for, as `wg setconf` makes it: what
// the interface section doesn't give is reset.
func setconf(c *conf.Config) *uapi.Config {
	var port uint16
	var mark uint32
	var private key.Private
	request := &uapi.Config{PrivateKey: &private, ListenPort: &port, FwMark: &mark, ReplacePeers: true}
	if s := c.Interface.PrivateKey; s.Given {
		private = s.Value
	}
	port, mark = c.Interface.ListenPort.Value, c.Interface.FwMark.Value
	for _, p := range c.Peers {
		peer := uapi.PeerConfig{PublicKey: p.PublicKey.Value, ReplaceAllowedIPs: !p.Incremental}
		if p.Preshared.Given {
			peer.Preshared = &p.Preshared.Value
		}
		if p.Keepalive.Given {
			peer.Keepalive = &p.Keepalive.Value
		}
		if p.Endpoint.Given {
			peer.Endpoint, _ = p.Endpoint.Value.Addr()
			if p.Endpoint.Value.Host == "localhost" {
				peer.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.Endpoint.Value.Port)
			}
		}
		for _, a := range p.AllowedIPs {
			peer.AllowedIPs = append(peer.AllowedIPs, uapi.AllowedIP{Prefix: a.Prefix, Remove: a.Remove})
		}
		request.Peers = append(request.Peers, peer)
	}
	return request
}

// stock runs wg-quick and wg on files.
type stock struct {
	name string
	dir  string
	recorder
}

func newStock(t *testing.T) *stock {
	t.Helper()
	s := &stock{name: fmt.Sprintf("conf%d", os.Getpid()), dir: t.TempDir()}
	l, err := uapi.Listen(s.name)
	if err != nil {
		t.Fatal(err)
	}
	server := uapi.NewServer(&s.recorder, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stock) file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, s.name+".conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quick is what wg-quick leaves of a file for wg, and whether it takes it.
func (s *stock) quick(t *testing.T, text string) (string, bool) {
	t.Helper()
	out, err := exec.Command("wg-quick", "strip", s.file(t, text)).Output()
	return string(out), err == nil
}

// setconf is the request that wg makes of a file, if it takes it.
func (s *stock) setconf(t *testing.T, text string) (request string, ok bool) {
	t.Helper()
	c := exec.Command("wg", "setconf", s.name, s.file(t, text))
	c.Env = append(os.Environ(), "WG_ENDPOINT_RESOLUTION_RETRIES=0")
	err := c.Run()
	return s.take(), err == nil
}

var (
	one = "[Peer]\nPublicKey = " + oneText + "\n"
	two = "[Peer]\nPublicKey = " + twoText + "\n"
)

// agreed are files on which we agree with wg and wg-quick: on whether they are
// right, and on all that they say.
var agreed = []string{
	"",
	"# nothing\n\n",
	"[Interface]\nPrivateKey = " + secretText + "\nListenPort = 51820\nFwMark = 0xca6c\n" + one + two,
	"[Interface]\nListenPort = 0\nFwMark = off\nMTU = 1400\nTable = off\nSaveConfig = true\nPostUp = echo # x\nDNS = 1.1.1.1\nAddress = 10.0.0.1/24\n" + one,
	"[interface]\nprivatekey=" + secretText + "\nLISTENPORT=0007\nfwmark = 007\n[PEER]\npublickey = " + oneText + "\nALLOWEDIPS=0.0.0.0/0",
	"[ Interface ]\nListen Port = 1 2\nFwMark = 0x F\n[ Peer ]\nPublic Key=" + oneText[:20] + " " + oneText[20:],
	"[Interface] # a comment\nListenPort = 1 # another\n" + one + "AllowedIPs = 10.0.0.0/8#, 11.0.0.0/8\n",
	"[Interface]\r\nListenPort = 1\r\n\r\n" + strings.ReplaceAll(one, "\n", "\r\n"),
	"[Interface]\n\t ListenPort\t=\v1\f\n",
	"[Interface]\nListenPort = 1\nListenPort = 2\n[Interface]\nFwMark = 3\n" + one + "[Interface]\nListenPort = 4\n",
	"[Interface]\nListenPort = domain\n",
	"[Interface]\nListenPort = no-such-service\n",
	"[Interface]\nListenPort = -1\n",
	"[Interface]\nListenPort = 1x\n",
	"[Interface]\nListenPort =\n",
	"[Interface]\nFwMark = 0x\n",
	"[Interface]\nFwMark = 0X10\n",
	"[Interface]\nFwMark = 0xFfFfFfFf\n",
	"[Interface]\nFwMark = 0x100000000\n",
	"[Interface]\nFwMark = 4294967296\n",
	"[Interface]\nFwMark = on\n",
	"[Interface]\nFwMark = OFF\n",
	"[Interface]\nFwMark = +1\n",
	"[Interface]\nFwMark =\n",
	"[Interface]\nPrivateKey = " + secretText[:43] + "\n",
	"[Interface]\nPrivateKey = " + secretText[:42] + "l=\n",
	"[Interface]\nPrivateKey = " + secretText + "=\n",
	"[Interface]\nPrivateKey = " + strings.Repeat("A", 43) + "=\n",
	"[Interface]\nPrivateKey = x" + secretText[1:20] + "-" + secretText[21:] + "\n",
	"[Interface]\nPublicKey = " + oneText + "\n",
	"[Interface]\nUnknown = 1\n",
	"[Interface]\njust words\n",
	"[Interface]\nSaveConfig = yes\n",
	"[Interface]\nSaveConfig =\n",
	"[Interface]\nSaveConfig = TRUE\n",
	"[Interface]\nAddress =\nDNS =\nMTU =\nTable =\nPostUp =\n",
	"[Interface]\nPost Up = true\n",
	"[Interface\n",
	"[Interface]]\n",
	"[Interfaces]\n",
	"ListenPort = 1\n",
	"Address = 10.0.0.1\n",
	"[Peer]\n",
	"[Peer]\nEndpoint = 1.2.3.4:5\n",
	"[Peer]\nPublicKey = " + strings.Repeat("A", 43) + "=\n",
	one + "Address = 10.0.0.1\n",
	one + "PostUp = true\n",
	one + "PresharedKey = " + pskText + "\nPersistentKeepalive = 25\nEndpoint = 192.0.2.1:51820\nAllowedIPs = 10.0.0.1/24, fd00::1/64, 1.2.3.4, ::1\n",
	one + "PersistentKeepalive = OFF\n",
	one + "PersistentKeepalive = 0065535\n",
	one + "PersistentKeepalive = 65536\n",
	one + "PersistentKeepalive = -1\n",
	one + "PersistentKeepalive =\n",
	one + "Endpoint = [2001:db8::1]:51820\n",
	one + "Endpoint = 2001:db8::1:51820\n",
	one + "Endpoint = [192.0.2.1]:51820\n",
	one + "Endpoint = localhost : domain\n",
	one + "Endpoint = [fe80::1%lo]:1\n",
	one + "Endpoint = 192.0.2.1\n",
	one + "Endpoint = 192.0.2.1:\n",
	one + "Endpoint = [::1]\n",
	one + "Endpoint = [::1]1\n",
	one + "Endpoint = [::1:1\n",
	one + "Endpoint = :1\n",
	one + "Endpoint = 192.0.2.1:0\n",
	one + "Endpoint =\n",
	one + "AllowedIPs = 10.0.0.0/33\n",
	one + "AllowedIPs = ::/129\n",
	one + "AllowedIPs = 10.0.0.0/08\n",
	one + "AllowedIPs = 10.0.0.0/\n",
	one + "AllowedIPs = 10.0.0.0/+8\n",
	one + "AllowedIPs = 10.0.0.0/8,\n",
	one + "AllowedIPs = ,10.0.0.0/8\n",
	one + "AllowedIPs = 10.0.0.0/8,,11.0.0.0/8\n",
	one + "AllowedIPs = 10.0.0.0/8 11.0.0.0/8\n",
	one + "AllowedIPs = 10.0.0.0 / 8 , 11.0.0.0/8\n",
	one + "AllowedIPs = 10.0.0\n",
	one + "AllowedIPs = 010.0.0.0/8\n",
	one + "AllowedIPs = ::ffff:1.2.3.4/120\n",
	one + "AllowedIPs = 1.2.3.4.5\n",
	one + "AllowedIPs = 10.0.0.0/255.0.0.0\n",
	one + "AllowedIPs = fe80::1%lo/64\n",
	one + "AllowedIPs = example.com\n",
	one + "AllowedIPs =\n",
	one + "AllowedIPs = # nothing\n",
	one + "AllowedIPs = 10.0.0.0/8\nAllowedIPs = 11.0.0.0/8\n",
	one + "AllowedIPs = 10.0.0.0/8\n" + two + "AllowedIPs = 10.0.0.0/8\n" + one + "AllowedIPs = 12.0.0.0/8\n",
	one + "PublicKey = " + twoText + "\n",
	one + "Unknown = 1\n",
	one + "#vpn: Name = laptop\n# friendly_name = x\n",
}

// A file that works with wg-quick works here, with the same outcome; one that
// doesn't is refused here too.
func TestStockAgrees(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("needs root: wg is asked over a socket of its own directory")
		return
	}
	for _, program := range []string{"wg", "wg-quick"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s is not installed: there is nothing to compare with", program)
			return
		}
	}
	s := newStock(t)
	for _, text := range agreed {
		request, ok := s.setconf(t, text)
		s.compare(t, "wg setconf", text, conf.WG, request, ok)
		stripped, ok := s.quick(t, text)
		if ok {
			request, ok = s.setconf(t, stripped)
		}
		s.compare(t, "wg-quick", text, conf.WGQuick, request, ok)
	}
}

func (s *stock) compare(t *testing.T, who, text string, d conf.Dialect, request string, taken bool) {
	t.Helper()
	c, _, err := conf.Parse("file", []byte(text), d)
	switch {
	case taken && err != nil:
		t.Errorf("%q: %s takes it, we say %v", text, who, err)
	case !taken && err == nil:
		t.Errorf("%q: %s refuses it, we take it", text, who)
	case taken:
		if d := cmp.Diff(request, requestText(setconf(c))); d != "" {
			t.Errorf("%q: %s makes another thing of it: %s", text, who, d)
		}
	}
}
