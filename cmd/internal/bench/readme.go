//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
)

// What --readme writes stands between these lines.
const (
	readmeBegin = "<!-- scripts/bench --readme writes from here -->\n"
	readmeEnd   = "<!-- to here -->\n"
)

// checkReadme says early if there is no place for the table.
func checkReadme(file string) error {
	_, _, err := readReadme(file)
	return err
}

// readReadme returns what stands before and after the place for the table.
func readReadme(file string) (before, after string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	before, rest, begins := strings.Cut(string(text), readmeBegin)
	_, after, ends := strings.Cut(rest, readmeEnd)
	if !begins || !ends {
		return "", "", fmt.Errorf("%s has no place for the table: the lines\n%s%s", file, readmeBegin, readmeEnd)
	}
	return before, after, nil
}

// writeReadme replaces the table in a file.
func (r *report) writeReadme(file, picture string) error {
	before, after, err := readReadme(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+readmeBegin+r.markdown(picture)+readmeEnd+after), 0o644)
}

// markdown returns the report for the README: the picture, the table, and how
// it was made.
func (r *report) markdown(picture string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n![How many times better than %s](%s)\n\n", r.reference(), picture)
	for i, row := range r.rows() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("--:|", len(row)-4) + "---|---|---|\n")
		}
	}
	var versions []string
	for _, kind := range r.daemons {
		if version := r.machine.Versions[string(kind)]; version != "" {
			versions = append(versions, fmt.Sprintf("%s %s", kind, version))
		}
	}
	fmt.Fprintf(&b, "\nMedians of alternating rounds, made by `%s`: %s. %s\n\n", r.command, strings.Join(versions, ", "), strings.Join(r.remarks(), " "))
	return b.String()
}
