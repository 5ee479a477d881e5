package setup

import (
	"strings"
	"testing"
	"time"
)

func TestTest(t *testing.T) {
	taken := MailEvent{Kind: "accepted"}
	for _, c := range []struct {
		name   string
		events []MailEvent
		waits  bool
		want   Outcome
		text   string // in the text
		do     string
	}{
		{"sent", []MailEvent{taken, {Kind: "sent", Host: "mx.b.test", TLS: "TLS 1.3, mx.b.test", Code: 250}}, false, OK, "taken by mx.b.test for me@b.test. With TLS 1.3, mx.b.test.", "answer it"},
		{"sent in clear", []MailEvent{taken, {Kind: "sent", Host: "mx.b.test", Code: 250}}, false, OK, "Without TLS.", "answer it"},
		{"greylisted", []MailEvent{taken, {Kind: "deferred", Host: "mx.b.test", Code: 451, Status: "4.7.1", Reply: "come back"}}, true, Todo, "mx.b.test does not take the test message yet: 451 4.7.1 come back", "kurir queue show q1"},
		{"greylisted, then sent", []MailEvent{taken, {Kind: "deferred", Code: 451}, {Kind: "sent", Host: "mx.b.test", Code: 250}}, false, OK, "taken by mx.b.test", ""},
		{"blocked", []MailEvent{taken, {Kind: "deferred", Reply: "mx.b.test: connection timed out"}}, true, Todo, "has not left yet: mx.b.test: connection timed out", "blocks port 25"},
		{"no DNS", []MailEvent{taken, {Kind: "deferred"}}, true, Todo, "no server of me@b.test was reached", "DNS works"},
		{"refused for its name", []MailEvent{taken, {Kind: "failed", Host: "mx.b.test", Code: 550, Status: "5.7.25", Reply: "no PTR"}}, false, Todo, "refused by mx.b.test: 550 5.7.25 no PTR", "leads back to it (PTR)"},
		{"failed, and the report of it", []MailEvent{taken, {Kind: "failed", Host: "mx.b.test", Code: 550, Reply: "no"}, {Kind: "notice", Reply: "q2"}}, false, Todo, "refused by mx.b.test: 550 no", "who refused it"},
		{"returned", []MailEvent{taken, {Kind: "failed", Status: "5.1.2", Reply: "b.test does not exist in the DNS."}}, false, Todo, "was returned: 5.1.2 b.test does", "no such domain"},
		{"held", []MailEvent{taken, {Kind: "held", Reply: "limit"}}, true, Todo, "waits for you: limit", "kurir queue release q1"},
		{"slow", []MailEvent{taken}, true, Todo, "After 30s", "kurir queue show q1"},
		{"nothing known", nil, true, Todo, "After 30s", "kurir queue show q1"},
	} {
		s := Test("me@b.test", "q1", c.events, c.waits, 30*time.Second)
		if s.Outcome != c.want || !strings.Contains(s.Text, c.text) || !strings.Contains(s.Do, c.do) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestRefusal(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.7.26 unauthenticated":              "records in the DNS",
		"554 blocked using zen.spamhaus.org":      "bad name",
		"5.1.2 b.test does not exist in the DNS.": "no such domain",
		"550 5.1.1 no such user":                  "does not exist there",
		"450 cannot find your reverse hostname":   "(PTR)",
		"550 no":                                  "in the words of who refused it",
	} {
		if got := Refusal(MailEvent{Reply: reply}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", reply, got)
		}
	}
}
