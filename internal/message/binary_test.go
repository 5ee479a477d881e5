package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// roundTrip writes p and reads it again.
func roundTrip(t testing.TB, p *Part) []byte {
	t.Helper()
	data, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatalf("%v: %+v", err, p)
	}
	var q Part
	if err := q.UnmarshalBinary(data); err != nil {
		t.Fatalf("%v: %x", err, data)
	}
	if !reflect.DeepEqual(p, &q) {
		t.Fatalf("wrote\n%+v\nread\n%+v", p, &q)
	}
	return data
}

func TestBinaryRoundTrip(t *testing.T) {
	for _, c := range readCases(t) {
		roundTrip(t, mustParse(t, c.message))
	}
	roundTrip(t, mustParse(t, nested(49)))
	p := mustParse(t, sample(100<<10, "\r\n"))
	data := roundTrip(t, p)
	if len(data) > 400 {
		t.Errorf("a usual message takes %d bytes", len(data))
	}
	again, err := p.MarshalBinary()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("MarshalBinary differs: %v", err)
	}
	prefix, err := p.AppendBinary([]byte("prefix"))
	if err != nil || string(prefix[:6]) != "prefix" || !bytes.Equal(prefix[6:], data) {
		t.Errorf("AppendBinary does not append: %v", err)
	}
}

// The form is kept on disk: the same bytes must mean the same in every release.
func TestBinaryIsStable(t *testing.T) {
	message := "Subject: x\nFrom: A <a@b>\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nbody\n--c--\n"
	want := "\x01" + "\x80\x07" + "\x00\x44\x10" + "\x04\x04\x01" + // version, flags, sizes, counts
		"Y)\x01M\x02c" + "b\x02x\x01\r\x02A\x02a\x02b\x00\x00\x00" + // content, envelope
		"\x01\x80\x02\x04\x01\x04\x01\x00\x00\x1f-\x01GU" // one part
	data := roundTrip(t, mustParse(t, []byte(message)))
	if string(data) != want {
		t.Errorf("got %q, want %q", data, want)
	}
	if !slices.IsSortedFunc(words[:], func(a, b string) int {
		if c := len(a) - len(b); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	}) {
		t.Error("words are not in order")
	}
	for i, w := range words {
		if n, ok := index(w); !ok || n != uint64(i) {
			t.Errorf("%q is at %d, found at %d", w, i, n)
		}
	}
}

func TestBinaryRefusesUnsoundParts(t *testing.T) {
	good := func() *Part {
		return &Part{HeaderOff: 0, BodyOff: 10, EndOff: 100, HeaderNL: 1, BodyNL: 2, Lines: 3, Type: "multipart", Subtype: "mixed",
			Children: []*Part{{HeaderOff: 20, BodyOff: 30, EndOff: 40}, {HeaderOff: 40, BodyOff: 40, EndOff: 100}}}
	}
	if _, err := good().AppendBinary(nil); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Part){
		"negative":           func(p *Part) { p.HeaderOff = -1 },
		"body before header": func(p *Part) { p.BodyOff = -1 },
		"end before body":    func(p *Part) { p.EndOff = 9 },
		"header NL":          func(p *Part) { p.HeaderNL = 11 },
		"body NL":            func(p *Part) { p.BodyNL = 4 },
		"lines":              func(p *Part) { p.Lines = 91 },
		"child before":       func(p *Part) { p.Children[0].HeaderOff = 9 },
		"child behind":       func(p *Part) { p.Children[1].EndOff = 101 },
		"children overlap":   func(p *Part) { p.Children[1].HeaderOff = 39 },
		"too deep": func(p *Part) {
			for range maxBinaryDepth {
				q := &Part{HeaderOff: 40, BodyOff: 40, EndOff: 40}
				p.Children, p = append(p.Children, q), q
			}
		},
	} {
		p := good()
		if name == "too deep" {
			p.Children, p.EndOff = nil, 40
			p.Lines, p.BodyNL = 0, 0
		}
		spoil(p)
		if b, err := p.AppendBinary([]byte("x")); !errors.Is(err, ErrBinary) || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestUnmarshalRefusesDamage(t *testing.T) {
	data := roundTrip(t, mustParse(t, sample(100, "\n")))
	for i := range data {
		p := Part{Type: "before"}
		if err := p.UnmarshalBinary(data[:i]); !errors.Is(err, ErrBinary) || p.Type != "before" {
			t.Fatalf("cut at %d: %v, %q", i, err, p.Type)
		}
	}
	for name, d := range map[string][]byte{
		"other version":  append([]byte{binaryVersion + 1}, data[1:]...),
		"trailing bytes": append(slices.Clone(data), 0),
		"unknown flag":   append([]byte{binaryVersion, 0x80, 0x80, 0x40}, data[3:]...),
		"endless varint": bytes.Repeat([]byte{0xff}, 100),
		"overflow":       slices.Concat([]byte{binaryVersion, 0}, binary.AppendUvarint(nil, math.MaxInt64), binary.AppendUvarint(nil, math.MaxInt64)),
	} {
		if err := new(Part).UnmarshalBinary(d); !errors.Is(err, ErrBinary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Few bytes that promise much must not take much memory.
func TestUnmarshalBombs(t *testing.T) {
	head := []byte{binaryVersion, 0, 0, 0, 0, 0, 0, 1, 1}
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	deep := []byte{binaryVersion}
	for range 1 << 20 / 11 {
		deep = append(deep, 0x80, 0x04, 0, 0, 0, 0, 0, 1, 1, 0, 1)
	}
	for name, d := range map[string][]byte{
		"params":    slices.Concat(head, huge),
		"children":  slices.Concat([]byte{binaryVersion, 0x80, 0x04, 0, 0, 0, 0, 0, 1, 1, 0}, huge),
		"languages": slices.Concat([]byte{binaryVersion, hasLanguage, 0, 0, 0, 0, 0, 1, 1, 0}, huge),
		"a string":  slices.Concat([]byte{binaryVersion, 0, 0, 0, 0, 0, 0}, huge[1:]),
		"depth":     deep,
	} {
		n := testing.AllocsPerRun(1, func() {
			if err := new(Part).UnmarshalBinary(d); !errors.Is(err, ErrBinary) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if n > 3*maxBinaryDepth {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A Decoder that has read other Parts reads the same, and what it gave stays whole until
// it reads the next.
func TestDecoderReusesItsRoom(t *testing.T) {
	var all []*Part
	var data []string
	for _, c := range readCases(t) {
		all = append(all, mustParse(t, c.message))
	}
	all = append(all, mustParse(t, nested(49)), mustParse(t, wide(3000)))
	for _, p := range all {
		b, err := p.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, string(b))
	}
	var d Decoder
	for range 3 {
		for i, want := range all {
			p, err := d.Part(data[i])
			if err != nil || !reflect.DeepEqual(p, want) {
				t.Fatalf("%v\n%+v\n%+v", err, p, want)
			}
			if _, err := d.Part(data[i][:len(data[i])-1]); !errors.Is(err, ErrBinary) {
				t.Fatal("cut off:", err)
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() { d.Part(data[0]) }); n > 0 {
		t.Errorf("%v allocations a Part", n)
	}
}

// wide is a message of n parts.
func wide(n int) []byte {
	return []byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Language: en, de\n\nx\n", n) + "--b--\n")
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, c := range readCases(f) {
		data, err := mustParse(f, c.message).AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x01\x7f0000011\x01111\x0201\f0000001\x020\x00\x00")) // languages, but none
	var d Decoder
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Part
		used, derr := d.Part(string(data))
		if err := p.UnmarshalBinary(data); err != nil && derr == nil || err == nil && !reflect.DeepEqual(&p, used) {
			t.Fatalf("%v, %v:\n%+v\n%+v", err, derr, p, used)
		}
		if p.UnmarshalBinary(data) != nil {
			return
		}
		again, err := p.AppendBinary(nil)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		var q Part
		if err := q.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		third, err := q.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%v\n%x\n%x", err, again, third)
		}
	})
}
