package key

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
)

// holder has secrets in every place where fmt and reflection may find them.
type holder struct {
	Private   Private
	Preshared *Preshared
	List      []Preshared
	Map       map[string]Private
	Any       any
	private   Private
	preshared *Preshared
	list      [1]Preshared
}

func secrets(t *testing.T) (Private, Preshared, holder) {
	t.Helper()
	k := must(ParsePrivate(text))
	p, err := ParsePreshared(text)
	if err != nil {
		t.Fatal(err)
	}
	return k, p, holder{k, &p, []Preshared{p}, map[string]Private{"k": k}, k, k, &p, [1]Preshared{p}}
}

// hides fails if s has any three bytes of the key in a row: in base64, in hex of either case, in decimal, or raw.
func hides(t *testing.T, how, s string) {
	t.Helper()
	s = strings.ToLower(s)
	for _, leak := range []string{"0e0f10", "0x0e, 0x0f", "0xe, 0xf", "e f 10", "0e 0f 10", "14 15 16", "14, 15, 16", "14,15,16", "16 17 20", "1110 1111", "\x0e\x0f\x10", "\x0e \x0f", `\x0e\x0f`, `\u000e\u000f`, `\x0e \x0f`, "=14) ", strings.ToLower(text[16:24]), "000e"} {
		if strings.Contains(s, leak) {
			t.Errorf("%s shows %q: %q", how, leak, s)
		}
	}
}

// TestHidesWorks is the test's own: an array is not hidden.
func TestHidesWorks(t *testing.T) {
	open := counted()
	for _, verb := range []string{"%v", "%d", "%x", "%X", "%o", "%b", "%s", "%q", "%#v", "% x", "%p", "%w", "%c", "%U", "%t", "%z"} {
		probe := new(testing.T)
		if hides(probe, verb, fmt.Sprintf(verb, open)); !probe.Failed() {
			t.Errorf("%s of an array passes as hidden: %q", verb, fmt.Sprintf(verb, open))
		}
	}
}

func TestHidden(t *testing.T) {
	k, p, h := secrets(t)
	for _, v := range []any{k, &k, p, &p} {
		for verb := rune('A'); verb <= 'z'; verb++ {
			for _, flag := range []string{"", "+", "#", " ", "0", "-", "# ", "5.3"} {
				format := "%" + flag + string(verb)
				got := fmt.Sprintf(format, v)
				hides(t, fmt.Sprintf("%s of %T", format, v), got)
				if strings.ContainsRune("vsdxXqobcU", verb) && got != hidden {
					t.Errorf("%s of %T is %q, want %q", format, v, got, hidden)
				}
			}
		}
	}
	for verb := rune('A'); verb <= 'z'; verb++ {
		for _, flag := range []string{"", "+", "#"} {
			format := "%" + flag + string(verb)
			hides(t, format+" of a struct", fmt.Sprintf(format, h))
			hides(t, format+" of a pointer to a struct", fmt.Sprintf(format, &h))
		}
	}
	for _, format := range []string{"", "%!", "%*d", "%.*d", "%[9]d", "%w", "%w %w"} {
		hides(t, format, fmt.Sprintf(format, k, h))
		hides(t, format+" in Errorf", fmt.Errorf(format, k, h).Error())
	}
	hides(t, "Sprintln", fmt.Sprintln(k, &p, h))
	hides(t, "errors.Join", errors.Join(fmt.Errorf("a %v", h)).Error())
	if k.String() != hidden || k.GoString() != hidden || p.String() != hidden || p.GoString() != hidden {
		t.Error("String or GoString is not hidden")
	}
}

func TestHiddenWhenMarshalled(t *testing.T) {
	k, p, h := secrets(t)
	for _, v := range []any{k, &k, p, &p, h, &h} {
		j, err := json.Marshal(v)
		if err != nil {
			t.Errorf("JSON of %T: %v", v, err)
		}
		hides(t, "JSON", string(j))
		if x, err := xml.Marshal(v); err == nil {
			hides(t, "XML", string(x))
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(v); err == nil {
			hides(t, "gob", b.String())
		}
	}
	if j, err := json.Marshal(k); err != nil || string(j) != `"`+hidden+`"` {
		t.Errorf("JSON of a private key is %s, %v", j, err)
	}
	if err := json.Unmarshal([]byte(`"`+text+`"`), new(Private)); err == nil { //nolint:staticcheck // that it has no unmarshaling is what is tested
		t.Error("a private key can be read from JSON, where a written one is not what it was")
	}
}

func TestHiddenInLogs(t *testing.T) {
	k, p, h := secrets(t)
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		l := slog.New(handler)
		l.Info("test", "k", k, "pk", &k, "p", p, "pp", &p, "h", h, "ph", &h, slog.Group("g", "k", k), "list", []Private{k})
		l.With("k", k).WithGroup("g").Info("test", "p", p)
	}
	log.New(&b, "", 0).Printf("%v %+v %#v", k, p, h)
	hides(t, "log", b.String())
	if !strings.Contains(b.String(), "k="+hidden) || !strings.Contains(b.String(), `"k":"`+hidden+`"`) {
		t.Errorf("log does not say that a key is hidden: %s", b.String())
	}
}
