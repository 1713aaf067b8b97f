package conf

import (
	"bytes"
	"strings"
)

// merger is a file's text in pieces, some of which have been changed.
type merger struct {
	mark     []byte // the byte order mark, if there is one
	preamble []entry
	blocks   []block // all sections, in the file's order

	ifaceEntries []*entry   // of all [Interface] sections, with their headers
	peerEntries  [][]*entry // of each [Peer] section, with its header
	peerBlocks   []int      // where each [Peer] section is in blocks

	out      formatter
	afterNew bool // what was written last is a new section
}

// block is one section of a file.
type block struct {
	peer   int     // its number, or -1
	lines  []entry // the comments directly above, the header, and all that belongs to it
	header int     // its index in lines
	tail   []entry // gaps, and comments that stand by themselves, up to the next
}

// entry is a line, and what becomes of it.
type entry struct {
	line
	field string // which field it gives, by the field's id; empty if none

	gone   bool
	value  func(*formatter) // what to write for the value
	tokens []token          // what the value lists
	listed bool             // the tokens differ from the value
	single bool             // a line has one token only
	after  []func(*formatter)
}

// token is an item of a list, as it is written.
type token struct {
	text  string
	list  int  // which of the lists that share the line
	fresh bool // not what the line had
}

// id tells the fields of a section apart: a directive may have a setting's name.
func (f field) id(isDirective bool) string {
	if isDirective {
		return "#" + f.name
	}
	return f.name
}

func newMerger(text []byte, peers int) *merger {
	m := &merger{out: formatter{text: make([]byte, 0, len(text)+1024), end: "\n"}, peerEntries: make([][]*entry, 0, peers)}
	if bytes.HasPrefix(text, utf8Mark) {
		m.mark, text = text[:len(utf8Mark)], text[len(utf8Mark):]
	}
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		m.out.end = "\r\n"
	}
	var entries []entry
	var headers []int
	in := nowhere
	for l := range scan(text) {
		e := entry{line: l}
		if l.kind == section {
			in = sectionOf(l)
			headers = append(headers, len(entries))
		}
		e.field = fieldOf(l, in)
		if l.kind == friendly && e.field == "" {
			e.kind = comment
		}
		entries = append(entries, e)
	}
	m.divide(entries, headers)
	return m
}

// fieldOf says which field a line gives.
func fieldOf(l line, in place) string {
	settings, directives := interfaceSettings, interfaceDirectives
	if in == inPeer {
		settings, directives = peerSettings, peerDirectives
	}
	switch {
	case len(l.value) == 0 || in == nowhere:
		return ""
	case l.kind == setting:
		f, _ := lookup(settings, l.name)
		return f.id(false)
	case l.kind == directive:
		return directives[strings.ToLower(string(l.name))].id(true)
	case l.kind == friendly && in == inPeer:
		return "#Name"
	}
	return ""
}

// divide makes blocks of the lines.
func (m *merger) divide(entries []entry, headers []int) {
	starts := make([]int, len(headers)+1) // of each block, and behind the last
	starts[len(headers)] = len(entries)
	for i, h := range headers {
		least := 0
		if i > 0 {
			least = headers[i-1] + 1
		}
		for h > least && entries[h-1].kind == comment {
			h--
		}
		starts[i] = h
	}
	m.preamble = entries[:starts[0]]
	for i, h := range headers {
		b := block{peer: -1, header: h - starts[i]}
		end := starts[i+1]
		for end > h+1 && (entries[end-1].kind == blank || entries[end-1].kind == comment) {
			end--
		}
		for end < starts[i+1] && entries[end].kind == comment {
			end++
		}
		b.lines, b.tail = entries[starts[i]:end], entries[end:starts[i+1]]
		m.enlist(&b)
		m.blocks = append(m.blocks, b)
	}
}

// enlist notes to whom a block's lines belong.
func (m *merger) enlist(b *block) {
	var list []*entry
	for i := b.header; i < len(b.lines); i++ {
		list = append(list, &b.lines[i])
	}
	if sectionOf(list[0].line) == inPeer {
		b.peer = len(m.peerEntries)
		m.peerBlocks = append(m.peerBlocks, len(m.blocks))
		m.peerEntries = append(m.peerEntries, list)
		return
	}
	m.ifaceEntries = append(m.ifaceEntries, list...)
}

// writeEntry writes a line as it is now, and what comes behind it.
func (m *merger) writeEntry(e *entry) {
	switch {
	case e.gone:
	case e.value != nil:
		m.complete()
		before, behind := e.around()
		m.out.bytes(before)
		e.value(&m.out)
		m.out.bytes(behind)
	case e.listed:
		m.writeTokens(e)
	default:
		m.complete()
		m.out.bytes(e.text)
	}
	for _, write := range e.after {
		m.complete()
		write(&m.out)
	}
}

func (m *merger) writeTokens(e *entry) {
	if len(e.tokens) == 0 {
		return
	}
	before, behind := e.around()
	if e.single {
		// The first takes the line, unless one of them had it.
		host := 0
		for i, t := range e.tokens {
			if !t.fresh {
				host = i
			}
		}
		for i, t := range e.tokens {
			m.complete()
			if i == host {
				m.out.bytes(before)
				m.out.add(t.text)
				m.out.bytes(behind)
			} else {
				m.writeField(e.field, t.text)
			}
		}
		return
	}
	m.complete()
	m.out.bytes(before)
	for i, t := range e.tokens {
		if i > 0 {
			m.out.add(", ")
		}
		m.out.add(t.text)
	}
	m.out.bytes(behind)
}

// writeField writes a line for a field.
func (m *merger) writeField(id, value string) {
	if name, ok := strings.CutPrefix(id, "#"); ok {
		m.out.directive(name, value)
	} else {
		m.out.setting(id, value)
	}
}

// around is the line without its value. The value lies in the line's bytes, which
// it has the same room behind as.
func (e *entry) around() (before, behind []byte) {
	at := cap(e.text) - cap(e.line.value)
	return e.text[:at], e.text[at+len(e.line.value):]
}
