package policy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/message"
)

// results are those of Authentication-Results (RFC 8601): of each check that was made.
func results(hostname string, a Arrival, f facts) mailauth.Results {
	r := mailauth.Results{ID: hostname}
	add := func(name string, result mailauth.Result, reason string, props ...mailauth.Property) {
		if result == "" {
			return
		}
		if result == mailauth.Pass || result == mailauth.None {
			reason = ""
		}
		m := mailauth.Method{Name: name, Result: result, Reason: plain(reason)}
		for _, p := range props {
			if p.Value != "" {
				m.Properties = append(m.Properties, p)
			}
		}
		r.Methods = append(r.Methods, m)
	}
	if !f.spf.Helo {
		add("spf", f.spf.Result, f.spf.Reason, mailauth.Property{Type: "smtp", Name: "mailfrom", Value: mailFrom(a, f)})
	} else {
		add("spf", f.spf.Result, f.spf.Reason, mailauth.Property{Type: "smtp", Name: "helo", Value: f.spf.Domain})
	}
	add("spf", f.helo.Result, f.helo.Reason, mailauth.Property{Type: "smtp", Name: "helo", Value: orElse(f.helo.Domain, plain(a.Helo))})
	for _, d := range f.dkim {
		add("dkim", d.Result, d.Reason,
			mailauth.Property{Type: "header", Name: "d", Value: d.Domain}, mailauth.Property{Type: "header", Name: "i", Value: ascii(d.Identity)},
			mailauth.Property{Type: "header", Name: "s", Value: d.Selector}, mailauth.Property{Type: "header", Name: "a", Value: d.Algorithm},
			mailauth.Property{Type: "header", Name: "b", Value: d.B[:min(len(d.B), 8)]})
	}
	if len(f.dkim) == 0 {
		add("dkim", mailauth.None, "")
	}
	add("dmarc", f.dmarc.Result, f.dmarc.Reason,
		mailauth.Property{Type: "header", Name: "from", Value: f.from}, mailauth.Property{Type: "policy", Name: "dmarc", Value: f.dmarc.Policy})
	switch f.chain.Result {
	case mailauth.None:
	case mailauth.TempError: // there is no such result of a chain (RFC 8617 sections 5.2.1 and 10.1)
		add("arc", mailauth.Fail, f.chain.Reason)
	default:
		add("arc", f.chain.Result, f.chain.Reason, oldestPass(f))
	}
	if a.IP.IsValid() {
		add("iprev", f.iprev.Result, "", mailauth.Property{Type: "policy", Name: "iprev", Value: a.IP.String()})
	}
	return r
}

// mailFrom is the sender, or its domain alone where that is in ASCII and the sender is
// not: a header that needed no SMTPUTF8 is not to need it for what stands here.
func mailFrom(a Arrival, f facts) string {
	return orElse(ascii(a.Sender), ascii(f.spf.Domain))
}

// ascii is s, or nothing if it is not in printable ASCII.
func ascii(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return ""
	}
	return s
}

// oldestPass is a property of a chain that passed (RFC 8617 section 7.1).
func oldestPass(f facts) mailauth.Property {
	p := mailauth.Property{Type: "header", Name: "oldest-pass"}
	if f.chain.Result == mailauth.Pass {
		p.Value = strconv.Itoa(f.chain.OldestPass)
	}
	return p
}

// reasonField is the field that says what became of a message, and why.
const reasonField = "X-Kurir-Reason"

// maxOwn bounds what of a message is looked at for the fields that this server put on top.
const maxOwn = 128 << 10

// IsJunk tells whether a message that was taken, with its fields on top, had the verdict
// Junk. It looks no further than the Received field that was put in with them.
func IsJunk(msg io.Reader) bool {
	raw, err := message.ReadHeader(bufio.NewReader(msg), maxOwn)
	if err != nil && !errors.Is(err, message.ErrHeaderTooLong) {
		return false
	}
	for f := range message.Fields(raw) {
		switch {
		case strings.EqualFold(f.Name, "Received"):
			return false
		case strings.EqualFold(f.Name, reasonField):
			_, value, _ := strings.Cut(string(f.Raw), ":")
			return strings.HasPrefix(strings.TrimSpace(value), Junk.String()+":")
		}
	}
	return false
}

// header writes the fields that come on top of a message that is taken.
func header(v Verdict, a Arrival) []byte {
	b := fmt.Appendf(nil, "Authentication-Results: %s\r\n", v.Results)
	text := v.Decision.String() + ": " + v.Reason
	if len(a.Notes) > 0 {
		text += "; noticed before: " + plain(strings.Join(a.Notes, "; "))
	}
	return appendFolded(b, reasonField+": "+text)
}

// maxLine is where a field is folded (RFC 5322 section 2.1.1).
const maxLine = 78

// appendFolded appends a field, folded at its blanks where that is possible, and its CRLF.
func appendFolded(b []byte, field string) []byte {
	line := 0
	for i, word := range strings.Fields(field) {
		switch {
		case i == 0:
		case line+1+len(word) > maxLine && i > 1:
			b = append(b, "\r\n"...)
			line = 0
			fallthrough
		default:
			b = append(b, ' ')
			line++
		}
		b = append(b, word...)
		line += len(word)
	}
	return append(b, "\r\n"...)
}

// details are for the log: the reason, and each result with the domain that it is about.
func details(v Verdict, a Arrival, f facts, took time.Duration) []slog.Attr {
	about := func(r mailauth.Result, domain string) string {
		if r == "" {
			return "unchecked"
		}
		return strings.TrimSpace(string(r) + " " + plain(domain))
	}
	var dkim []string
	for _, d := range f.dkim {
		dkim = append(dkim, about(d.Result, d.Domain))
	}
	return []slog.Attr{
		slog.String("verdict", v.Decision.String()), slog.String("reason", v.Reason), slog.String("author", f.from),
		slog.String("spf", about(f.spf.Result, f.spf.Domain)), slog.String("helo", about(f.helo.Result, f.helo.Domain)),
		slog.String("dkim", orElse(strings.Join(dkim, ", "), string(mailauth.None))),
		slog.String("dmarc", about(f.dmarc.Result, f.dmarc.Domain)), slog.String("policy", f.dmarc.Policy),
		slog.String("arc", orElse(string(f.chain.Result), string(mailauth.None))), slog.String("iprev", about(f.iprev.Result, f.iprev.Name)),
		slog.String("noticed", strings.Join(a.Notes, "; ")), slog.Duration("took", took),
	}
}
