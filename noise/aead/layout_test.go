package aead

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"unsafe"
)

// TestLayout holds the offsets that the generator of the assembly has against those of the structs.
func TestLayout(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "internal/gen/layout.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var x span
	var m message
	var c section
	var w work512
	var sealed Sealed
	want := map[string]uintptr{
		"spanText": unsafe.Offsetof(x.text), "spanLen": unsafe.Offsetof(x.len), "spanNonce": unsafe.Offsetof(x.nonce),
		"spanBlock": unsafe.Offsetof(x.block), "spanFirst": unsafe.Offsetof(x.first), "spanSize": unsafe.Sizeof(x),
		"messageText": unsafe.Offsetof(m.text), "messageLen": unsafe.Offsetof(m.len), "messageNonce": unsafe.Offsetof(m.nonce),
		"messageKey": unsafe.Offsetof(m.key), "messageBlock": unsafe.Offsetof(m.block), "messageFirst": unsafe.Offsetof(m.first),
		"messageLast": unsafe.Offsetof(m.last), "messageSize": unsafe.Sizeof(m),
		"sectionText": unsafe.Offsetof(c.text), "sectionQuads": unsafe.Offsetof(c.quads), "sectionFrom": unsafe.Offsetof(c.from),
		"sectionKey": unsafe.Offsetof(c.key), "sectionHash": unsafe.Offsetof(c.hash), "sectionSize": unsafe.Sizeof(c),
		"sealedCounter": unsafe.Offsetof(sealed.Counter), "sealedSize": unsafe.Sizeof(sealed),
		"workStates": unsafe.Offsetof(w.states), "workColumn": unsafe.Offsetof(w.column), "workShared": unsafe.Offsetof(w.shared),
		"workSecret": unsafe.Offsetof(w.counters), "workCounters": unsafe.Offsetof(w.counters), "workNonces": unsafe.Offsetof(w.nonces),
		"workTexts": unsafe.Offsetof(w.texts), "workMasks": unsafe.Offsetof(w.masks), "workLanes": dealt512,
		"keySize": unsafe.Sizeof(oneTimeKey{}), "hashSize": unsafe.Sizeof(hash{}),
	}
	if unsafe.Sizeof(x.text) != 8 {
		return // no assembly for such machines
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if c, ok := n.(*ast.ValueSpec); ok {
			name, value := c.Names[0].Name, c.Values[0].(*ast.BasicLit).Value
			if got, err := strconv.Atoi(value); err != nil || uintptr(got) != want[name] {
				t.Errorf("%s is %s there, and %d here", name, value, want[name])
			}
			seen++
		}
		return true
	})
	if seen != len(want) {
		t.Errorf("%d offsets there, %d here", seen, len(want))
	}
}
