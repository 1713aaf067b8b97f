//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
}

func TestAttemptCleansUp(t *testing.T) {
	var order []string
	err := attempt(func(tb testnet.TB) {
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { order = append(order, "second"); tb.Fatalf("in the cleanup") })
		tb.Fatalf("in the middle")
	})
	if err == nil || !strings.Contains(err.Error(), "in the middle") || !strings.Contains(err.Error(), "in the cleanup") {
		t.Errorf("err = %v, want both failures", err)
	}
	if got := strings.Join(order, " "); got != "second first" {
		t.Errorf("cleanups ran as %q", got)
	}
}

func TestParse(t *testing.T) {
	s, err := parse([]string{"--quick", "--daemons", "wireguard-go", "--peer", "mine=/bin/mine -f %i", "--only", "tcp"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.daemons) != 2 || s.daemons[0] != "mine" || s.daemons[1] != testnet.WireGuardGo || s.rounds != 1 {
		t.Errorf("parse = %+v", s)
	}
	for _, args := range [][]string{{"--only", "nothing"}, {"--peer", "mine"}, {"--peer", "mine=x"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("parse(%q) succeeds", args)
		}
	}
}

func TestPrint(t *testing.T) {
	r := newReport([]testnet.Kind{"vpn", "reference"})
	r.add("vpn", tcpRate, 6)
	r.add("reference", tcpRate, 2)
	var text bytes.Buffer
	if err := r.print(&text, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "3.00") {
		t.Errorf("the ratio is not 3.00:\n%s", &text)
	}
	text.Reset()
	if err := r.print(&text, true); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Figures []struct {
			Name   string
			Median map[string]float64
		}
	}
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || len(back.Figures) != 1 || back.Figures[0].Median["vpn"] != 6 {
		t.Errorf("JSON: %v\n%s", err, &text)
	}
}

// TestReference runs every measurement once, briefly, with the reference alone.
func TestReference(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("needs root, for network namespaces: not run")
		return
	}
	s, err := parse([]string{"--daemons", "wireguard-go", "--rounds", "1", "--time", "200ms", "--peers", "100", "--settle", "0s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.run()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []figure{tcpRate, tcpMemory, rttIdle, rttLoaded, peersTime, peersMemory} {
		if got := r.values[f][testnet.WireGuardGo]; len(got) != 1 || got[0] <= 0 {
			t.Errorf("%s: %v, want one value above zero", f.Name, got)
		}
	}
}
