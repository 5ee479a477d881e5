package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
)

// sample is a message with a text, its HTML and an attachment of size bytes in Base64.
func sample(size int, eol string) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(data)
	enc := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	b.WriteString(sampleHeader)
	for len(enc) > 76 {
		b.WriteString(enc[:76] + "\n")
		enc = enc[76:]
	}
	b.WriteString(enc + "\n--outer--\n")
	return []byte(strings.ReplaceAll(b.String(), "\n", eol))
}

const sampleHeader = `Received: from mail.example.org (mail.example.org [192.0.2.1])
	by mx.example.net with ESMTPS; Mon, 02 Mar 2026 10:00:00 +0100
From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.org>
To: "Doe, Jane" <jane@example.net>, team@example.net
Cc: archive@example.net
Subject: Quarterly report
Date: Mon, 02 Mar 2026 10:00:00 +0100
Message-ID: <20260302100000.1@example.org>
References: <1@example.net> <2@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

This is a multipart message.
--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Dear Jane, please find the report attached.
--inner
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>Dear Jane, please find the report attached.</p>
--inner--

--outer
Content-Type: application/pdf; name="report.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="report.pdf"

`

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{0, 100 << 10, 20 << 20} {
		for _, eol := range []string{"\r\n", "\n"} {
			msg := sample(size, eol)
			b.Run(fmt.Sprintf("%dKiB/%q", size>>10, eol), func(b *testing.B) {
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Parse(bytes.NewReader(msg), Limits{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkBinary(b *testing.B) {
	p, err := Parse(bytes.NewReader(sample(1000, "\n")), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	data, err := p.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data, _ = p.AppendBinary(data[:0])
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("decoder", func(b *testing.B) {
		b.ReportAllocs()
		var d Decoder
		text := string(data)
		for b.Loop() {
			if _, err := d.Part(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var q Part
			if err := q.UnmarshalBinary(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeText(b *testing.B) {
	data := []byte(strings.Repeat("RGVhciBKYW5lLCBwbGVhc2UgZmluZCB0aGUgcmVwb3J0IGF0dGFjaGVkLiBEZWFyIEphbmUsIHBs\r\n", 20000))
	for _, enc := range []string{"base64", "quoted-printable", "7bit"} {
		b.Run(enc, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := io.Copy(io.Discard, DecodeText(bytes.NewReader(data), enc, "utf-8")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseAddressList(b *testing.B) {
	s := strings.Repeat(`"Doe, Jane" <jane@example.net>, team@example.net (Team), `, 10)
	b.ReportAllocs()
	for b.Loop() {
		ParseAddressList(s)
	}
}

func BenchmarkTextDecoder(b *testing.B) {
	text := bytes.Repeat([]byte("quite ordinary text of some length, as it is in mail\r\n"), 200)
	for _, c := range []struct {
		encoding string
		text     []byte
	}{
		{"7bit", text},
		{"quoted-printable", bytes.ReplaceAll(text, []byte("ordinary"), []byte("gew=C3=B6hnlich="))},
		{"base64", bytes.Repeat([]byte("cXVpdGUgb3JkaW5hcnkgdGV4dCBvZiBzb21lIGxlbmd0aCwgYXMgaXQgaXMgaW4gbWFpbCBz\r\n"), 150)},
	} {
		b.Run(c.encoding, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			var d TextDecoder
			for b.Loop() {
				d.Decode(c.text, c.encoding, "utf-8")
			}
		})
	}
}
