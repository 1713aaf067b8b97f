package dns

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// interfacePrefix returns what has to stand before the name of a link so that
// Debian's resolvconf, which orders servers by the names of their links, puts the
// tunnel's before the others. wg-quick looks for it in the same way.
func interfacePrefix() string {
	text, err := os.ReadFile("/etc/resolvconf/interface-order")
	if err != nil {
		return ""
	}
	// A line that stands for all links of a prefix.
	if match := regexp.MustCompile(`(?m)^([A-Za-z0-9-]+)\*$`).FindSubmatch(text); match != nil {
		return string(match[1]) + "."
	}
	return ""
}

// A Runner runs the program resolvconf with an input, and returns what it printed.
type Runner func(ctx context.Context, input string, args ...string) (string, error)

type runnerKey struct{}

// WithRunner has all that is done with the context run resolvconf by r: for a
// process that is confined, and whose children are.
func WithRunner(ctx context.Context, r Runner) context.Context {
	return context.WithValue(ctx, runnerKey{}, r)
}

// resolvconf runs the program and returns what it printed.
func resolvconf(ctx context.Context, input string, args ...string) (string, error) {
	if run, given := ctx.Value(runnerKey{}).(Runner); given {
		return run(ctx, input, args...)
	}
	c := exec.CommandContext(ctx, "resolvconf", args...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := c.Run(); err != nil {
		said := strings.TrimSpace(stderr.String() + stdout.String())
		return "", fmt.Errorf("resolvconf %s: %w: %s", strings.Join(args, " "), err, said)
	}
	return stdout.String(), nil
}

func setResolvconf(ctx context.Context, s Settings) error {
	name := interfacePrefix() + s.Link
	_, err := resolvconf(ctx, s.lines(), "-a", name, "-m", "0", "-x")
	if err != nil {
		// The lines may be kept already, and only their use have failed.
		_, _ = resolvconf(context.WithoutCancel(ctx), "", "-d", name, "-f")
	}
	return err
}

func unsetResolvconf(ctx context.Context, link string) (note string, err error) {
	if _, err := exec.LookPath("resolvconf"); err != nil {
		return "resolvconf is not installed any more: look whether the tunnel's name servers are still in " + resolvConf, nil //nolint:nilerr // nobody to ask
	}
	_, err = resolvconf(ctx, "", "-d", interfacePrefix()+link, "-f")
	return "", err
}

func presentResolvconf(ctx context.Context, s Settings) (bool, error) {
	text := registered(ctx, interfacePrefix()+s.Link)
	want := make([]netip.Addr, len(s.Servers))
	copy(want, s.Servers)
	if !slices.Equal(nameservers([]byte(text)), want) {
		return false, nil
	}
	for line := range strings.Lines(text) {
		if word, value := keyword(line); word == "search" {
			return slices.Equal(strings.Fields(value), s.Search), nil
		}
	}
	return len(s.Search) == 0, nil
}

// registered returns what resolvconf was told for a link: both programs can be
// asked, and older ones of Debian's keep a file that wg-quick reads too.
func registered(ctx context.Context, name string) string {
	if text, err := resolvconf(ctx, "", "-l", name); err == nil && strings.TrimSpace(text) != "" {
		return recordOf(text, name)
	}
	text, err := os.ReadFile(filepath.Join("/etc/resolvconf/run/interface", name))
	if err != nil {
		return ""
	}
	return string(text)
}

// recordOf returns a link's part of a list. Debian's resolvconf lists all links,
// whichever it is asked for.
func recordOf(list, name string) (text string) {
	isOurs := true
	for line := range strings.Lines(list) {
		if from, is := strings.CutPrefix(line, "# resolv.conf from "); is {
			isOurs = strings.TrimSpace(from) == name
		} else if isOurs {
			text += line
		}
	}
	return text
}

// registeredBeside returns what resolvconf was told for all links but one.
func registeredBeside(ctx context.Context, name string) (text string) {
	links, err := resolvconf(ctx, "", "-i")
	if err != nil {
		entries, err := os.ReadDir("/etc/resolvconf/run/interface")
		if err != nil {
			return ""
		}
		for _, entry := range entries {
			links += entry.Name() + "\n"
		}
	}
	for _, other := range strings.Fields(links) {
		if other != name {
			text += registered(ctx, other)
		}
	}
	return text
}
