//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		values  []float64
		p, want float64
	}{
		{nil, 50, 0},
		{[]float64{3}, 50, 3},
		{[]float64{3}, 99, 3},
		{[]float64{9, 1, 5}, 50, 5},
		{[]float64{4, 1, 2, 9}, 50, 3},
		{[]float64{0, 100}, 99, 99},
		{[]float64{2, 1}, 100, 2},
	} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", test.values, test.p, got, test.want)
		}
	}
}

func TestGoals(t *testing.T) {
	for _, test := range []struct {
		f            figure
		value, ratio float64
		met, ok      bool
		text         string
	}{
		{tcpOne, 9, 2.5, true, true, "≥ 2.5 ×"},
		{tcpOne, 9, 2.4, false, true, "≥ 2.5 ×"},
		{tcpOne, 9, 0, false, false, "≥ 2.5 ×"},
		{tcpCPU, 9, 0.3, true, true, "≤ 0.4 ×"},
		{tcpCPU, 9, 0.5, false, true, "≤ 0.4 ×"},
		{memoryBusy, 24, 5, true, true, "≤ 25 MB"},
		{memoryBusy, 26, 0, false, true, "≤ 25 MB"},
		{peersMemory(1_000_000), 900, 0, true, true, "≤ 1,200 MB"},
		{tcpFour, 9, 9, false, false, ""},
	} {
		met, ok := test.f.met(test.value, test.ratio)
		if met != test.met || ok != test.ok || test.f.goalText() != test.text {
			t.Errorf("%s, %v, %v: %v %v %q", test.f.Name, test.value, test.ratio, met, ok, test.f.goalText())
		}
	}
	if got := tcpCPU.gain(0.25); got != 4 {
		t.Errorf("a quarter of the time is %v times better", got)
	}
}

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{
		0: "–", 0.01234: "0.0123", 1: "1", 2.349: "2.35", 99.96: "100", 123.4: "123", 999.9: "1000", 1000: "1,000", 1234567: "1,234,567",
	} {
		if got := short(x); got != want {
			t.Errorf("short(%v) = %q, want %q", x, got, want)
		}
	}
}

// sample is a report with a figure of each sort.
func sample(t *testing.T) *report {
	t.Helper()
	r := newReport([]testnet.Kind{"vpn", "<other>", "reference"})
	r.command = "scripts/bench --readme"
	r.machine.Versions["vpn"] = "1.2"
	add := func(kind testnet.Kind, f figure, values ...float64) {
		for _, value := range values {
			r.add(t, kind, f, value)
		}
	}
	add("vpn", tcpOne, 6, 5, 7)
	add("<other>", tcpOne, 1)
	add("reference", tcpOne, 2)
	add("vpn", tcpCPU, 3)
	add("reference", tcpCPU, 6)
	add("vpn", peersTime(1_000_000), 20)
	r.note("A & B.")
	r.note("A & B.")
	return r
}

func TestText(t *testing.T) {
	var text bytes.Buffer
	if err := sample(t).printText(&text); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(text.String()) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		"vpn ratio <other> ratio reference unit goal",
		"TCP, one stream 6 3 1 0.5 2 Gbit/s ≥ 2.5 × met",
		"CPU time per GB 3 0.5 – – 6 s ≤ 0.4 × missed",
		"1,000,000 peers, time to set 20 – – – – s",
	} {
		if rows[i] != want {
			t.Errorf("row %d is %q, want %q", i, rows[i], want)
		}
	}
	if strings.Count(text.String(), "A & B.") != 1 {
		t.Errorf("the note stands not once:\n%s", &text)
	}
}

func TestJSON(t *testing.T) {
	var text bytes.Buffer
	if err := sample(t).printJSON(&text); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Figures []struct {
			Name   string
			Median map[string]float64
			Ratio  map[string]float64
			Values map[string][]float64
		}
	}
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	first := back.Figures[0]
	if first.Median["vpn"] != 6 || first.Ratio["vpn"] != 3 || len(first.Values["vpn"]) != 3 || len(back.Figures[2].Ratio) != 0 {
		t.Errorf("%+v", back)
	}
}

func TestNoValueThatCannotBe(t *testing.T) {
	for _, value := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		err := attempt(func(tb testnet.TB) { newReport([]testnet.Kind{"vpn"}).add(tb, "vpn", tcpOne, value) })
		if err == nil {
			t.Errorf("%v is taken", value)
		}
	}
}

func TestPicture(t *testing.T) {
	picture := sample(t).svg()
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	bars, texts := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, picture)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if element.Name.Local == "text" {
			texts++
		}
		for _, a := range element.Attr {
			if a.Name.Local == "class" && element.Name.Local == "rect" && a.Value != "back" {
				bars++
			}
			if strings.Contains(a.Name.Local, "href") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
	if bars != 2 || texts < 4 {
		t.Errorf("%d bars for two rows with a ratio, %d texts", bars, texts)
	}
	for _, wrong := range []string{"url(", "@import", "<script"} {
		if bytes.Contains(picture, []byte(wrong)) {
			t.Errorf("the picture has %s", wrong)
		}
	}
	if !bytes.Contains(picture, []byte("prefers-color-scheme: dark")) {
		t.Error("the picture has no colours for the dark")
	}
	newReport([]testnet.Kind{"vpn"}).svg() // with nothing to draw
}

func TestReadme(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"nothing", readmeBegin, readmeEnd + readmeBegin} {
		write(text)
		if err := checkReadme(file); err == nil {
			t.Errorf("%q has a place for the table", text)
		}
	}
	write("before\n" + readmeBegin + "old\n" + readmeEnd + "after\n")
	r := sample(t)
	for range 2 { // the second replaces the first
		if err := r.writeReadme(file, "scripts/bench.svg"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + readmeBegin + r.markdown("scripts/bench.svg") + readmeEnd + "after\n"; string(got) != want {
		t.Errorf("README:\n%s", got)
	}
	for _, want := range []string{"](scripts/bench.svg)", "\n| TCP, one stream | 6 | 3 | 1 | 0.5 | 2 | Gbit/s |", "`scripts/bench --readme`", "vpn 1.2"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("README has no %q:\n%s", want, got)
		}
	}
	var widths []int
	for line := range strings.Lines(string(got)) {
		if strings.HasPrefix(line, "|") {
			widths = append(widths, strings.Count(line, "|"))
		}
	}
	for _, width := range widths {
		if width != widths[0] {
			t.Errorf("the table's rows have %v separators", widths)
			break
		}
	}
}
