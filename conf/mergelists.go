package conf

import (
	"slices"
	"strings"
)

// listEdit is what becomes of a list that a field gives.
type listEdit struct {
	script
	text func(n int) string // of an item of the new list
}

// script turns an old list into a new one.
type script struct {
	changed bool
	to      []int   // for each old item the new one in its place, or -1
	kept    []bool  // for each old item: the new one is the same
	behind  [][]int // behind[i]: new items behind the first i old ones
}

func listOf[T comparable](old, now []Setting[T], text func(T) string) listEdit {
	return listEdit{
		script: compare(old, now, func(a, b Setting[T]) bool { return a.Value == b.Value }),
		text:   func(n int) string { return text(now[n].Value) },
	}
}

// compare finds a short script. Where an item goes and another comes, the other
// takes its place.
func compare[T any](old, now []T, same func(a, b T) bool) script {
	s := script{to: make([]int, len(old)), kept: make([]bool, len(old)), behind: make([][]int, len(old)+1)}
	o, n := 0, 0
	keep := func() {
		s.to[o], s.kept[o] = n, true
		o, n = o+1, n+1
	}
	// until changes the items up to those that are kept next.
	until := func(oldEnd, newEnd int) {
		for ; o < oldEnd; o++ {
			s.changed, s.to[o] = true, -1
			if n < newEnd {
				s.to[o] = n
				n++
			}
		}
		for ; n < newEnd; n++ {
			s.changed = true
			s.behind[o] = append(s.behind[o], n)
		}
	}
	for o < len(old) && n < len(now) && same(old[o], now[n]) {
		keep()
	}
	oldEnd, newEnd := len(old), len(now)
	for oldEnd > o && newEnd > n && same(old[oldEnd-1], now[newEnd-1]) {
		oldEnd, newEnd = oldEnd-1, newEnd-1
	}
	oldStart, newStart := o, n
	for _, pair := range common(old[o:oldEnd], now[n:newEnd], same) {
		until(oldStart+pair[0], newStart+pair[1])
		keep()
	}
	until(oldEnd, newEnd)
	for o < len(old) {
		keep()
	}
	return s
}

// common returns a longest common subsequence as pairs of indices, or nothing
// where finding it would take long.
func common[T any](a, b []T, same func(a, b T) bool) (pairs [][2]int) {
	const most = 1 << 20
	if len(a)*len(b) > most {
		return nil
	}
	length := make([][]int, len(a)+1) // of what a[i:] and b[j:] have in common
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			length[i][j] = max(length[i+1][j], length[i][j+1])
			if same(a[i], b[j]) {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case same(a[i], b[j]):
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// setList brings the lists that a field gives to what is wanted. Items go and come
// in the lines that there are; a line that loses all goes too.
func setList(s scope, id string, lists ...listEdit) {
	if !slices.ContainsFunc(lists, func(l listEdit) bool { return l.changed }) {
		return
	}
	lines := s.giving(id)
	if len(lines) == 0 {
		var texts []string
		for _, l := range lists {
			for _, n := range l.behind[0] {
				texts = append(texts, l.text(n))
			}
		}
		s.insertList(id, texts)
		return
	}
	for _, e := range lines {
		e.tokens = e.split()
		e.single = isSingle(id)
	}
	for i, l := range lists {
		l.apply(i, lines)
	}
}

// isSingle says whether a line gives one item of a list.
func isSingle(id string) bool { return isHook([]byte(id)) || id == "#Endpoint" }

func (s scope) insertList(id string, texts []string) {
	if !isSingle(id) {
		texts = []string{strings.Join(texts, ", ")}
	}
	s.insert(id, func(f *formatter) {
		for _, t := range texts {
			s.writeField(id, t)
		}
	})
}

// split takes a value apart as the parser does.
func (e *entry) split() (tokens []token) {
	text := string(e.line.value)
	items := []string{text}
	switch {
	case isSingle(e.field):
	case e.field == "AllowedIPs":
		items = strings.Split(text, ",")
	default:
		items = spaced(text)
	}
	for _, item := range items {
		t := token{text: strings.Trim(item, space)}
		if e.field == "DNS" && !isServer(t.text) {
			t.list = 1
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// apply edits the tokens of one of the lists that the lines give.
func (l listEdit) apply(which int, lines []*entry) {
	if !l.changed {
		return
	}
	fresh := func(numbers []int) (tokens []token) {
		for _, n := range numbers {
			tokens = append(tokens, token{text: l.text(n), list: which, fresh: true})
		}
		return tokens
	}
	old := 0
	for _, e := range lines {
		var now []token
		for _, t := range e.tokens {
			if t.list != which || t.fresh {
				now = append(now, t)
				continue
			}
			if old == 0 {
				now = append(now, fresh(l.behind[0])...)
			}
			switch n := l.to[old]; {
			case l.kept[old]:
				now = append(now, t)
			case n >= 0:
				now = append(now, token{text: l.text(n), list: which})
			}
			old++
			now = append(now, fresh(l.behind[old])...)
		}
		e.listed = e.listed || !slices.Equal(now, e.tokens)
		e.tokens = now
	}
	if len(l.to) == 0 { // none was there: they join the other list's last line
		last := lines[len(lines)-1]
		last.tokens, last.listed = append(last.tokens, fresh(l.behind[0])...), true
	}
}
