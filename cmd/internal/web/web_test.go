package web

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

var begin = time.Unix(1_800_000_000, 0) // a multiple of any step

// TestSeries holds a series against the bytes that each second had.
func TestSeries(t *testing.T) {
	for name, every := range map[string]time.Duration{"often": 700 * time.Millisecond, "seldom": 13 * time.Second, "hardly": 3 * hour / 2} {
		s := series{step: linkStep}
		now := begin.Add(1300 * time.Millisecond)
		for s.add(now, 0, 0); now.Before(begin.Add(3 * hour)); {
			now = now.Add(every)
			s.add(now, uint64(every/time.Millisecond), uint64(2*every/time.Millisecond)) // 1000 bytes a second
		}
		p := s.plot()
		if steps := int(p.Ends.Add(linkStep-tellable).Sub(p.Begin) / linkStep); len(p.Rx) != steps || steps < int(hour/linkStep)-1 || !p.Ends.Equal(now) {
			t.Errorf("%s: %d steps from %v until %v", name, len(p.Rx), p.Begin, p.Ends)
		}
		for n := range p.Rx {
			if math.Abs(float64(p.Rx[n])-1000) > 5 || math.Abs(float64(p.Tx[n])-2000) > 10 {
				t.Fatalf("%s: step %d has %v and %v bytes a second", name, n, p.Rx[n], p.Tx[n])
			}
		}
	}
}

// TestSeriesBegins has what a plot shows of its first minutes, of a silence, and of a clock that goes back.
func TestSeriesBegins(t *testing.T) {
	s := series{step: linkStep}
	if s.plot() != nil {
		t.Error("there is a plot of nothing")
	}
	s.add(begin.Add(4*time.Second), 0, 0)
	s.add(begin.Add(6*time.Second), 2000, 0)
	s.add(begin.Add(26*time.Second), 0, 0)
	want := []float32{1000, 200, 0, 0, 0, 0} // of the first step only a second was seen, and of the last
	if got := s.plot().Rx; !equal(got, want) {
		t.Errorf("it begins with %v, want %v", got, want)
	}
	s.add(begin, 500, 500)
	if p := s.plot(); len(p.Rx) != 0 || !p.From.Equal(begin) {
		t.Errorf("a clock that went back leaves %v since %v", p.Rx, p.From)
	}
}

func equal(a, b []float32) bool {
	for n := range a {
		if len(a) != len(b) || math.Abs(float64(a[n]-b[n])) > 0.01 {
			return false
		}
	}
	return len(a) == len(b)
}

// TestChainIsBounded has more sessions than are remembered: the last of them are, with why they ended.
func TestChainIsBounded(t *testing.T) {
	var c chain
	peer := key.Public{1}
	const more = maxSessions + 1000
	at := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Millisecond) }
	name := func(n int) string { return time.Duration(n).String() }
	for n := range more {
		e := report.Event{Kind: "session_started", Time: at(n), Peer: peer, Session: name(n), Role: "responder"}
		c.happened(&e)
		c.happened(&e)
		if n > 0 {
			c.happened(&report.Event{Kind: "session_ended", Time: at(n), Peer: peer, Session: name(n - 1), Why: "replaced", SentMessages: 7})
		}
	}
	if len(c.all) != maxSessions || len(c.at) != maxSessions {
		t.Fatalf("%d sessions are kept, and known by %d names", len(c.all), len(c.at))
	}
	got := c.of(peer, begin)
	if len(got) != maxSessions {
		t.Fatalf("%d sessions are told", len(got))
	}
	for n, s := range got {
		want := Session{Name: name(n + 1000), Role: "responder", Born: at(n + 1000), peer: peer}
		if n < maxSessions-1 {
			want.Ended, want.Why, want.Sent = at(n+1001), "replaced", 7
		}
		if s != want {
			t.Fatalf("session %d is %+v, want %+v", n, s, want)
		}
	}
	if c.of(key.Public{2}, begin) == nil || len(c.of(key.Public{2}, begin)) != 0 {
		t.Error("another peer has sessions of this one")
	}
	c.lost(at(more))
	if last := c.find(peer, name(more-1)); last.Why != "engine_ended" || !last.Ended.Equal(at(more)) {
		t.Errorf("when the engine has gone its session is %+v", last)
	}
}

// TestForeignHandshakes are all that an interface tells which is not ours.
func TestForeignHandshakes(t *testing.T) {
	var c chain
	peer := key.Public{1}
	c.shook(peer, begin)
	c.shook(peer, begin.Add(2*time.Minute))
	c.shook(peer, begin.Add(time.Hour))
	var lives []time.Duration
	for _, s := range c.of(peer, begin) {
		lives = append(lives, s.Ended.Sub(s.Born))
	}
	if len(lives) != 3 || lives[0] != 2*time.Minute || lives[1] != foreignLife || lives[2] != foreignLife {
		t.Errorf("they lived for %v", lives)
	}
}

// TestGuard asks as browsers do for other sites, as those that guess do, and as the page does.
func TestGuard(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Watch: NewWatch([]string{"none0"}), Token: NewToken(), Hosts: []string{"Gateway.Example"}}
	s := NewServer(c, slog.New(slog.DiscardHandler))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	own := l.Addr().String()
	_, port, _ := net.SplitHostPort(own)
	token := "Bearer " + c.Token
	view, page := "/v1/view", "/"
	for name, test := range map[string]struct {
		path, host, authorization string
		header                    map[string]string
		method                    string
		status                    int
	}{
		"the page":                         {path: page, status: 200},
		"its script":                       {path: "/page.js", status: 200},
		"what is none of its files":        {path: "/server.go", status: 404},
		"a view":                           {path: view, authorization: token, status: 200},
		"a view as the page asks":          {path: view, authorization: token, header: map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://" + own}, status: 200},
		"a view by localhost":              {path: view, host: "localhost:" + port, authorization: token, status: 200},
		"a view by IPv6":                   {path: view, host: "[::1]:" + port, authorization: token, status: 200},
		"a view by a known name":           {path: view, host: "gateway.example.:" + port, authorization: token, status: 200},
		"no token":                         {path: view, status: 401},
		"a bare token":                     {path: view, authorization: c.Token, status: 401},
		"a token that is too short":        {path: view, authorization: token[:len(token)-1], status: 401},
		"a token that is too long":         {path: view, authorization: token + "A", status: 401},
		"a token in the query":             {path: view + "?token=" + c.Token, status: 401},
		"a name that leads here":           {path: view, host: "evil.example:" + port, authorization: token, status: 421},
		"a name that leads here, the page": {path: page, host: "evil.example:" + port, status: 421},
		"a name like localhost":            {path: page, host: "localhost.evil.example", status: 421},
		"a name like an address":           {path: page, host: "127.0.0.1.evil.example:" + port, status: 421},
		"another site":                     {path: view, authorization: token, header: map[string]string{"Sec-Fetch-Site": "cross-site"}, status: 403},
		"another port of this host":        {path: view, authorization: token, header: map[string]string{"Sec-Fetch-Site": "same-site"}, status: 403},
		"another site's script element":    {path: "/page.js", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, status: 403},
		"another origin":                   {path: view, authorization: token, header: map[string]string{"Origin": "http://localhost:1"}, status: 403},
		"an opaque origin":                 {path: view, authorization: token, header: map[string]string{"Origin": "null"}, status: 403},
		"a preflight":                      {path: view, method: http.MethodOptions, header: map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Headers": "authorization"}, status: 403},
		"a change":                         {path: view, method: http.MethodPost, authorization: token, status: 405},
		"a parameter that is none":         {path: view + "?peers=all", authorization: token, status: 400},
		"too many rows":                    {path: view + "?count=100000", authorization: token, status: 400},
		"an order that is none":            {path: view + "?sort=x", authorization: token, status: 400},
		"a key that is none":               {path: view + "?peer=x", authorization: token, status: 400},
	} {
		if test.method == "" {
			test.method = http.MethodGet
		}
		r, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+own+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = test.host
		for name, value := range test.header {
			r.Header.Set(name, value)
		}
		if test.authorization != "" {
			r.Header.Set("Authorization", test.authorization)
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if a.StatusCode != test.status {
			t.Errorf("%s: %s, want %d: %s", name, a.Status, test.status, text)
		}
		got := make(map[string]string)
		for name := range headers {
			got[name] = a.Header.Get(name)
		}
		if a.StatusCode == http.StatusNotFound {
			got["Cache-Control"] = headers["Cache-Control"] // the file server takes it away, for there is nothing to keep
		}
		if !maps.Equal(got, headers) || a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the headers are %v", name, a.Header)
		}
		if strings.Contains(string(text), c.Token) {
			t.Errorf("%s: the token is told: %s", name, text)
		}
		if a.StatusCode == http.StatusOK && strings.HasPrefix(test.path, view) {
			var v View
			if err := json.Unmarshal(text, &v); err != nil {
				t.Errorf("%s: %v: %s", name, err, text)
			}
		}
	}
}
