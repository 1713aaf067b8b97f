// Manuals writes the manual page of each command, and the list of commands in
// vpn(8), from what the commands say of themselves with --help. The prose of
// vpn(8) and vpn.conf(5) is written by hand.
//
// It takes one argument, the folder that the pages are in.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vpn/cmd/internal/cli"
)

//go:generate go run . ../../../scripts/man

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("it takes the folder of the pages, and nothing else")
	}
	dir := args[0]
	overview, err := os.ReadFile(filepath.Join(dir, "vpn.8"))
	if err != nil {
		return err
	}
	pages, err := generate(overview)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "vpn-*.8"))
	if err != nil {
		return err
	}
	for _, path := range old { // a command may have gone
		if pages[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// What lies between these lines of vpn(8) is written here.
const (
	listBegin = ".\\\" The commands, written by cmd/internal/manuals.\n"
	listEnd   = ".\\\" To here.\n"
)

// generate returns the pages by the names of their files: one for each command,
// and vpn(8), given as it is, with the list of commands brought up to date.
func generate(overview []byte) (map[string][]byte, error) {
	before, rest, found := bytes.Cut(overview, []byte(listBegin))
	_, after, ends := bytes.Cut(rest, []byte(listEnd))
	if !found || !ends {
		return nil, fmt.Errorf("vpn.8 has no lines %q and %q, between which the commands are listed", strings.TrimSpace(listBegin), strings.TrimSpace(listEnd))
	}
	all := commands(cli.Commands())
	pages := map[string][]byte{
		"vpn.8": slices.Concat(before, []byte(listBegin), []byte(list(all)), []byte(listEnd), after),
	}
	for _, cmd := range all {
		pages[pageName(cmd)+".8"] = page(cmd)
	}
	return pages, nil
}
