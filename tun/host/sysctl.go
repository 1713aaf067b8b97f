package host

import "strings"

// sysctlOf names a variable of a link. A dot in the link's name is written as a
// slash, as sysctl(8) does.
func sysctlOf(family, link, variable string) string {
	return "net." + family + ".conf." + strings.ReplaceAll(link, ".", "/") + "." + variable
}

// sysctlPath returns where the kernel shows a variable.
func sysctlPath(key string) string {
	return "/proc/sys/" + strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}
