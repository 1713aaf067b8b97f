package main

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// inline keeps roff from reading something else in a text. A hyphen is escaped,
// so that options can be copied from a page.
var inline = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "~", `\(ti`, "^", `\(ha`).Replace

// guarded is a line of text that is none of roff's commands.
func guarded(text string) string {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, `\(aq`) {
		return `\&` + text
	}
	return text
}

// prose writes paragraphs, which an empty line separates. Lines that are indented
// are kept as they are. Each sentence begins a line.
func prose(b *strings.Builder, text string) {
	paragraph, table, first := "", "", true
	flush := func() {
		switch {
		case paragraph != "" && !first:
			line(b, ".Pp")
			fallthrough
		case paragraph != "":
			filled(b, paragraph)
		case table != "":
			literal(b, table)
		}
		if paragraph != "" || table != "" {
			first = false
		}
		paragraph, table = "", ""
	}
	for l := range strings.Lines(text) {
		switch indented := strings.HasPrefix(l, " "); {
		case strings.TrimSpace(l) == "", indented && paragraph != "", !indented && table != "":
			flush()
		}
		switch {
		case strings.HasPrefix(l, " "):
			table += l
		default:
			paragraph += strings.TrimSuffix(l, "\n") + " "
			paragraph = strings.TrimLeft(paragraph, " ")
		}
	}
	flush()
}

// fill is how long a line of a page is at most: mandoc finds fault with more
// than 80 bytes.
const fill = 76

// filled writes a paragraph in lines of reasonable length.
func filled(b *strings.Builder, paragraph string) {
	out := ""
	words := strings.Fields(paragraph)
	for i, word := range words {
		escaped := inline(word)
		switch {
		case out == "":
			out = escaped
		case len(out)+1+len(escaped) > fill || endsSentence(words[i-1]):
			line(b, "%s", guarded(out))
			out = escaped
		default:
			out += " " + escaped
		}
	}
	line(b, "%s", guarded(out))
}

func endsSentence(word string) bool {
	word = strings.TrimRight(word, `)"`)
	return strings.TrimRight(word, ".?!") != word && !strings.HasSuffix(word, "...")
}

// literal writes lines as they are: examples, tables.
func literal(b *strings.Builder, text string) {
	const indent = 6 // which mdoc adds to its margin
	offset := " -offset indent"
	for text := range strings.Lines(text) {
		if utf8.RuneCountInString(text) > fill-indent {
			offset = ""
		}
	}
	line(b, ".Bd -literal%s", offset)
	for text := range strings.Lines(text) {
		line(b, "%s", guarded(inline(strings.TrimPrefix(strings.TrimRight(text, "\n"), "  "))))
	}
	line(b, ".Ed")
}

// A word of a usage line, or a sign.
var token = regexp.MustCompile(`\[\+\|-\]|\.\.\.|[][|,]|[^][|,\s.]+(?:\.[^][|,\s.]+)*`)

// synopsis writes a usage line: options, and what is literal, in bold, and what
// stands for something underlined.
func synopsis(b *strings.Builder, cmd *cobra.Command) {
	line(b, ".Nm vpn")
	line(b, ".Cm %s", inline(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")))
	if cmd.HasSubCommands() {
		line(b, ".Ar command")
		return
	}
	_, use, _ := strings.Cut(cmd.Use, " ")
	macros, end, spaced := "", 0, true
	for _, at := range token.FindAllStringIndex(use, -1) {
		text := use[at[0]:at[1]]
		// What "or" joins, and what brackets enclose, mdoc spaces itself.
		if touches := at[0] == end && at[0] > 0; touches && !spaced && text != "|" && text != "]" {
			macros += " Ns " + markup(text)
		} else {
			macros += "\n." + markup(text)
		}
		end, spaced = at[1], text == "[" || text == "|"
	}
	if macros != "" {
		line(b, "%s", macros[1:])
	}
}

// markup is mdoc's markup of a word of a usage line.
func markup(text string) string {
	name := strings.TrimLeft(text, "-")
	switch {
	case text == "[":
		return "Oo"
	case text == "]":
		return "Oc"
	case text == "|", text == ",", text == "...":
		return `No \&` + text
	case text == "[+|-]":
		return `No [+|\-]`
	case text == "-":
		return "Fl"
	case name != text:
		return strings.Repeat("Fl ", len(text)-len(name)) + inline(name)
	case strings.ContainsFunc(text, unicode.IsUpper) || unicode.IsDigit(rune(text[0])):
		return "Ar " + inline(text)
	}
	return "Cm " + inline(text)
}
