package cli

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

func TestExpiry(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)
	for text, want := range map[string]string{
		"30d":                       "2030-01-31T12:00:00Z",
		"2w":                        "2030-01-15T12:00:00Z",
		"1h30m":                     "2030-01-01T13:30:00Z",
		"2030-12-31":                "2030-12-31T00:00:00Z",
		"2030-12-31T18:00:00+02:00": "2030-12-31T16:00:00Z",
		"2030-01-01":                `--expires "2030-01-01" is over already`,
		"0s":                        `--expires "0s" is over already`,
		"-1d":                       `--expires "-1d" is neither a time nor how long from now`,
		"99999999999999999d":        `--expires "99999999999999999d" is neither a time nor how long from now`,
		"d":                         `--expires "d" is neither a time nor how long from now`,
		"":                          `--expires "" is neither a time nor how long from now`,
	} {
		at, err := expiry(text, now)
		got := at.Format(time.RFC3339)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestEndpointOf(t *testing.T) {
	for text, want := range map[string]string{
		"vpn.example.com": "vpn.example.com:7", "vpn.example.com:8": "vpn.example.com:8", "192.0.2.1": "192.0.2.1:7",
		"2001:db8::1": "[2001:db8::1]:7", "[2001:db8::1]": "[2001:db8::1]:7", "[2001:db8::1]:8": "[2001:db8::1]:8",
		"a:0": "", "a:b:c": "", ":8": "", "https://a": "",
	} {
		e, err := endpointOf(text, 7)
		if (err == nil) != (want != "") || err == nil && e.String() != want {
			t.Errorf("%q: got %v, %v", text, e, err)
		}
	}
}

// What is drawn in characters is the code, module for module, as its picture is.
func TestDrawCode(t *testing.T) {
	code, err := qr.Encode("[Interface]\nPrivateKey = x\n", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(code.PNG()))
	if err != nil {
		t.Fatal(err)
	}
	var plain, coloured bytes.Buffer
	drawCode(&plain, code, false)
	drawCode(&coloured, code, true)
	lines := strings.Split(strings.TrimSuffix(plain.String(), "\n"), "\n")
	if want := (code.Size + 8 + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for y := range code.Size + 8 {
		for x, r := range []rune(lines[y/2]) {
			drawn := r == '█' || y%2 == 0 && r == '▀' || y%2 == 1 && r == '▄'
			gray, _, _, _ := picture.At(x*code.Scale, y*code.Scale).RGBA()
			if drawn != (gray != 0) {
				t.Fatalf("column %d, row %d: drawn light: %v", x, y, drawn)
			}
		}
	}
	without := strings.NewReplacer("\x1b[38;5;231;48;5;16m", "", "\x1b[0m", "").Replace(coloured.String())
	if without != plain.String() || strings.Count(coloured.String(), "\x1b[0m\n") != len(lines) {
		t.Error("with colours it is another")
	}
}
