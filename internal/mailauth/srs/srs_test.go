package srs

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// now is day 19675 of Unix, the 219th of its cycle of 1024, whose stamp is G3.
var now = time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)

func rewriter(domain string) *Rewriter {
	return &Rewriter{Secret: []byte("a secret for tests"), Domain: domain, Now: func() time.Time { return now }}
}

func forward(t *testing.T, w *Rewriter, sender string) string {
	t.Helper()
	address, err := w.Forward(sender)
	if err != nil {
		t.Fatalf("%s: %v", sender, err)
	}
	return address
}

func reverse(t *testing.T, w *Rewriter, address, want string) {
	t.Helper()
	if got, err := w.Reverse(address); err != nil || got != want {
		t.Errorf("%s came back as %q, %v; want %q", address, got, err, want)
	}
}

func TestForwardAndBack(t *testing.T) {
	w := rewriter("our.example")
	for sender, end := range map[string]string{
		"joe@example.com":                      "=G3=example.com=joe@our.example",
		"Joe.Doe+tag@Example.COM":              "=G3=Example.COM=Joe.Doe+tag@our.example",
		"a=b=c@example.com":                    "=G3=example.com=a=b=c@our.example",
		"=@example.com":                        "=G3=example.com==@our.example",
		"joe@[192.0.2.1]":                      `=G3=[192.0.2.1]=joe"@our.example`,
		"joe@[IPv6:2001:db8::1]":               `=G3=[IPv6:2001:db8::1]=joe"@our.example`,
		`"john doe"@example.com`:               `=G3=example.com=john doe"@our.example`,
		`"a@b \"c\" \\d"@example.com`:          `=G3=example.com=a@b \"c\" \\d"@our.example`,
		"müller@bücher.example":                "=G3=bücher.example=müller@our.example",
		"srs0@example.com":                     "=G3=example.com=srs0@our.example",
		"srs00=x@example.com":                  "=G3=example.com=srs00=x@our.example",
		"SRS1=aaaa=b@example.com":              "=G3=example.com=SRS1=aaaa=b@our.example", // has only the look
		"SRS1=aaaa=b=c@example.com":            "=G3=example.com=SRS1=aaaa=b=c@our.example",
		strings.Repeat("x", 64) + "@x.example": "=G3=x.example=" + strings.Repeat("x", 64) + "@our.example",
	} {
		address := forward(t, w, sender)
		if !strings.HasPrefix(strings.TrimPrefix(address, `"`), "SRS0=") || !strings.HasSuffix(address, end) {
			t.Errorf("%s became %s", sender, address)
		}
		if at := strings.LastIndexByte(address, '@'); !Is(address[:at]) {
			t.Errorf("%s is not seen as rewritten", address)
		}
		reverse(t, w, address, sender)
	}
}

// What is quoted without need comes back without, and is the same address.
func TestNeedlessQuotes(t *testing.T) {
	w := rewriter("our.example")
	address := forward(t, w, `"joe"@example.com`)
	if address != forward(t, w, "joe@example.com") {
		t.Error(address)
	}
	local, domain, _ := strings.Cut(address, "@")
	reverse(t, w, `"`+local+`"@`+domain, "joe@example.com")
	reverse(t, w, `"\`+local+`"@`+domain, "joe@example.com")
}

func TestStaysAsItIs(t *testing.T) {
	w := rewriter("our.example")
	for _, sender := range []string{"", "joe@our.example", "joe@OUR.example", forward(t, w, "joe@example.com"), "SRS0=x=y=z=u@our.example"} {
		if got := forward(t, w, sender); got != sender {
			t.Errorf("%q became %q", sender, got)
		}
	}
}

// Three servers one after the other: the second names the first, the third the first too, and
// the bounce goes from the third to the first and to the sender.
func TestOverSeveralServers(t *testing.T) {
	a, b, c := rewriter("a.example"), rewriter("b.example"), rewriter("c.example")
	b.Secret, c.Secret = []byte("another"), []byte("a third")
	for _, sender := range []string{"joe@example.com", `"john doe"@example.com`} {
		first := forward(t, a, sender)
		second := forward(t, b, first)
		third := forward(t, c, second)
		if strings.Count(third, "example") != 3 || !strings.Contains(third, "SRS1=") || !strings.Contains(third, "=a.example==") || strings.Contains(third, "b.example") {
			t.Error(third)
		}
		reverse(t, b, second, first)
		reverse(t, c, third, first)
		reverse(t, a, first, sender)
		if _, err := b.Reverse(strings.Replace(third, "c.example", "b.example", 1)); !errors.Is(err, ErrForged) {
			t.Errorf("another's signature: %v", err)
		}
	}
	for _, sep := range []string{"+", "-"} { // Mail::SRS may be told to write one of these
		first := "SRS0" + sep + "aaaa=G3=example.com=joe@a.example"
		second := forward(t, b, first)
		if !strings.HasSuffix(second, "=a.example="+sep+"aaaa=G3=example.com=joe@b.example") {
			t.Error(second)
		}
		reverse(t, b, second, first)
	}
}

// Some servers change the capitals of a local part. The address comes back but for them.
func TestCapitalsLost(t *testing.T) {
	a, b := rewriter("a.example"), rewriter("b.example")
	first := forward(t, a, "Joe@example.com")
	second := forward(t, b, first)
	for _, change := range []func(string) string{strings.ToLower, strings.ToUpper} {
		for w, address := range map[*Rewriter]string{a: first, b: second} {
			want := map[*Rewriter]string{a: "Joe@example.com", b: first}[w]
			if got, err := w.Reverse(change(address)); err != nil || !strings.EqualFold(got, want) {
				t.Errorf("%s: %q, %v", change(address), got, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	w := rewriter("our.example")
	good := forward(t, w, "joe@example.com")
	wrapped := forward(t, w, "SRS0=aaaa=G3=example.com=joe@a.example")
	for address, want := range map[string]error{
		"":                             ErrForeign,
		"joe":                          ErrForeign,
		"joe@our.example":              ErrForeign,
		"SRS0@our.example":             ErrForeign,
		"SRS0=@our.example":            ErrForeign,
		"SRS0=a=b=c@our.example":       ErrForeign,
		"SRS0=a=b==c@our.example":      ErrForeign,
		"SRS0=a=b=c=@our.example":      ErrForeign,
		"SRS1=a=b@our.example":         ErrForeign,
		"SRS1=a==b@our.example":        ErrForeign,
		"SRS1=a=b=@our.example":        ErrForeign,
		"SRS2=a=b=c=d@our.example":     ErrForeign,
		`"SRS0=a=b=c=d@our.example`:    ErrForeign,
		`"SRS0=a=b=c d=e"@our.example`: ErrForeign,
		"SRS0=a=b=c=d\r\n@our.example": ErrForeign,
		"SRS0=" + strings.Repeat("a", 600) + "=b=c=d@our.example": ErrForeign,
		strings.Replace(good, "our.example", "other.example", 1):  ErrForeign,
		"SRS0=a=b=c=d@our.example":                                ErrForged,
		"SRS0==G3=example.com=joe@our.example":                    ErrForged,
		strings.Replace(good, "=joe", "=jim", 1):                  ErrForged,
		strings.Replace(good, "=example.com", "=example.org", 1):  ErrForged,
		strings.Replace(good, "=G3", "=G2", 1):                    ErrForged,
		good[:10] + good[11:]:                                     ErrForged,
		strings.Replace(wrapped, "=a.example", "=b.example", 1):   ErrForged,
		strings.Replace(wrapped, "=joe", "=jim", 1):               ErrForged,
	} {
		if got, err := w.Reverse(address); !errors.Is(err, want) || got != "" {
			t.Errorf("%q: %q, %v; want %v", address, got, err, want)
		}
	}
	for _, sender := range []string{"joe", "@example.com", "joe@", `"joe@example.com`, `"jo"e@example.com`, `""@example.com`, "joe@exa mple.com", "joe@a=b.example", "jo\r\ne@example.com", "joe@x>y"} {
		if got, err := w.Forward(sender); !errors.Is(err, ErrSender) || got != "" {
			t.Errorf("%q: %q, %v", sender, got, err)
		}
	}
}

// Nobody can make a sender of which we would write what is no address.
func TestHostsOfStrangers(t *testing.T) {
	w := rewriter("our.example")
	for _, sender := range []string{`"SRS1=a=b c==d"@x.example`, `"SRS1=a=b@c==d"@x.example`, `"SRS1=a=<b>==d"@x.example`} {
		address := forward(t, w, sender)
		if !strings.HasPrefix(address, `"SRS0=`) {
			t.Errorf("%s became %s", sender, address)
		}
		reverse(t, w, address, sender)
	}
}

func TestTooLong(t *testing.T) {
	w := rewriter("our.example")
	for n := 150; n < 300; n++ {
		address, err := w.Forward(strings.Repeat("x", n) + "@example.com")
		if len(address) > maxAddress || (err == nil) != (address != "") || err != nil && !errors.Is(err, ErrTooLong) || (err == nil) != (n <= 254-39) {
			t.Fatalf("%d: %d octets, %v", n, len(address), err)
		}
	}
}

func TestWithoutSecret(t *testing.T) {
	w := rewriter("our.example")
	w.Secret = nil
	if got, err := w.Forward("joe@example.com"); !errors.Is(err, ErrSecret) || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	hash := w.hash("G3", "example.com", "joe")
	if got, err := w.Reverse("SRS0=" + hash + "=G3=example.com=joe@our.example"); !errors.Is(err, ErrForged) || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAge(t *testing.T) {
	for _, c := range []struct {
		max  time.Duration
		days int // later
		want error
	}{
		{0, 0, nil}, {0, 21, nil}, {0, 22, ErrExpired}, {0, 500, ErrExpired}, {0, 1022, ErrExpired},
		{0, -1, nil}, {0, -2, ErrExpired},
		{48 * time.Hour, 2, nil}, {48 * time.Hour, 3, ErrExpired},
		{time.Hour, 0, nil}, {time.Hour, 1, ErrExpired},
		{100000 * day, 1000, nil}, {100000 * day, 1001, ErrExpired},
	} {
		for _, start := range []time.Time{now, time.Unix(1023*86400, 0), time.Unix(1024*86400, 0)} { // the cycle ends between these
			w := rewriter("our.example")
			w.MaxAge, w.Now = c.max, func() time.Time { return start }
			address := forward(t, w, "joe@example.com")
			w.Now = func() time.Time { return start.AddDate(0, 0, c.days) }
			if _, err := w.Reverse(address); !errors.Is(err, c.want) {
				t.Errorf("%v, %d days after %v: %v, want %v", c.max, c.days, start, err, c.want)
			}
		}
	}
	w := rewriter("our.example")
	for _, stamp := range []string{"", "G", "G33", "G1", "0Z", "ÄÄ"} {
		address := "SRS0=" + w.hash(stamp, "example.com", "joe") + "=" + stamp + "=example.com=joe@our.example"
		if _, err := w.Reverse(address); !errors.Is(err, ErrExpired) {
			t.Errorf("stamp %q: %v", stamp, err)
		}
	}
}

func TestIs(t *testing.T) {
	for local, want := range map[string]bool{
		"SRS0=x": true, "srs1+x": true, `"SRS0=a b"`: true, "SRS0-": true,
		"SRS0": false, "SRS": false, "": false, "joe": false, "SRS2=x": false, "xSRS0=x": false, `"SRS0=x`: false, "SRS0.x": false,
	} {
		if Is(local) != want {
			t.Errorf("Is(%q) is %v", local, !want)
		}
	}
}

// FuzzRoundTrip: what goes out comes back, whatever it is; what comes in by itself does not
// get far.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{"joe@example.com", `"john doe"@example.com`, "SRS0=aaaa=G3=example.com=joe@a.example", "SRS1=aaaa=a.example==bbbb=G3=x.example=joe@b.example",
		"SRS0+x@y", `"\S\R\S0=\""@x`, "a=b@[::1]", "ü@ü.example", "\xff@x", "x@our.example", "SRS1=a=[b]=-@x"} {
		f.Add(seed)
	}
	w := rewriter("our.example")
	f.Fuzz(func(t *testing.T, sender string) {
		if back, err := w.Reverse(sender); err == nil {
			t.Fatalf("%q was taken for ours: %q", sender, back)
		}
		address, err := w.Forward(sender)
		if err != nil || address == sender {
			return
		}
		back, err := w.Reverse(address)
		if err != nil {
			t.Fatalf("%q became %q: %v", sender, address, err)
		}
		local, domain, _ := split(sender)
		gotLocal, gotDomain, err := split(back)
		if first, rest, ok := wrapped(local); ok {
			local, domain = "SRS0"+rest, first
		} else if rest, ok := cutTag(local, "SRS0"); ok {
			local = "SRS0" + rest
		}
		if err != nil || gotLocal != local || gotDomain != domain {
			t.Fatalf("%q became %q and came back as %q", sender, address, back)
		}
		if strings.ContainsAny(address, "\r\n\x00") {
			t.Fatalf("%q", address)
		}
	})
}
