//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"vpn/cmd/internal/testnet"
)

// report gathers values. Its rows stand in the order of their first value, and
// its columns in that of the daemons, of which the last is the reference.
type report struct {
	machine machine
	command string
	daemons []testnet.Kind
	figures []figure
	values  map[figure]map[testnet.Kind][]float64
	notes   []string
}

func newReport(daemons []testnet.Kind) *report {
	return &report{machine: thisMachine(), daemons: daemons, values: map[figure]map[testnet.Kind][]float64{}}
}

// add takes a value, which must be a number above zero: everything measured is.
func (r *report) add(tb testnet.TB, kind testnet.Kind, f figure, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) || value <= 0 {
		tb.Fatalf("%s: measured %v %s, which can't be", f.Name, value, f.Unit)
	}
	if r.values[f] == nil {
		r.figures = append(r.figures, f)
		r.values[f] = map[testnet.Kind][]float64{}
	}
	r.values[f][kind] = append(r.values[f][kind], value)
}

// note adds a sentence to stand below the table, once.
func (r *report) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// median returns a daemon's middle value of a figure, 0 if it has none.
func (r *report) median(f figure, kind testnet.Kind) float64 {
	return percentile(r.values[f][kind], 50)
}

// ratio returns a daemon's median over the reference's, 0 if either is missing.
func (r *report) ratio(f figure, kind testnet.Kind) float64 {
	against := r.median(f, r.reference())
	if against == 0 {
		return 0
	}
	return r.median(f, kind) / against
}

func (r *report) reference() testnet.Kind { return r.daemons[len(r.daemons)-1] }

// compared are all daemons but the reference.
func (r *report) compared() []testnet.Kind { return r.daemons[:len(r.daemons)-1] }

// percentile returns the value below which p percent of the values lie, between
// two values by proportion; 0 if there are none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p / 100 * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// rows returns the table's cells, the head first.
func (r *report) rows() [][]string {
	head := []string{""}
	for _, kind := range r.compared() {
		head = append(head, string(kind), "ratio")
	}
	rows := [][]string{append(head, string(r.reference()), "unit", "goal", "")}
	for _, f := range r.figures {
		row := []string{f.Name}
		verdict := ""
		for i, kind := range r.compared() {
			value, ratio := r.median(f, kind), r.ratio(f, kind)
			row = append(row, short(value), short(ratio))
			if met, ok := f.met(value, ratio); ok && i == 0 {
				verdict = map[bool]string{true: "met", false: "missed"}[met]
			}
		}
		rows = append(rows, append(row, short(r.median(f, r.reference())), f.Unit, f.goalText(), verdict))
	}
	return rows
}

// printText writes the table for a terminal.
func (r *report) printText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.rows() {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t")) // Flush reports it
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(r.remarks(), "\n"))
	return err
}

// remarks are the lines below the table.
func (r *report) remarks() []string { return append([]string{r.machine.String()}, r.notes...) }

// printJSON writes everything, with each value measured.
func (r *report) printJSON(w io.Writer) error {
	type row struct {
		Name   string                     `json:"name"`
		Unit   string                     `json:"unit"`
		Goal   string                     `json:"goal,omitempty"`
		Median map[testnet.Kind]float64   `json:"median"`
		Ratio  map[testnet.Kind]float64   `json:"ratio"`
		Values map[testnet.Kind][]float64 `json:"values"`
	}
	out := struct {
		Machine machine        `json:"machine"`
		Daemons []testnet.Kind `json:"daemons"`
		Figures []row          `json:"figures"`
		Notes   []string       `json:"notes"`
	}{r.machine, r.daemons, nil, r.notes}
	for _, f := range r.figures {
		x := row{f.Name, f.Unit, f.goalText(), map[testnet.Kind]float64{}, map[testnet.Kind]float64{}, r.values[f]}
		for kind := range r.values[f] {
			x.Median[kind] = r.median(f, kind)
			if ratio := r.ratio(f, kind); ratio != 0 && kind != r.reference() {
				x.Ratio[kind] = ratio
			}
		}
		out.Figures = append(out.Figures, x)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
