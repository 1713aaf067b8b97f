//go:build linux

package installtest

import (
	"slices"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// The shells, each with a script that completes the command line in $LINE, the
// cursor at its end, as it does when a person presses the tab key, with what is
// installed for /usr/local. It prints what is offered, one a line, and what follows
// a tab is a description.
var shells = map[string][]string{
	"bash": {"zsh", "-f", "-c", bashTab},
	"zsh":  {"zsh", "-f", "-c", zshTab},
	"fish": {"fish", "-c", `complete -C "$LINE"`},
}

// bash: one on a terminal, which zsh makes, completes its command line; where
// several words fit, all are inserted. bash-completion finds our script by its name.
const bashTab = `
zmodload zsh/zpty
zpty inner bash --norc --noprofile -i
zpty -w inner 'PS1=; . /usr/share/bash-completion/bash_completion'
zpty -w inner 'told() { printf "%s\n" "" BEG""IN ${READLINE_LINE#"${LINE% *} "} EN""D; }; bind -x "\"\C-t\": told"; echo READ""Y'
zpty -r inner out '*READY*'
zpty -n -w inner "$LINE$TAB"$'\C-t'
zpty -r inner out '*BEGIN*END*'
print -r -- "${${out#*BEGIN}%%END*}"
zpty -d inner
`

// zsh: a shell within it, on a terminal of its own, tells what is added to the list.
const zshTab = `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PS1=; autoload -U compinit; compinit -u'
zpty -w inner 'compadd() { local -a fits; builtin compadd -O fits "$@"; offered+=("${fits[@]}"); builtin compadd "$@" }'
zpty -w inner 'told() { offered=(); _main_complete; print -rl -- "" BEG"IN" "${offered[@]}" EN"D" }'
zpty -w inner 'zle -C told complete-word told; bindkey "^I" told; echo READ""Y'
zpty -r inner out '*READY*'
zpty -n -w inner "$LINE"$'\t'
zpty -r inner out '*BEGIN*END*'
print -r -- "${${out#*BEGIN}%%END*}"
zpty -d inner
`

// TestCompletion presses the tab key in each shell, on a machine with a file in
// /etc/wireguard, whose peers have names, and an interface that is up.
func TestCompletion(t *testing.T) {
	h := testnet.NewMachine(t, "completion")
	h.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/local")
	h.MustRun(scripts+"/install", "--binary", built)
	h.MustRun("mount", "-t", "tmpfs", "tmpfs", "/root") // what shells keep
	h.MustRun("vpn", "init", "office", "--endpoint", "192.0.2.1")
	h.MustRun("vpn", "peer", "add", "office", "laptop")
	h.MustRun("vpn", "peer", "add", "office", "the phone")
	h.MustRun("vpn", "device", "tun7")
	h.MustRun("sh", "-c", "mkdir /root/work; touch /root/work/other.conf")
	t.Cleanup(func() { h.MustRun("ip", "link", "delete", "tun7") })

	for shell, command := range shells {
		t.Run(shell, func(t *testing.T) {
			for _, test := range []struct {
				line        string
				want, lacks []string
			}{
				{line: "vpn peer ", want: []string{"add", "list", "remove"}},
				{line: "vpn gen", want: []string{"genkey", "genpsk"}, lacks: []string{"up"}},
				{line: "vpn up ", want: []string{"office"}},
				{line: "vpn up oth", want: []string{"other.conf"}}, // none of that name, so a file
				{line: "vpn up office ", lacks: []string{"office", "other.conf"}},
				{line: "vpn show ", want: []string{"tun7", "all", "interfaces"}, lacks: []string{"office"}},
				{line: "vpn show tun7 trans", want: []string{"transfer"}},
				{line: "vpn status ", want: []string{"tun7"}},
				{line: "vpn peer remove office lap", want: []string{"laptop"}},
				{line: "vpn setconf tun7 ", want: []string{"other.conf"}},
				{line: "vpn set tun7 private-key ", want: []string{"other.conf"}},
				{line: "vpn peer add office x --full", want: []string{"--full-tunnel"}},
				{line: "vpn peer add office x --out ", want: []string{"other.conf"}},
				{line: "vpn peer add office x --expires ", lacks: []string{"other.conf"}},
				{line: "vpn run office --log-format ", want: []string{"json", "text"}, lacks: []string{"other.conf"}},
				{line: "vpn completion ", want: []string{"bash", "fish", "zsh"}},
			} {
				tab := "\t"
				if len(test.want) > 1 {
					tab = "\x1b*" // bash inserts all
				}
				said := h.MustRun("env", append([]string{"-C", "/root/work", "-u", "XDG_DATA_DIRS", "HOME=/root", "TERM=xterm", "LINE=" + test.line, "TAB=" + tab}, command...)...)
				var offered []string
				for line := range strings.Lines(said) {
					word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
					offered = append(offered, strings.TrimSpace(word))
				}
				for _, word := range test.want {
					if !slices.Contains(offered, word) {
						t.Errorf("%q: %q is not offered: %q", test.line, word, said)
					}
				}
				for _, word := range test.lacks {
					if slices.Contains(offered, word) {
						t.Errorf("%q: %q is offered", test.line, word)
					}
				}
			}
		})
	}
}
