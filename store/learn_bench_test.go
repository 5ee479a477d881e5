package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/message"
)

// mailText is a message with a text and a part in Base64, of about size bytes.
func mailText(i, size int) string {
	line := strings.Repeat("QUJD", 19) + "\n"
	return fmt.Sprintf("Received: from mail.example.org (mail.example.org [192.0.2.1])\n\tby mx.example.net with ESMTPS; Mon, 02 Mar 2026 10:00:00 +0100\n"+
		"From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.org>\nTo: \"Doe, Jane\" <jane@example.net>, team@example.net\n"+
		"Subject: Report no %d\nDate: Mon, 02 Mar 2026 10:00:00 +0100\nMessage-ID: <%d@example.org>\nReferences: <1@example.net> <2@example.org>\n"+
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"outer\"\n\n--outer\nContent-Type: text/plain; charset=utf-8\n\nDear Jane,\n--outer\n"+
		"Content-Type: application/pdf; name=\"report.pdf\"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"report.pdf\"\n\n%s--outer--\n",
		i, i, strings.Repeat(line, size/len(line)))
}

// benchMail opens a mailbox of n such messages.
func benchMail(b *testing.B, n, size int) *View {
	_, a, m := openBench(b, 0)
	dir := filepath.Join(a.dir, "new")
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.M%dP1Q%d.bench", 1700000000+i, i, i)), []byte(mailText(i, size)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	m.newDirty.Store(true)
	v, err := m.View(b.Context())
	if err != nil || v.Count() != n {
		b.Fatal(v, err)
	}
	b.Cleanup(v.Close)
	return v
}

// BenchmarkStructures is FETCH 1:* (ENVELOPE BODYSTRUCTURE) without IMAP.
func BenchmarkStructures(b *testing.B) {
	const n = 10000
	v := benchMail(b, n, 16<<10)
	walk := func() {
		if err := v.Structures(b.Context(), v.UIDs(), func(int, *message.Part) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("first", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			if err := v.m.a.index().flushKept(); err != nil {
				b.Fatal(err)
			}
			if _, err := v.m.a.index().db.Exec("DELETE FROM kept"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			walk()
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			walk()
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
	})
}

// BenchmarkHeadingHas is SEARCH SUBJECT.
func BenchmarkHeadingHas(b *testing.B) {
	const n = 20000
	v := benchMail(b, n, 100)
	for b.Loop() {
		if got, err := v.headingHas(b.Context(), v.UIDs(), message.FieldSubject, []byte("NO 77")); err != nil || len(got) != 111 {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
}
