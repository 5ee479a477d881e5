package maildir

import (
	"testing"
	"time"

	"kurir/internal/maildir/maildirtest"
)

func TestQuota(t *testing.T) {
	for _, tt := range []struct {
		file string
		want Quota
		ok   bool
	}{
		{"1000S,10C\n100 1\n50 2\n-30 -1\n", Quota{MaxBytes: 1000, MaxCount: 10, Bytes: 120, Count: 2, Lines: 3}, true},
		{"1000S\n", Quota{MaxBytes: 1000}, true},
		{"\n5 1\n", Quota{Bytes: 5, Count: 1, Lines: 1}, true},
		{"10C,1000S\n0 0\n", Quota{MaxBytes: 1000, MaxCount: 10, Lines: 1}, true},
		{"1000S,7X\n         248            4\n", Quota{MaxBytes: 1000, Bytes: 248, Count: 4, Lines: 1}, true}, // as Courier pads
		{"", Quota{}, false},
		{"1000S", Quota{}, false},
		{"S\n", Quota{}, false},
		{"x\n", Quota{}, false},
		{"1000S\n1 1\n2", Quota{}, false},
		{"1000S\n1 1\n2 2", Quota{}, false}, // 2 may be the beginning of 20
		{"1000S\n1\n", Quota{}, false},
		{"1000S\n-1 0\n", Quota{}, false},
		{"1000S\n\n", Quota{}, false},
		{"1000S\n4611686018427387903 1\n4611686018427387903 1\n", Quota{}, false},
		{"1000S\n9223372036854775807 1\n", Quota{}, false},
	} {
		got, ok := ParseQuota([]byte(tt.file))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("ParseQuota(%q) = %+v, %v", tt.file, got, ok)
		}
	}
}

func TestQuotaFormat(t *testing.T) {
	for want, q := range map[string]Quota{
		"1000S,10C\n120 2\n": {MaxBytes: 1000, MaxCount: 10, Bytes: 120, Count: 2},
		"1000S\n0 0\n":       {MaxBytes: 1000},
		"\n7 1\n":            {Bytes: 7, Count: 1},
	} {
		if got := string(q.Format()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := string(AppendQuota(nil, -145, -1)); got != "-145 -1\n" {
		t.Errorf("entry: %q", got)
	}
}

func TestQuotaRecompute(t *testing.T) {
	full := Quota{MaxBytes: 100, Bytes: 101, Lines: 1}
	for _, tt := range []struct {
		name string
		q    Quota
		size int64
		age  time.Duration
		want bool
	}{
		{"small and under", Quota{MaxBytes: 100, Bytes: 100, Lines: 9}, 5119, time.Hour, false},
		{"5120 bytes", Quota{}, 5120, 0, true},
		{"over, fresh, one line", full, 20, 15 * time.Minute, false},
		{"over, old", full, 20, 16 * time.Minute, true},
		{"over, two lines", Quota{MaxCount: 1, Count: 2, Lines: 2}, 20, 0, true},
		{"no limit", Quota{Bytes: 1 << 40, Lines: 2}, 20, time.Hour, false},
	} {
		if got := tt.q.NeedsRecompute(tt.size, tt.age); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if !full.Over(0, 0) || (Quota{MaxBytes: 100, Bytes: 60}).Over(40, 1) || !(Quota{MaxBytes: 100, Bytes: 60}).Over(41, 1) {
		t.Error("Over")
	}
}

func TestQuotaOfOthers(t *testing.T) {
	q, ok := ParseQuota([]byte(maildirtest.Find(maildirtest.Dovecot(), "maildirsize")))
	if !ok || q.MaxBytes != 1<<30 || q.Bytes != 810 || q.Count != 6 {
		t.Errorf("Dovecot: %+v, %v", q, ok)
	}
	q, ok = ParseQuota([]byte(maildirtest.Find(maildirtest.Courier(), "maildirsize")))
	if !ok || q.MaxBytes != 52428800 || q.MaxCount != 1000 || q.Bytes != 248 || q.Count != 4 {
		t.Errorf("Courier: %+v, %v", q, ok)
	}
}

func FuzzQuota(f *testing.F) {
	f.Add([]byte("1000S,10C\n100 1\n-30 -1\n"))
	f.Add([]byte("\n1 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, ok := ParseQuota(data)
		if !ok {
			return
		}
		again, ok := ParseQuota(q.Format())
		if again.Lines = q.Lines; !ok || again != q {
			t.Fatalf("%+v became %+v, %v", q, again, ok)
		}
	})
}
