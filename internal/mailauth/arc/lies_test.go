package arc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"kurir/internal/mailauth"
)

// fails wants a chain that failed for this reason without a single key being asked for.
func fails(t *testing.T, r *records, msg, reason string) {
	t.Helper()
	r.asked = nil
	c := verifyText(t, r, msg)
	if c.Result != mailauth.Fail || !strings.Contains(c.Reason, reason) || len(r.asked) != 0 {
		t.Errorf("%s %q, asked %v; want %q", c.Result, c.Reason, r.asked, reason)
	}
}

func TestTooManySets(t *testing.T) {
	by, r := sealers(t)
	msg := forge(t, by["r"], crlf(plain), make([]heads, 60)...)
	fails(t, r, msg, `its instance is "60", not 1 to 50`)
	for _, name := range []string{"ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"} {
		field := name + ": i=1; a=rsa-sha256; cv=none; b=AAAA\r\n"
		fails(t, r, strings.Repeat(field, 100)+crlf(plain), "there are two fields "+name+" i=1")
	}
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "ARC-Seal: i=%d; cv=pass\r\nARC-Message-Signature: i=%[1]d\r\nARC-Authentication-Results: i=%[1]d; x\r\n", i%50+1)
	}
	fails(t, r, many.String()+crlf(plain), "there are more than 50 ARC sets")
}

// Each field of a chain is taken away and given twice; sets come in another order, which is
// not what counts.
func TestSetsNotWhole(t *testing.T) {
	by, r := sealers(t)
	msg := forge(t, by["r"], crlf(plain), make([]heads, 3)...)
	fields, rest := fieldsOf(msg, 9)
	for i := range 9 {
		without := strings.Join(fields[:i], "") + strings.Join(fields[i+1:9], "")
		fails(t, r, without+rest, "is not whole")
		fails(t, r, fields[i]+strings.Join(fields[:9], "")+rest, "two fields")
	}
	fails(t, r, strings.Join(fields[:6], "")+rest, "the ARC set i=1 is not whole")
	fails(t, r, strings.Join(fields[:3], "")+strings.Join(fields[6:9], "")+rest, "the ARC set i=2 is not whole")
	backwards := ""
	for _, l := range fields[:9] {
		backwards = l + backwards
	}
	if c := verifyText(t, r, backwards+rest); c.Result != mailauth.Pass {
		t.Errorf("in another order: %+v", c)
	}
	shorter := strings.Join(fields[3:9], "") + rest // who removes whole sets is not seen
	if c := verifyText(t, r, shorter); c.Result != mailauth.Pass || len(c.Sets) != 2 {
		t.Errorf("without the newest set: %+v", c)
	}
}

// A set in the middle that was made anew breaks the seals above it.
func TestSetsExchanged(t *testing.T) {
	by, r := sealers(t)
	fields, rest := fieldsOf(forge(t, by["r"], crlf(plain), make([]heads, 3)...), 9)
	other, _ := fieldsOf(forge(t, by["r"], crlf(plain), heads{}, heads{aar: "i=2; mx.example.net; spf=fail"}), 3)
	copy(fields[3:6], other)
	c := verifyText(t, r, strings.Join(fields, "")+rest)
	if c.Result != mailauth.Fail || !strings.Contains(c.Reason, "ARC-Seal i=3 of example.net: the ARC fields are not as they were") {
		t.Errorf("%+v", c)
	}
}

// Nobody can make us ask for more than 60 keys, whatever the chain.
func TestKeysAskedFor(t *testing.T) {
	by, r := sealers(t)
	record := r.texts["r._domainkey.example.net"]
	var all []heads
	for i := 1; i <= maxSets; i++ {
		h := heads{
			as:  fmt.Sprintf("i=%d; a=rsa-sha256; d=s%[1]d.example.net; s=r; cv=pass", i),
			ams: fmt.Sprintf("i=%d; %s", i, strings.Replace(honestAMS, "d=", fmt.Sprintf("d=m%d.", i), 1)),
		}
		if i == 1 {
			h.as = strings.Replace(h.as, "pass", "none", 1)
		}
		all = append(all, h)
		r.texts[fmt.Sprintf("r._domainkey.s%d.example.net", i)] = record
		r.texts[fmt.Sprintf("r._domainkey.m%d.example.net", i)] = record
	}
	c := verifyText(t, r, forge(t, by["r"], crlf(plain), all...))
	if c.Result != mailauth.Pass || len(r.asked) != maxKeys || c.OldestPass != 41 {
		t.Errorf("%s %s, asked %d, oldest %d", c.Result, c.Reason, len(r.asked), c.OldestPass)
	}
	for name, n := range r.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", name, n)
		}
	}
}

// silent never answers.
type silent struct{ asked int }

func (s *silent) LookupTXT(ctx context.Context, name string) ([]string, error) {
	s.asked++
	<-ctx.Done()
	return nil, &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: true}
}

func TestDNSNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by, _ := sealers(t)
		msg := forge(t, by["r"], crlf(plain), make([]heads, 3)...)
		start, r := time.Now(), &silent{}
		c := verifyText(t, r, msg)
		if c.Result != mailauth.TempError || time.Since(start) != maxTime || r.asked != 1 || len(c.Sets) != 3 {
			t.Errorf("%+v after %v and %d questions", c, time.Since(start), r.asked)
		}
		if !strings.Contains(c.Reason, "the key at r._domainkey.example.net could not be asked for") {
			t.Error(c.Reason)
		}
	})
}

// Bad signatures are found before a DNS that fails matters, and the other way round.
func TestDNSFails(t *testing.T) {
	by, r := sealers(t)
	msg := forge(t, by["r"], crlf(plain), heads{}, heads{as: "i=2; a=rsa-sha256; d=other.example; s=r; cv=pass"})
	r.temp = map[string]bool{"r._domainkey.other.example": true}
	if c := verifyText(t, r, msg); c.Result != mailauth.TempError || !strings.Contains(c.Reason, "ARC-Seal i=2 of other.example") {
		t.Errorf("%+v", c)
	}
	if c := verifyText(t, r, "Subject: x\r\n"+msg); c.Result != mailauth.Pass && c.Result != mailauth.TempError {
		t.Errorf("a field above is not signed: %+v", c)
	}
	if c := verifyText(t, r, msg+"more\r\n"); c.Result != mailauth.Fail {
		t.Errorf("%+v", c)
	}
}

// endless is text without end that counts what is taken of it.
type endless struct {
	text  string
	taken int64
	max   int64 // then it ends
}

func (e *endless) Read(p []byte) (int, error) {
	if e.taken >= e.max {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], e.text[(e.taken+int64(n))%int64(len(e.text)):])
		n += c
	}
	e.taken += int64(n)
	return n, nil
}

func TestHeaderWithoutEnd(t *testing.T) {
	for _, text := range []string{"X: y\r\n", "x", " folded\r\n", "ARC-Seal: i=1\r\n"} {
		e := &endless{text: text, max: 1 << 30}
		c, err := Verify(t.Context(), suiteDNS(), e)
		if err != nil || c.Result != mailauth.Fail || !strings.Contains(c.Reason, "more than 524288 octets") || e.taken > 2*maxHeader {
			t.Errorf("%q: %+v, %v, after %d octets", text, c, err, e.taken)
		}
	}
}

// A body of 4 MiB passes through little memory, whatever its lines are.
func TestBodyIsNotHeld(t *testing.T) {
	head := crlf(suiteMessage(t, "cv_pass_i1_1"))
	for _, text := range []string{"a line\r\n", "\r\n", " ", "x", "\r", " \t\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := Verify(t.Context(), suiteDNS(), io.MultiReader(strings.NewReader(head), &endless{text: text, max: 4 << 20}))
		runtime.ReadMemStats(&after)
		want := mailauth.Fail
		if strings.TrimSpace(text) == "" && text != "\r" {
			want = mailauth.Pass // white space and empty lines at the end do not count
		}
		if err != nil || c.Result != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 512<<10 {
			t.Errorf("%q: %d octets were allocated", text, used)
		}
	}
}

func TestMessageCannotBeRead(t *testing.T) {
	gone := errors.New("the disk is gone")
	head := crlf(suiteMessage(t, "cv_pass_i1_1"))
	for n := range len(head) {
		c, err := Verify(t.Context(), suiteDNS(), io.MultiReader(strings.NewReader(head[:n]), iotest.ErrReader(gone)))
		if !errors.Is(err, gone) || c.Result != "" {
			t.Fatalf("after %d octets: %+v, %v", n, c, err)
		}
	}
}

// However the message comes, the outcome is the same.
func TestReadOctetByOctet(t *testing.T) {
	head := crlf(suiteMessage(t, "cv_pass_i2_2"))
	c, err := Verify(t.Context(), suiteDNS(), iotest.OneByteReader(strings.NewReader(head)))
	if err != nil || c.Result != mailauth.Pass {
		t.Errorf("%+v, %v", c, err)
	}
}
