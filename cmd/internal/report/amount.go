package report

import "fmt"

// Bytes writes a number of bytes in binary units: "640 B", "1.21 GiB".
func Bytes(n uint64) string { return amount(float64(n)) }

// Rate writes bytes a second as bits a second, as links are measured: "640 bit/s", "1.21 Gbit/s".
func Rate(bytes float64) string {
	bits := bytes * 8
	for _, unit := range []string{"bit/s", "kbit/s", "Mbit/s"} {
		if bits < 1000 {
			return number(bits) + " " + unit
		}
		bits /= 1000
	}
	return number(bits) + " Gbit/s"
}

func amount(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return number(n) + " " + unit
		}
		n /= 1024
	}
	return number(n) + " TiB"
}

// number has three digits that count.
func number(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return fmt.Sprintf("%.2f", n)
	case n < 100:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}
