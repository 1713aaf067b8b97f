package conf

import (
	"bytes"
	"errors"
	"slices"
)

// Merge edits a file's text so that it says what c says, and returns the new
// text. What c doesn't change stays as it is written: comments, blank lines,
// the order and spelling of settings, line ends. What the text says already is
// not written anew, so that merging what was parsed from a text returns that text.
//
// A setting that is new to its section goes where Format would have it, a peer
// that is new goes behind those that are there. A peer that is gone takes with
// it the comments in its section and those directly above; comments that stand
// by themselves, with blank lines around, stay.
//
// The name is for errors: of the text, if that can't be parsed, and of c, if no
// file can say it. The result has keys in it; it and the text are the caller's
// to erase. No other copy of a key is left.
func (c *Config) Merge(name string, text []byte) ([]byte, error) {
	old, _, err := Parse(name, text, WGQuick)
	if err != nil {
		return nil, err
	}
	defer old.Erase()
	m := newMerger(text, len(old.Peers))
	m.iface(&old.Interface, &c.Interface)
	fate := match(old.Peers, c.Peers)
	for n, o := range fate {
		if o >= 0 {
			m.peer(o, &old.Peers[o], &c.Peers[n])
		}
	}
	merged := m.assemble(c, fate)

	again, _, err := Parse(name, merged, WGQuick)
	if err == nil {
		defer again.Erase()
		if again.Equal(c) {
			return merged, nil
		}
		err = errUnsayable
	}
	clear(merged)
	return nil, errors.Join(&Error{File: name, Message: "the new configuration can't be written to it"}, err)
}

var errUnsayable = errors.New("it has a value that no file can have")

// match finds for each of the new peers the section that it has in the old file,
// or -1. A key that stands in several sections is matched in their order.
func match(old, now []Peer) []int {
	sections := make(map[string][]int, len(old))
	for o := range old {
		k := string(old[o].PublicKey.Value[:])
		sections[k] = append(sections[k], o)
	}
	fate := make([]int, len(now))
	for n := range now {
		fate[n] = -1
		k := string(now[n].PublicKey.Value[:])
		if left := sections[k]; len(left) > 0 {
			fate[n], sections[k] = left[0], left[1:]
		}
	}
	return fate
}

// inOrder says which of the numbers are a longest rising sequence, without
// those that are negative: these sections can stay where they are.
func inOrder(numbers []int) []bool {
	var ends []int // ends[k]: index of the least number that a sequence of length k+1 can end with
	before := make([]int, len(numbers))
	for i, x := range numbers {
		if x < 0 {
			continue
		}
		k, _ := slices.BinarySearchFunc(ends, x, func(e, x int) int { return numbers[e] - x })
		before[i] = -1
		if k > 0 {
			before[i] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, i)
		} else {
			ends[k] = i
		}
	}
	stays := make([]bool, len(numbers))
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = before[i] {
			stays[i] = true
		}
	}
	return stays
}

// assemble writes the new text: what stays in its place, and what is new or
// moves behind the peer that it follows.
func (m *merger) assemble(c *Config, fate []int) []byte {
	stays := inOrder(fate)
	inPlace := make(map[int]bool, len(fate)) // old peers
	behind := make(map[int][]int)            // new peers, by the old one that they follow; -1: before all
	last := -1
	for n, o := range fate {
		if stays[n] {
			inPlace[o], last = true, o
		} else {
			behind[last] = append(behind[last], n)
		}
	}
	add := func(list []int) {
		for _, n := range list {
			m.separate()
			if o := fate[n]; o >= 0 {
				m.emit(m.blocks[m.peerBlocks[o]].lines)
			} else {
				m.out.peer(&c.Peers[n])
			}
			m.afterNew = true
		}
	}

	m.out.bytes(m.mark)
	m.emit(m.preamble)
	if len(m.ifaceEntries) == 0 && !c.Interface.isEmpty() {
		m.separate()
		m.out.iface(&c.Interface)
		m.afterNew = true
	}
	if last == -1 { // none stays: all go to the end
		behind[last], behind[-2] = nil, behind[last]
	}
	for i := range m.blocks {
		b := &m.blocks[i]
		if b.peer >= 0 && inPlace[b.peer] && len(behind[-1]) > 0 {
			add(behind[-1])
			behind[-1] = nil
		}
		if b.peer >= 0 && !inPlace[b.peer] {
			m.drop(b, i == len(m.blocks)-1)
			continue
		}
		m.emit(b.lines)
		m.emit(b.tail)
		if b.peer >= 0 && b.peer != last {
			add(behind[b.peer])
		}
	}
	if last == -1 {
		last = -2
	}
	add(behind[last])
	return m.out.text
}

// drop leaves out a section that has gone, and one of the two gaps around it.
// Comments below it that stand by themselves stay.
func (m *merger) drop(b *block, atEnd bool) {
	tail := b.tail
	for len(tail) > 0 && tail[0].kind == blank {
		tail = tail[1:]
	}
	if len(tail) > 0 || !atEnd {
		m.emit(tail)
		return
	}
	for lines := m.out.text; endsBlank(lines); lines = m.out.text {
		m.out.text = lines[:len(lines)-len(lastLine(lines))]
	}
}

// emit writes lines, as they are now.
func (m *merger) emit(entries []entry) {
	for i := range entries {
		e := &entries[i]
		if m.afterNew && e.kind != blank {
			m.separate()
		}
		m.afterNew = false
		m.writeEntry(e)
	}
}

// complete ends a last line that has no end.
func (m *merger) complete() {
	if n := len(m.out.text); n > len(m.mark) && m.out.text[n-1] != '\n' {
		m.out.add(m.out.end)
	}
}

// separate makes a gap before a section, if there is none.
func (m *merger) separate() {
	m.complete()
	if len(m.out.text) > len(m.mark) && !endsBlank(m.out.text[len(m.mark):]) {
		m.out.add(m.out.end)
	}
}

// lastLine is the last line of a text, with its end.
func lastLine(text []byte) []byte {
	return text[bytes.LastIndexByte(text[:max(0, len(text)-1)], '\n')+1:]
}

func endsBlank(text []byte) bool {
	return len(text) > 0 && len(bytes.Trim(lastLine(text), space)) == 0
}
