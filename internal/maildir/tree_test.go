package maildir

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/maildir/maildirtest"
)

// Every name in the trees of other servers survives being taken apart, and every folder's
// directory has a name.
func TestTreesOfOthers(t *testing.T) {
	for server, tree := range map[string][]maildirtest.File{"Dovecot": maildirtest.Dovecot(), "Courier": maildirtest.Courier()} {
		var folders []string
		messages := 0
		for _, f := range tree {
			dir, file := "", f.Name
			if i := strings.LastIndexByte(file, '/'); i >= 0 {
				dir, file = file[:i], file[i+1:]
			}
			switch {
			case f.Dir && strings.HasPrefix(f.Name, ".") && dir == "":
				name, ok := ParseFolderDir(f.Name)
				if !ok {
					t.Errorf("%s: directory %q is shown as %q", server, f.Name, name)
				}
				folders = append(folders, name)
			case !f.Dir && (strings.HasSuffix(dir, "cur") || strings.HasSuffix(dir, "new")):
				messages++
				n := ParseName(file)
				if n.String() != file || n.NeedsNewBase() || n.Size < 0 || n.UID != 0 || n.Tag != "" {
					t.Errorf("%s: %q is %+v", server, file, n)
				}
				if _, ok := Pack(n.Base, &HostTable{}); ok {
					t.Errorf("%s: %q was packed", server, n.Base)
				}
			}
		}
		slices.Sort(folders)
		want := map[string][]string{
			"Dovecot": {"Archive", "Archive/2026", "INBOX/x", "Müller & Co", "a b"},
			"Courier": {"Archive/2012", "Müller", "Sent"},
		}[server]
		if !slices.Equal(folders, want) || messages != map[string]int{"Dovecot": 6, "Courier": 4}[server] {
			t.Errorf("%s: %d messages, folders %q", server, messages, folders)
		}
	}
}

// What one maker makes is ordered by when it was made, across seconds, microseconds and
// sequence numbers of different lengths.
func TestBasesAreInOrder(t *testing.T) {
	at := time.Unix(999999998, 999990000)
	m := NewBaseMaker("mx", 7, func() time.Time { return at })
	var made []string
	for i := range 500 {
		made = append(made, m.Next()+[]string{"", ",S=1", ",S=1,W=2:2,S"}[i%3])
		if i%3 == 0 {
			at = at.Add(time.Duration(i%7) * 333 * time.Microsecond)
		}
		if i%50 == 0 {
			at = at.Add(time.Second)
		}
	}
	mixed := slices.Clone(made)
	rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if Sort(mixed); !slices.Equal(mixed, made) {
		t.Error("the order of making is lost")
	}
	// Packing keeps it.
	var hosts HostTable
	for _, name := range made {
		if p, ok := Pack(BaseOf(name), &hosts); !ok || p.Unpack(&hosts) != BaseOf(name) {
			t.Fatalf("%q", name)
		}
	}
}

// A scan calls these for every message: they must not allocate.
func TestAllocations(t *testing.T) {
	const file = "1790000000.M123456P4711Q58.mx.example.org,S=12345,W=12500,U=100234,V=k3x9:2,FSa"
	var hosts HostTable
	var n Name
	buf := make([]byte, 0, 256)
	for name, f := range map[string]func(){
		"ParseName":   func() { n = ParseName(file) },
		"BaseOf":      func() { _ = BaseOf(file) },
		"AppendTo":    func() { buf = n.AppendTo(buf[:0]) },
		"Compare":     func() { Compare(file, file) },
		"Pack":        func() { Pack(BaseOf(file), &hosts) },
		"Flags":       func() { _ = ParseFlags("FSa") },
		"AppendFlags": func() { buf = (FlagSeen | Keyword(3)).AppendLetters(buf[:0]) },
	} {
		if a := testing.AllocsPerRun(100, f); a > 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
	}
	if string(n.AppendTo(nil)) != file {
		t.Error("the name did not survive")
	}
}

// Foreign names with every field of ours at its largest still fit into a file name, and those
// whose base does not are told apart before any rename.
func TestLongNames(t *testing.T) {
	for _, base := range []string{strings.Repeat("b", MaxForeignBase), "1." + strings.Repeat("9", 140) + ".mx"} {
		n := ParseName(base + ":2,FS")
		if n.NeedsNewBase() {
			t.Fatalf("%d bytes are too many", len(base))
		}
		n.Size, n.Wire, n.UID, n.Tag = 1<<32-1, 1<<32-1, 1<<32-1, "abcdefgh"
		n.SetFlags(1<<32 - 1)
		if s := n.String(); len(s) > 255 || ParseName(s).Base != base {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	}
}
