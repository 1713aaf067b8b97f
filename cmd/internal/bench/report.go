//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"

	"vpn/cmd/internal/testnet"
)

// figure is one thing that is measured.
type figure struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	Goal string `json:"goal"` // against the reference, or absolute where it has a unit
}

// The figures, with the project's goals.
var (
	tcpRate     = figure{"TCP, one stream", "Gbit/s", "ratio >= 2.5"}
	tcpCPU      = figure{"CPU per GB, both daemons", "s", "ratio <= 0.4"}
	tcpMemory   = figure{"resident under load, larger of both", "MB", "<= 25 MB"}
	rttLoaded   = figure{"RTT beside the stream", "ms", "ratio <= 0.15"}
	rttIdle     = figure{"RTT, idle", "ms", "ratio <= 0.8"}
	peersTime   = figure{"idle peers, time to set", "s", "< 1 s for 20,000"}
	peersMemory = figure{"idle peers, resident after", "MB", ""}
	peerMemory  = figure{"idle peers, resident for each", "kB", "<= 1 kB"}
	peersPeak   = figure{"idle peers, peak", "MB", ""}
)

// report gathers values; its figures stand in the order of their first value.
type report struct {
	daemons []testnet.Kind
	figures []figure
	values  map[figure]map[testnet.Kind][]float64
}

func newReport(daemons []testnet.Kind) *report {
	return &report{daemons: daemons, values: map[figure]map[testnet.Kind][]float64{}}
}

func (r *report) add(kind testnet.Kind, f figure, value float64) {
	if r.values[f] == nil {
		r.figures = append(r.figures, f)
		r.values[f] = map[testnet.Kind][]float64{}
	}
	r.values[f][kind] = append(r.values[f][kind], value)
}

// median returns the middle value, the mean of the two in the middle, or 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return r.printJSON(w)
	}
	reference := r.daemons[len(r.daemons)-1]
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "median of each\t")
	for i, kind := range r.daemons {
		fmt.Fprintf(t, "%s\t", kind)
		if i < len(r.daemons)-1 {
			fmt.Fprint(t, "ratio\t")
		}
	}
	fmt.Fprintln(t, "unit\tgoal")
	for _, f := range r.figures {
		fmt.Fprintf(t, "%s\t", f.Name)
		against := median(r.values[f][reference])
		for i, kind := range r.daemons {
			middle := median(r.values[f][kind])
			fmt.Fprintf(t, "%s\t", strconv.FormatFloat(middle, 'g', 3, 64))
			if i < len(r.daemons)-1 {
				fmt.Fprintf(t, "%.2f\t", middle/against)
			}
		}
		fmt.Fprintf(t, "%s\t%s\n", f.Unit, f.Goal)
	}
	return t.Flush()
}

func (r *report) printJSON(w io.Writer) error {
	type row struct {
		figure
		Median map[testnet.Kind]float64   `json:"median"`
		Values map[testnet.Kind][]float64 `json:"values"`
	}
	out := struct {
		Go         string         `json:"go"`
		Processors int            `json:"processors"`
		Daemons    []testnet.Kind `json:"daemons"`
		Figures    []row          `json:"figures"`
	}{Go: runtime.Version(), Processors: runtime.NumCPU(), Daemons: r.daemons}
	for _, f := range r.figures {
		middle := map[testnet.Kind]float64{}
		for kind, values := range r.values[f] {
			middle[kind] = median(values)
		}
		out.Figures = append(out.Figures, row{f, middle, r.values[f]})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
