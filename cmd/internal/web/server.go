package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

const (
	pathView = "/v1/view"

	headerPatience = 10 * time.Second
	answerPatience = 30 * time.Second
	idlePatience   = time.Minute
	maxHeader      = 16 << 10
	maxViews       = 8 // at once: each sorts all peers
)

// Config is what a Server is made of.
type Config struct {
	Watch *Watch
	Token string   // none: views are for everybody who reaches the listener
	Hosts []string // names, besides localhost, under which browsers may know this server
}

// NewToken makes a token of 130 random bits.
func NewToken() string { return rand.Text() }

// NewServer makes the server of the page. The caller closes it.
func NewServer(c Config, log *slog.Logger) *http.Server {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is in the binary
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET "+pathView, c.view())
	return &http.Server{
		Handler:           c.guard(mux),
		ReadHeaderTimeout: headerPatience,
		ReadTimeout:       headerPatience,
		WriteTimeout:      answerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// policy is what the page may do: load its own files, and ask its own server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Embedder-Policy": "require-corp",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), clipboard-read=()",
	"Cache-Control":                "no-store",
}

var (
	errHost   = errors.New("this server is not known by that name: see vpn web --help")
	errOrigin = errors.New("another site asks: open the page's own address")
)

// guard keeps out other sites, whatever the user's browser has been made to ask by them.
func (c *Config) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		switch {
		case !c.knows(r.Host):
			http.Error(w, errHost.Error(), http.StatusMisdirectedRequest)
		case foreign(r):
			http.Error(w, errOrigin.Error(), http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knows says whether a browser may mean this server by a Host header. An address can't be made to lead elsewhere, as a name can by whoever
// answers for it in the DNS.
func (c *Config) knows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || name == "localhost" {
		return true
	}
	for _, known := range c.Hosts {
		if strings.EqualFold(name, strings.TrimSuffix(known, ".")) {
			return true
		}
	}
	return false
}

// foreign says whether a browser asks for another site's page. Browsers say so by themselves; other programs send neither header.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	return origin != "" && origin != "http://"+r.Host
}

// allowed says whether a request has the token. It takes as long for one that is nearly right as for any other.
func (c *Config) allowed(r *http.Request) bool {
	if c.Token == "" {
		return true
	}
	want, got := sha256.Sum256([]byte("Bearer "+c.Token)), sha256.Sum256([]byte(r.Header.Get("Authorization")))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// view answers what the page asks.
func (c *Config) view() http.HandlerFunc {
	places := make(chan struct{}, maxViews)
	return func(w http.ResponseWriter, r *http.Request) {
		if !c.allowed(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing, or another", http.StatusUnauthorized)
			return
		}
		q, err := parseQuestion(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.Watch.view(r.Context(), q)) // to a page that may have left
	}
}
