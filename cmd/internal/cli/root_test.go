package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"vpn/conf"
)

func TestEveryCommandIsExplained(t *testing.T) {
	all := Commands().Commands()
	for _, cmd := range all {
		all = append(all, cmd.Commands()...)
	}
	for _, cmd := range all {
		if name := strings.Fields(cmd.CommandPath())[1]; commands[name] == nil {
			t.Errorf("%s is not among the commands by this name", name)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q", cmd.Name(), cmd.Short)
		}
		if !strings.HasPrefix(cmd.Example, "  ") || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: example %q", cmd.Name(), cmd.Example)
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		var texts []string
		for _, root := range []*cobra.Command{Commands(), commandsFor(args)} {
			var text bytes.Buffer
			root.SetOut(&text)
			root.SetArgs(args)
			if err := root.Execute(); err != nil || !strings.Contains(text.String(), cmd.Example) {
				t.Errorf("%s --help: %v, without its example", cmd.Name(), err)
			}
			texts = append(texts, text.String())
		}
		if texts[0] != texts[1] {
			t.Errorf("%s --help says beside others\n%s\nand alone\n%s", cmd.Name(), texts[0], texts[1])
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 81 {
				t.Errorf("%s: a line of %d characters", cmd.Name(), len(line))
			}
		}
	}
}

func TestErrorsAreTold(t *testing.T) {
	plain := errors.New("plain")
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{plain, "error: plain\n"},
		{errTold, ""},
		{hint(plain, "do %s", "this"), "error: plain\nhint: do this\n"},
		{fmt.Errorf("around: %w", hint(plain, "do this")), "error: around: plain\nhint: do this\n"},
		{errors.Join(plain, hint(plain, "do this")), "error: plain\nerror: plain\nhint: do this\n"},
		{&conf.Error{File: "wg0.conf", Line: 3, Message: "wrong", Hint: "right it"}, "error: wg0.conf:3: wrong\nhint: right it\n"},
	} {
		var b bytes.Buffer
		code := exitCode(test.err, &b)
		if b.String() != test.want || (code == 0) != (test.err == nil) {
			t.Errorf("%v: code %d, text %q, want %q", test.err, code, b.String(), test.want)
		}
	}
}
