package wire

import (
	"encoding/binary"
	"slices"
	"testing"
)

func message(word uint32, size int) []byte {
	b := make([]byte, max(size, 4))
	binary.LittleEndian.PutUint32(b, word)
	return b[:size]
}

func TestClassify(t *testing.T) {
	sizes := map[Type]int{TypeInitiation: 148, TypeResponse: 92, TypeCookieReply: 64}
	for word := range uint32(8) {
		for size := range 200 {
			typ, ok := Classify(message(word, size))
			want, fixed := sizes[Type(word)]
			if good := fixed && size == want || word == 4 && size >= 32; ok != good || ok && typ != Type(word) {
				t.Errorf("type word %d, %d bytes: %v, %t, want %t", word, size, typ, ok, good)
			}
		}
	}
	if typ, ok := Classify(make([]byte, 65507)); ok {
		t.Errorf("zeros are %v", typ)
	}
	if typ, ok := Classify(message(4, 65507)); typ != TypeData || !ok {
		t.Errorf("the largest data message is %v, %t", typ, ok)
	}
	// "The three reserved bytes must be zero."
	for typ, size := range map[uint32]int{1: 148, 2: 92, 3: 64, 4: 32} {
		for bit := 8; bit < 32; bit++ {
			if got, ok := Classify(message(typ|1<<bit, size)); ok {
				t.Errorf("type %d with bit %d set is %v", typ, bit, got)
			}
		}
	}
}

// numbered returns bytes that name their own offset.
func numbered(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// A field is what an accessor returns of a numbered message, with the offsets of section 5.4.
type field struct {
	name     string
	got      []byte
	from, to int
}

func check(t *testing.T, message string, fields []field) {
	t.Helper()
	for _, f := range fields {
		if want := numbered(256)[f.from:f.to]; !slices.Equal(f.got, want) {
			t.Errorf("%s.%s is %d, want %d", message, f.name, f.got, want)
		}
	}
}

func TestLayouts(t *testing.T) {
	i := AsInitiation(numbered(148))
	check(t, "Initiation", []field{
		{"Ephemeral", i.Ephemeral()[:], 8, 40}, {"Static", i.Static()[:], 40, 88}, {"Timestamp", i.Timestamp()[:], 88, 116},
		{"MAC1", i.MAC1()[:], 116, 132}, {"MAC2", i.MAC2()[:], 132, 148}, {"BeforeMAC1", i.BeforeMAC1(), 0, 116}, {"BeforeMAC2", i.BeforeMAC2(), 0, 132},
	})
	r := AsResponse(numbered(92))
	check(t, "Response", []field{
		{"Ephemeral", r.Ephemeral()[:], 12, 44}, {"Empty", r.Empty()[:], 44, 60},
		{"MAC1", r.MAC1()[:], 60, 76}, {"MAC2", r.MAC2()[:], 76, 92}, {"BeforeMAC1", r.BeforeMAC1(), 0, 60}, {"BeforeMAC2", r.BeforeMAC2(), 0, 76},
	})
	c := AsCookieReply(numbered(64))
	check(t, "CookieReply", []field{{"Nonce", c.Nonce()[:], 8, 32}, {"Cookie", c.Cookie()[:], 32, 64}})
	for name, got := range map[string]uint32{"Initiation.Sender": i.Sender(), "Response.Sender": r.Sender(), "CookieReply.Receiver": c.Receiver(), "DataReceiver": DataReceiver(numbered(32))} {
		if got != 0x07060504 {
			t.Errorf("%s is %#x", name, got)
		}
	}
	if r.Receiver() != 0x0b0a0908 {
		t.Errorf("Response.Receiver is %#x", r.Receiver())
	}
	if got := DataCounter(numbered(32)); got != 0x0f0e0d0c0b0a0908 {
		t.Errorf("DataCounter is %#x", got)
	}
}

func TestHeaders(t *testing.T) {
	var i Initiation
	i.SetHeader(0x07060504)
	var r Response
	r.SetHeader(0x07060504, 0x0b0a0908)
	var c CookieReply
	c.SetHeader(0x07060504)
	data := make([]byte, 33)
	PutDataHeader(data, 0x07060504, 0x0f0e0d0c0b0a0908)
	for want, got := range map[Type][]byte{TypeInitiation: i[:], TypeResponse: r[:], TypeCookieReply: c[:], TypeData: data} {
		if typ, ok := Classify(got); typ != want || !ok {
			t.Errorf("%v is classified as %v, %t", want, typ, ok)
		}
		header := map[Type]int{TypeInitiation: 8, TypeResponse: 12, TypeCookieReply: 8, TypeData: 16}[want]
		if !slices.Equal(got[4:header], numbered(header)[4:]) || slices.Max(got[header:]) != 0 {
			t.Errorf("header of %v is %x", want, got)
		}
	}
}

func TestViewsDoNotCopy(t *testing.T) {
	b := make([]byte, SizeInitiation)
	AsInitiation(b).MAC2()[15] = 1
	if b[147] != 1 {
		t.Error("AsInitiation copies")
	}
	if i := AsInitiation(b); cap(i.BeforeMAC1()) != 116 || cap(i.BeforeMAC2()) != 132 {
		t.Error("an append to what a mac covers would overwrite the mac")
	}
}

func TestViewsOfWrongLength(t *testing.T) {
	for name, view := range map[string]func([]byte){
		"AsInitiation":  func(b []byte) { AsInitiation(b) },
		"AsResponse":    func(b []byte) { AsResponse(b) },
		"AsCookieReply": func(b []byte) { AsCookieReply(b) },
	} {
		for _, size := range []int{0, 63, 65, 91, 93, 147, 149} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s takes %d bytes", name, size)
					}
				}()
				view(make([]byte, size))
			}()
		}
	}
}

func TestTypeNames(t *testing.T) {
	var names []string
	for typ := range Type(6) {
		names = append(names, typ.String())
	}
	if want := []string{"unknown", "initiation", "response", "cookie reply", "data", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
}

func TestClassifyAllocates(t *testing.T) {
	b := message(1, SizeInitiation)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := Classify(b); !ok || AsInitiation(b).Sender() != 0 {
			t.Error("not an initiation")
		}
	}); n != 0 {
		t.Errorf("Classify allocates %v times", n)
	}
}

// FuzzClassify: what Classify lets through, the views take, and its header says the same.
func FuzzClassify(f *testing.F) {
	for word, size := range map[uint32]int{1: 148, 2: 92, 3: 64, 4: 32, 0: 0, 5: 148} {
		f.Add(message(word, size))
	}
	f.Add(message(4, 1500))
	f.Add(message(1, 149))
	f.Add(message(0x101, 148))
	f.Fuzz(func(t *testing.T, b []byte) {
		typ, ok := Classify(b)
		if !ok {
			return
		}
		if binary.LittleEndian.Uint32(b) != uint32(typ) {
			t.Fatalf("%x is %v", b, typ)
		}
		switch typ {
		case TypeInitiation:
			AsInitiation(b).SetHeader(AsInitiation(b).Sender())
		case TypeResponse:
			AsResponse(b).SetHeader(AsResponse(b).Sender(), AsResponse(b).Receiver())
		case TypeCookieReply:
			AsCookieReply(b).SetHeader(AsCookieReply(b).Receiver())
		case TypeData:
			PutDataHeader(b, DataReceiver(b), DataCounter(b))
		default:
			t.Fatalf("%x is %v", b, typ)
		}
		if again, ok := Classify(b); again != typ || !ok {
			t.Fatalf("%v with its own header is %v, %t", typ, again, ok)
		}
	})
}
