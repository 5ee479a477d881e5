package maildir

import (
	"slices"
	"strings"
	"testing"

	"kurir/internal/maildir/maildirtest"
)

func TestSubscriptions(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"version 2", "V\t2\n\nArchive\nArchive\t2026\nM&APw-ller\nINBOX\n", []string{"Archive", "Archive/2026", "Müller", "INBOX"}},
		{"version 2, empty", "V\t2\n\n", nil},
		{"version 1", "Archive.2026\nINBOX\nM&APw-ller\n", []string{"Archive/2026", "INBOX", "Müller"}},
		{"version 1, last line cut", "Sent\nDra", []string{"Sent", "Dra"}},
		{"twice", "V\t2\n\nSent\nSent\n", []string{"Sent"}},
		{"inbox in another case", "inbox\n", []string{"INBOX"}},
		{"a folder with an invalid name", "a&b\n", []string{"\uFFFDa&b"}},
		{"no directory's name", "a/b\n.\n\x00\n" + strings.Repeat("x", 300) + "\n", nil},
		{"nothing", "", nil},
	} {
		if got := ParseSubscriptions([]byte(tt.file)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := ParseSubscriptions(FormatSubscriptions(tt.want)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: written and read: %q", tt.name, got)
		}
	}
}

func TestFormatSubscriptions(t *testing.T) {
	got := string(FormatSubscriptions([]string{"INBOX", "Archive/2026", "v1.2", "Müller", "a//b"}))
	want := "V\t2\n\nINBOX\nArchive\t2026\nv1&AC4-2\nM&APw-ller\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What Dovecot wrote for a list of folders is, byte for byte, what we write for it.
func TestSubscriptionsOfDovecot(t *testing.T) {
	file := maildirtest.Find(maildirtest.Dovecot(), "subscriptions")
	names := ParseSubscriptions([]byte(file))
	if want := []string{"Archive", "Archive/2026", "Müller & Co", "a b", "INBOX/x", "INBOX"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if got := string(FormatSubscriptions(names)); got != file {
		t.Errorf("%q, want %q", got, file)
	}
}

func TestSubscriptionsOfCourier(t *testing.T) {
	file := maildirtest.Find(maildirtest.Courier(), "courierimapsubscribed")
	got := ParseCourierSubscriptions([]byte(file))
	if want := []string{"INBOX", "Sent", "Archive/2012", "Müller"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// UTF-8 as newer releases write it; shared folders; nonsense.
	got = ParseCourierSubscriptions([]byte("INBOX.Grün\nshared.x\nINBOXES\nINBOX..x\nINBOX.Sent\r\nINBOX.INBOX\n"))
	if want := []string{"Grün", "Sent", "INBOX"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("V\t2\n\nA\tb\nM&APw-ller\n"))
	f.Add([]byte("a.b\nINBOX\n&&&\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ParseCourierSubscriptions(data)
		names := ParseSubscriptions(data)
		if again := ParseSubscriptions(FormatSubscriptions(names)); !slices.Equal(again, names) {
			t.Fatalf("%q became %q", names, again)
		}
	})
}
