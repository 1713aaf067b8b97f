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
	var l lanes
	var w work512
	want := map[string]uintptr{
		"spanText": unsafe.Offsetof(x.text), "spanLen": unsafe.Offsetof(x.len), "spanNonce": unsafe.Offsetof(x.nonce),
		"spanBlock": unsafe.Offsetof(x.block), "spanFirst": unsafe.Offsetof(x.first), "spanSize": unsafe.Sizeof(x),
		"lanesText": unsafe.Offsetof(l.text), "lanesLen": unsafe.Offsetof(l.len), "lanesSkip": unsafe.Offsetof(l.skip),
		"lanesLast": unsafe.Offsetof(l.last), "lanesTag": unsafe.Offsetof(l.tag), "lanesQuads": unsafe.Offsetof(l.quads),
		"lanesFull":  unsafe.Offsetof(l.full),
		"workStates": unsafe.Offsetof(w.states), "workCounters": unsafe.Offsetof(w.counters), "workNonces": unsafe.Offsetof(w.nonces),
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
