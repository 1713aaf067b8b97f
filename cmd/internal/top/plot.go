package top

import "strings"

var (
	upward    = []rune(" ▁▂▃▄▅▆▇█")
	rightward = []rune(" ▏▎▍▌▋▊▉█")
	upwardRaw = []rune(" .:-=+*#%") // the same in ASCII, by weight
)

// plot draws the newest rates as columns, the last at the right, on so many lines, the highest first; top is the rate that fills a column.
// What is not zero is seen.
func (l Look) plot(rates []float32, top float32, columns, lines int) []string {
	levels := upward
	if !l.Unicode {
		levels = upwardRaw
	}
	rates = rates[max(len(rates)-columns, 0):]
	steps := len(levels) - 1
	drawn := make([]string, lines)
	for n := range drawn {
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", columns-len(rates)))
		floor := (lines - 1 - n) * steps
		for _, rate := range rates {
			height := 0
			if top > 0 && rate > 0 {
				height = max(int(rate/top*float32(lines*steps)+0.5), 1)
			}
			b.WriteRune(levels[min(max(height-floor, 0), steps)])
		}
		drawn[n] = b.String()
	}
	return drawn
}

// bar draws what is left of a session, from 1 to 0, and then the rest of its room.
func (l Look) bar(left float64, columns int) (full, rest string) {
	if !l.Unicode {
		n := int(left*float64(columns) + 0.5)
		return strings.Repeat("#", n), strings.Repeat(".", columns-n)
	}
	steps := len(rightward) - 1
	n := int(left*float64(columns*steps) + 0.5)
	full = strings.Repeat("█", n/steps)
	used := n / steps
	if n%steps != 0 {
		full += string(rightward[n%steps])
		used++
	}
	return full, strings.Repeat("░", columns-used)
}

// highest is the highest of the newest rates.
func highest(columns int, all ...[]float32) (top float32) {
	for _, rates := range all {
		for _, rate := range rates[max(len(rates)-columns, 0):] {
			top = max(top, rate)
		}
	}
	return top
}
