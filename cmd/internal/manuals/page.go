package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// date stands in all pages that are generated: a page that says when it was
// generated would differ each time.
const date = "November 26, 2026"

// commands lists those that have a page: all that are shown, and theirs.
func commands(root *cobra.Command) (all []*cobra.Command) {
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			all = append(append(all, cmd), commands(cmd)...)
		}
	}
	return all
}

// pageName is vpn-peer-add for "vpn peer add".
func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// line adds a line to a page.
func line(b *strings.Builder, format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// list describes the commands, one line each.
func list(all []*cobra.Command) string {
	var b strings.Builder
	line(&b, ".Bl -tag -width Ds")
	for _, cmd := range all {
		line(&b, ".It Xr %s 8", pageName(cmd))
		prose(&b, cmd.Short+".")
	}
	line(&b, ".El")
	return b.String()
}

// page is a command's manual page, as mdoc(7).
func page(cmd *cobra.Command) []byte {
	var b strings.Builder
	name := pageName(cmd)
	line(&b, `.\" Written by cmd/internal/manuals: go generate ./cmd/internal/manuals`)
	line(&b, ".Dd %s\n.Dt %s 8\n.Os", date, strings.ToUpper(name))
	line(&b, ".Sh NAME\n.Nm %s\n.Nd %s", name, inline(lower(cmd.Short)))
	line(&b, ".Sh SYNOPSIS")
	synopsis(&b, cmd)
	line(&b, ".Sh DESCRIPTION")
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	prose(&b, text)
	options(&b, cmd)
	line(&b, ".Sh EXAMPLES")
	literal(&b, cmd.Example)
	seeAlso(&b, cmd)
	return []byte(b.String())
}

// lower begins a short text in lower case, as the line under NAME wants it.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// options describes the flags, if there are any but --help.
func options(b *strings.Builder, cmd *cobra.Command) {
	var flags []*pflag.Flag
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			flags = append(flags, f)
		}
	})
	if len(flags) == 0 {
		return
	}
	line(b, ".Sh OPTIONS\n.Bl -tag -width Ds")
	for _, f := range flags {
		what, usage := pflag.UnquoteUsage(f)
		it := ".It Fl Fl " + inline(f.Name)
		if f.Shorthand != "" {
			it = ".It Fl " + f.Shorthand + " , Fl Fl " + inline(f.Name)
		}
		switch {
		case what != "" && f.NoOptDefVal != "" && f.Value.Type() != "bool":
			it += " Ns Op = Ns Ar " + inline(what)
		case what != "":
			it += " Ar " + inline(what)
		}
		line(b, "%s", it)
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "0s" {
			usage += "; " + d + " if not given"
		}
		prose(b, strings.TrimSuffix(strings.ToUpper(usage[:1])+usage[1:], ".")+".")
	}
	line(b, ".El")
}

// seeAlso names the overview, the commands above and below, and the file format
// where a file is taken.
func seeAlso(b *strings.Builder, cmd *cobra.Command) {
	refs := []string{"vpn 8"}
	if cmd.Parent().HasParent() {
		refs = append(refs, pageName(cmd.Parent())+" 8")
	}
	for _, sub := range commands(cmd) {
		refs = append(refs, pageName(sub)+" 8")
	}
	for _, other := range commands(cmd.Root()) { // those that it speaks of
		if other != cmd && strings.Contains(cmd.Long, `"`+other.CommandPath()) {
			refs = append(refs, pageName(other)+" 8")
		}
	}
	if strings.Contains(cmd.Use, "FILE") && !strings.HasPrefix(cmd.Use, "set ") {
		refs = append(refs, "vpn.conf 5")
	}
	slices.SortFunc(refs, func(a, b string) int {
		return cmp.Or(cmp.Compare(a[len(a)-1], b[len(b)-1]), cmp.Compare(a, b))
	})
	refs = slices.Compact(refs)
	line(b, ".Sh SEE ALSO")
	for i, ref := range refs {
		if i < len(refs)-1 {
			ref += " ,"
		}
		line(b, ".Xr %s", ref)
	}
}
