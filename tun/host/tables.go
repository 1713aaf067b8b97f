package host

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tableFiles returns the files that name routing tables; later ones win.
func tableFiles() (files []string) {
	for _, dir := range []string{"/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"} {
		more, _ := filepath.Glob(dir + "/rt_tables.d/*.conf") // the pattern is right
		slices.Sort(more)
		files = append(append(files, dir+"/rt_tables"), more...)
	}
	return files
}

// tableLine reads a line such as "100 lan # the neighbourhood".
func tableLine(line string) (number uint32, name string, ok bool) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) != 2 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(words[0], 0, 32)
	return uint32(n), words[1], err == nil
}
