package policy

import (
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
)

func testPolicy(d *fakeDNS) *Policy {
	return &Policy{
		Hostname: "mx.local.test", Resolver: d, Log: slog.New(slog.DiscardHandler),
		Own: func(_ context.Context, domain string) (bool, error) {
			if domain == "down.test" {
				return false, errors.New("disk on fire")
			}
			return domain == "local.test", nil
		},
	}
}

func judge(t *testing.T, p *Policy, a Arrival, msg string) Verdict {
	t.Helper()
	return p.Begin(t.Context(), a)(t.Context(), opener(msg))
}

// The whole way, from the message and the DNS to the verdict and the header.
func TestJudge(t *testing.T) {
	changed := strings.Replace(sign(t, "example.org", text("bob@example.org")), "Subject: hello", "Subject: changed", 1)
	for _, c := range []struct {
		name   string
		a      Arrival
		msg    string
		change func(*fakeDNS)
		want   Decision
		header []string // in what the message gets
	}{
		{"SPF and DKIM", arrival(), sign(t, "example.org", text("bob@example.org")), nil, Accept,
			[]string{"spf=pass smtp.mailfrom=bob@example.org", "spf=pass smtp.helo=mx.example.org", "dkim=pass header.d=example.org", "dmarc=pass header.from=example.org", "iprev=pass policy.iprev=192.0.2.1",
				"X-Kurir-Reason: accept: it comes from example.org: DKIM signature of example.org, SPF of example.org"}},
		{"DKIM alone", elsewhere(), sign(t, "example.org", text("bob@example.org")), nil, Accept,
			[]string{"spf=fail", "dkim=pass", "dmarc=pass", "iprev=permerror policy.iprev=198.51.100.9"}},
		{"SPF alone", arrival(), text("bob@example.org"), nil, Accept, []string{"spf=pass", "dkim=none", "dmarc=pass"}},
		{"nothing, reject", elsewhere(), text("bob@example.org"), nil, Refuse, []string{"dmarc=fail"}},
		{"changed, reject", elsewhere(), changed, nil, Refuse, []string{"dkim=fail"}},
		{"nothing, quarantine", elsewhere(), text("bob@quarantine.example"), nil, Junk, []string{"dmarc=fail", "policy.dmarc=quarantine", "X-Kurir-Reason: junk: quarantine.example asks"}},
		{"another's signature", elsewhere(), sign(t, "lists.example", text("bob@example.org")), nil, Refuse, []string{"dkim=pass header.d=lists.example"}},
		{"p=none", elsewhere(), text("bob@none.example"), nil, Accept, []string{"dmarc=fail"}},
		{"no record", elsewhere(), text("bob@plain.example"), nil, Accept, []string{"dmarc=none"}},
		{"several From", elsewhere(), "From: a@plain.example\r\n" + text("bob@example.org"), nil, Refuse, nil},
		{"a CR that others take for a line end", arrival(), sign(t, "example.org", "X-Y: z\rFrom: boss@local.test\r\n"+text("bob@example.org")), nil, Junk,
			[]string{"dmarc=pass header.from=example.org", "X-Kurir-Reason: junk: the author cannot be told: the header has a CR within a line"}},
		{"the same, nothing, reject", elsewhere(), "X-Y: z\r\r\n" + text("bob@example.org"), nil, Refuse, []string{"dmarc=fail"}},
		{"our own name", elsewhere(), text("MAILER-DAEMON@MX.local.test"), nil, Junk, []string{"X-Kurir-Reason: junk: it claims to come from mx.local.test, which is a domain of this server"}},
		{"no From", elsewhere(), "Subject: x\r\n\r\ntext\r\n", nil, Junk, nil},
		{"own domain", elsewhere(), text("boss@local.test"), nil, Junk, []string{"a domain of this server"}},
		{"own domain unknown", elsewhere(), text("boss@down.test"), nil, Accept, nil},

		{"record does not come", elsewhere(), text("bob@example.org"), func(d *fakeDNS) { d.fails = map[string]bool{"_dmarc.example.org": true} }, Later, nil},
		{"key does not come, reject", elsewhere(), sign(t, "example.org", text("bob@example.org")), func(d *fakeDNS) { d.fails = map[string]bool{"s1._domainkey.example.org": true} }, Later, []string{"dkim=temperror"}},
		{"key does not come, quarantine", elsewhere(), sign(t, "quarantine.example", text("bob@quarantine.example")), func(d *fakeDNS) { d.fails = map[string]bool{"s1._domainkey.quarantine.example": true} }, Junk, []string{"dkim=temperror"}},
		{"key of another does not come", elsewhere(), sign(t, "lists.example", text("bob@example.org")), func(d *fakeDNS) { d.fails = map[string]bool{"s1._domainkey.lists.example": true} }, Refuse, nil},
		{"SPF does not come, but DKIM", arrival(), sign(t, "example.org", text("bob@example.org")), func(d *fakeDNS) { d.fails = map[string]bool{"example.org": true} }, Accept, []string{"spf=temperror"}},
		{"no DNS", arrival(), sign(t, "plain.example", text("bob@plain.example")), func(d *fakeDNS) { d.broken = true }, Later, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := world()
			if c.change != nil {
				c.change(d)
			}
			v := judge(t, testPolicy(d), c.a, c.msg)
			if v.Decision != c.want {
				t.Errorf("%s %q, want %s\n%s", v.Decision, v.Reason, c.want, v.Header)
			}
			unfolded := strings.NewReplacer("\r\n\t", " ", "\r\n ", " ").Replace(string(v.Header))
			for _, h := range c.header {
				if !strings.Contains(unfolded, h) {
					t.Errorf("%q is not in\n%s", h, v.Header)
				}
			}
			checkHeader(t, v)
		})
	}
}

// checkHeader wants two fields of ASCII in lines of a good length, each of which says
// what the verdict says.
func checkHeader(t *testing.T, v Verdict) {
	t.Helper()
	h := string(v.Header)
	if !strings.HasPrefix(h, "Authentication-Results: mx.local.test;\r\n") || strings.Count(h, "\r\nX-Kurir-Reason: "+v.Decision.String()) != 1 || !strings.HasSuffix(h, "\r\n") {
		t.Errorf("header\n%s", h)
	}
	if strings.Count(h, "\n") != strings.Count(h, "\r\n") || strings.Contains(h, "\r\n\r\n") || ascii(strings.NewReplacer("\r\n", "", "\t", "").Replace(h)) == "" {
		t.Errorf("header %q", h)
	}
	for l := range strings.Lines(h) {
		if len(l) > 998 {
			t.Errorf("a line of %d octets", len(l))
		}
	}
	if r, err := mailauth.ParseResults(v.Results); err != nil || r.ID != "mx.local.test" {
		t.Errorf("results %q: %v", v.Results, err)
	}
	if len(v.Details) == 0 {
		t.Error("nothing for the log")
	}
}

// A trusted list has changed a message, and sealed that it was genuine before.
func TestJudgeSealed(t *testing.T) {
	d := world()
	sealer := &arc.Sealer{Domain: "lists.example", Selector: "s1", Key: crypto.Signer(testKey)}
	list := strings.Replace(text("bob@example.org"), "Subject: hello", "Subject: [list] hello", 1)
	set, err := sealer.Seal(strings.NewReader(list), arc.Chain{Result: mailauth.None}, "lists.example; dmarc=pass header.from=example.org")
	if err != nil {
		t.Fatal(err)
	}
	msg := string(set) + list
	p := testPolicy(d)
	if v := judge(t, p, elsewhere(), msg); v.Decision != Refuse || !strings.Contains(v.Results, "arc=pass") {
		t.Errorf("nobody is trusted: %s\n%s", v.Decision, v.Header)
	}
	p.Rules.Sealers = []string{"lists.example"}
	if v := judge(t, p, elsewhere(), msg); v.Decision != Accept || !strings.Contains(v.Reason, "lists.example, whose ARC seal is trusted") {
		t.Errorf("trusted: %s\n%s", v.Decision, v.Header)
	}
	if v := judge(t, p, elsewhere(), strings.Replace(msg, "[list]", "[evil]", 1)); v.Decision != Refuse {
		t.Errorf("changed after the seal: %s\n%s", v.Decision, v.Header)
	}
	d.fails = map[string]bool{"s1._domainkey.lists.example": true}
	if v := judge(t, p, elsewhere(), msg); v.Decision != Later {
		t.Errorf("the key does not come: %s\n%s", v.Decision, v.Header)
	} else if !strings.Contains(v.Results, "arc=fail\r\n\treason=") || !strings.Contains(v.Results, "could not be asked for") {
		t.Errorf("RFC 8617 section 10.1 has none, pass and fail: %s", v.Results)
	}
}

// An address that stands for everybody is used for nothing.
func TestJudgeNobodysAddress(t *testing.T) {
	a := arrival()
	a.IP = netip.Addr{}
	d := world()
	v := judge(t, testPolicy(d), a, text("bob@example.org"))
	if v.Decision != Junk || strings.Contains(v.Results, "spf=") || strings.Contains(v.Results, "iprev=") {
		t.Errorf("%s\n%s", v.Decision, v.Header)
	}
	if d.asked["example.org"] > 0 || d.asked["mx.example.org"] > 0 {
		t.Errorf("asked for %v", d.asked)
	}
}

// A null sender is judged by the HELO name, which is asked for once.
func TestJudgeNullSender(t *testing.T) {
	a := arrival()
	a.Sender = ""
	d := world()
	v := judge(t, testPolicy(d), a, text("mailer-daemon@example.org"))
	if v.Decision != Accept || strings.Count(v.Results, "spf=") != 1 || !strings.Contains(v.Results, "smtp.helo=mx.example.org") {
		t.Errorf("%s\n%s", v.Decision, v.Header)
	}
	if d.asked["mx.example.org"] > 2 { // its SPF, and its address
		t.Errorf("asked for %v", d.asked)
	}
}

// Without signatures and seals the message's body is not read.
func TestJudgeReadsNoBody(t *testing.T) {
	opened := 0
	v := testPolicy(world()).Begin(t.Context(), arrival())(t.Context(), func() (io.ReadCloser, error) {
		opened++
		return opener(text("bob@example.org"))()
	})
	if v.Decision != Accept || opened != 1 {
		t.Errorf("%s, read %d times", v.Decision, opened)
	}
}

// DNS that never answers costs Timeout and no more, and what was not learnt is no proof
// of guilt.
func TestJudgeInTime(t *testing.T) {
	for _, name := range []string{"_dmarc.example.org", "s1._domainkey.example.org", "example.org", "198.51.100.9", "all"} {
		synctest.Test(t, func(t *testing.T) {
			d := world()
			d.takes = map[string]time.Duration{name: time.Hour}
			if name == "all" {
				for n := range d.txt {
					d.takes[n] = time.Hour
				}
			}
			began := time.Now()
			v := judge(t, testPolicy(d), elsewhere(), sign(t, "example.org", text("bob@example.org")))
			if took := time.Since(began); took > defaultTimeout {
				t.Errorf("%s: took %s", name, took)
			}
			if v.Decision != Later && v.Decision != Accept {
				t.Errorf("%s: %s %q", name, v.Decision, v.Reason)
			}
		})
	}
}

// A message that cannot be read is our own fault, of which a stranger learns nothing.
func TestJudgeUnreadable(t *testing.T) {
	broken := errors.New("disk on fire at /var/lib")
	for n := range 3 {
		opened := 0
		v := testPolicy(world()).Begin(t.Context(), arrival())(t.Context(), func() (io.ReadCloser, error) {
			if opened++; opened > n {
				return nil, broken
			}
			return opener(sign(t, "example.org", text("bob@example.org")))()
		})
		if want := (n < 2); (v.Decision == Later) != want || strings.Contains(v.Reason, "/var") {
			t.Errorf("after %d readings: %s %q", n, v.Decision, v.Reason)
		}
	}
}

// However many connections bring large headers, only some are held in memory at once;
// those with small ones do not wait for them.
func TestJudgeLargeHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := world()
		d.takes = map[string]time.Duration{"_dmarc.example.org": 5 * time.Second}
		p := testPolicy(d)
		const class = len(larger) - 1
		of := func(size int64, from string) string { return strings.Repeat("X: y\r\n", int(size)/6+1) + text(from) }
		huge := of(larger[class].max/2, "bob@example.org")
		verdicts := make(chan Decision, 10*larger[class].places)
		for range cap(verdicts) {
			go func() { verdicts <- p.Begin(t.Context(), arrival())(t.Context(), opener(huge)).Decision }()
		}
		synctest.Wait()
		for i, c := range larger {
			if n, want := len(p.large[i]), c.places*(i/class); n != want {
				t.Errorf("%d of class %d are judged at once, not %d", n, i, want)
			}
		}
		began := time.Now()
		for _, size := range []int64{0, smallHeader, larger[0].max - 1000} {
			if v := judge(t, p, arrival(), of(size, "bob@quarantine.example")); v.Decision != Junk || time.Since(began) > 0 {
				t.Errorf("one of %d octets: %s after %s", size, v.Decision, time.Since(began))
			}
		}
		took := map[Decision]int{}
		for range cap(verdicts) {
			took[<-verdicts]++
		}
		if took[Accept] < larger[class].places || took[Accept]+took[Later] != cap(verdicts) || time.Since(began) > defaultTimeout || len(p.large[class]) != 0 {
			t.Errorf("%v after %s", took, time.Since(began))
		}
	})
}

// What a stranger writes does not get into the header but as printable ASCII of bounded
// length.
func TestJudgeHostile(t *testing.T) {
	a := elsewhere()
	a.Helo = "evil.example\r\nX-Injected: 1 \x00 ü " + strings.Repeat("x", 5000)
	a.Sender = "\"a\r\nX-Injected: 1\"@" + strings.Repeat("x.", 3000) + "example"
	a.Notes = []string{"note\r\nX-Injected: 1", strings.Repeat("y", 5000)}
	for _, msg := range []string{
		text("\"\r\n\r\n\" <bob@example.org>"), text("bob@" + strings.Repeat("x", 5000) + ".example"),
		text("bob@exämple.org"), "", "\r\n", ":\r\n\r\n", strings.Repeat("DKIM-Signature: v=1\r\n", 1000) + text("bob@example.org"),
		strings.Repeat("X: y\r\n", maxHeader/6+1) + text("bob@example.org"),
	} {
		v := judge(t, testPolicy(world()), a, msg)
		checkHeader(t, v)
		if strings.Contains(string(v.Header), "\r\nX-Injected") || len(v.Header) > 20_000 || len(v.Reason) > maxReason {
			t.Errorf("%.60q: %d octets of header, reason %d\n%.3000s", msg, len(v.Header), len(v.Reason), v.Header)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(text("bob@example.org"), "mx.example.org", "bob@example.org")
	f.Add("From: a@b\r\nFrom: c@d\r\n\r\n", "[192.0.2.1]", "")
	f.Add(sign(f, "example.org", text("bob@example.org")), "x", "\"@\"@example")
	f.Add("ARC-Seal: i=1; cv=none\r\nFrom: x\r\n\r\n", "", "<>")
	f.Fuzz(func(t *testing.T, msg, helo, sender string) {
		a := elsewhere()
		a.Helo, a.Sender, a.Notes = helo, sender, []string{helo}
		checkHeader(t, judge(t, testPolicy(world()), a, msg))
	})
}
