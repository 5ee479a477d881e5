package mailauth

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

// BenchmarkAll is what a message of a stranger costs: SPF with an include, iprev, two DKIM
// signatures, DMARC and the field that tells of them, the DNS in the cache.
func BenchmarkAll(b *testing.B) {
	s := dnstest.Start(b, fmt.Sprintf(`
example.org.                TXT "v=spf1 include:more.example.org -all"
more.example.org.           TXT "v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all"
_dmarc.example.org.         TXT "v=DMARC1; p=reject"
s._domainkey.example.org.   TXT %s
1.2.0.192.in-addr.arpa.     PTR mx.example.org.
mx.example.org.             A 192.0.2.1`, strings.ReplaceAll(quotedTXT(published(keys()["2048"])), ";", `\;`)))
	r := &dnsutil.Resolver{Servers: []string{s.Addr()}, Timeout: 5 * time.Second}
	for _, size := range []int{10 << 10, 1 << 20} {
		body := strings.Repeat("A line of text as people write it, with some words in it, and no more.\r\n", size/72)
		text := signed(b, "2048", "relaxed/relaxed", signed(b, "2048", "relaxed/relaxed", letterHeader+body))
		for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("%dK/%d", size>>10, workers), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				b.SetParallelism(1)
				if workers == 1 {
					for b.Loop() {
						checkAll(b, r, text)
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						checkAll(b, r, text)
					}
				})
			})
		}
	}
}

func checkAll(b *testing.B, r Resolver, text string) {
	s := CheckSPF(b.Context(), r, testIP, "mx.example.org", "a@example.org")
	rev := CheckIPRev(b.Context(), r, testIP)
	signatures, err := VerifyDKIM(b.Context(), r, strings.NewReader(text))
	m := EvaluateDMARC(b.Context(), r, "example.org", s, signatures)
	if s.Result != Pass || rev.Result != Pass || m.Result != Pass || len(signatures) != 2 || err != nil {
		b.Error(s, rev, m, signatures, err)
	}
	results := Results{ID: "mx.example.net", Methods: []Method{
		{"spf", s.Result, s.Reason, []Property{{"smtp", "mailfrom", s.Domain}}},
		{"dmarc", m.Result, m.Reason, []Property{{"header", "from", m.From}}},
	}}
	if results.Format() == "" {
		b.Error("no field")
	}
}

// quotedTXT is a record in strings of at most 255 octets.
func quotedTXT(text string) string {
	var parts []string
	for len(text) > 0 {
		n := min(len(text), 255)
		parts = append(parts, `"`+text[:n]+`"`)
		text = text[n:]
	}
	return strings.Join(parts, " ")
}
