package main

import (
	"encoding/json"
	"fmt"
	"net/smtp"
	"regexp"
	"strings"
	"testing"

	"kurir/internal/admin"
)

// TestTrace: the story of a message that came, of one that was refused, and of one that
// was sent, asked of the running server.
func TestTrace(t *testing.T) {
	s := newTestSite(t, "[inbound]", "greylist = false", "[tls]", `plaintext_login_networks = ["127.0.0.0/8"]`)
	s.world("elsewhere.test. 60 IN A 192.0.2.7\n")
	s.must("", "domain", "add", "example.test")
	s.must("local-only-1\n", "account", "add", "--password-stdin", "anna@example.test")
	srv := s.serve()
	i := srv.imap(t)
	contains(t, i.say("LOGIN anna@example.test local-only-1"), "a OK")
	contains(t, i.say("CREATE Shop"), "a OK")
	c, err := smtp.Dial(srv.address("127.0.0.1:40001"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("bob@elsewhere.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("nobody@example.test"); err == nil {
		t.Fatal("taken")
	}
	if err := c.Rcpt("anna+shop@example.test"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "From: bob@elsewhere.test\r\nMessage-ID: <one@elsewhere.test>\r\nSubject: secret plan\r\n\r\nHello\r\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	story := s.must("", "trace", "ANNA@example.test")
	contains(t, story, "from bob@elsewhere.test to nobody@example.test, anna+shop@example.test", ": delivered, refused\n", "Message-ID <one@elsewhere.test>",
		"came from localhost (", "judged: to be taken", "delivered to anna@example.test, Shop ", "(as anna+shop@example.test)")
	if strings.Contains(story, "secret plan") {
		t.Error("the subject is kept")
	}
	id := regexp.MustCompile(`(?m)^(\S+-1)  from`).FindStringSubmatch(story)
	if id == nil {
		t.Fatalf("no id in %s", story)
	}
	contains(t, srv.console.err.String(), "id="+id[1])
	for _, what := range []string{id[1], strings.TrimSuffix(id[1], "-1"), "<one@elsewhere.test>", "anna+shop@example.test"} {
		contains(t, s.must("", "trace", what), "delivered to anna@example.test")
	}
	contains(t, s.must("", "trace", "nobody@example.test"), ": delivered, refused", "the recipient nobody@example.test was refused: 550 5.1.1 ")

	s.must("Subject: x\n\nHello\n", "send", "--from", "anna@example.test", "bob@other.test")
	var all []admin.TracedMessage
	for len(all) == 0 || all[0].Outcome == "waits" || all[0].Outcome == "under way" {
		if err := json.Unmarshal([]byte(s.must("", "trace", "--json", "bob@other.test")), &all); err != nil || len(all) != 1 {
			t.Fatalf("%v, %+v", err, all)
		}
	}
	contains(t, s.must("", "trace", all[0].ID), "came from a program of this machine", "handed to the queue for bob@other.test", "returned: refused for bob@other.test: other.test does not exist", "a report was written: ")
	if all[0].Outcome != "returned" || all[0].Sender != "anna@example.test" || all[0].Steps[0].Kind != "received" {
		t.Errorf("%+v", all[0])
	}
	for range 3 {
		s.must("Subject: x\n\nHello\n", "send", "--from", "anna@example.test", "anna@example.test")
	}
	table := s.must("", "trace", "anna@example.test")
	contains(t, table, "TIME", "OUTCOME", "returned", "delivered")
	contains(t, s.must("", "trace", "--full", "--limit", "6", "anna@example.test"), "came from a program of this machine", "came from localhost")
	for _, bad := range []string{"no-such-id", "stranger@example.test"} {
		if code, _, errs := s.do("", "trace", bad); code != exitFailed || !strings.Contains(errs, "nothing is known of "+bad) {
			t.Errorf("%s: exit %d: %s", bad, code, errs)
		}
	}
	srv.stop()
	contains(t, s.must("", "trace", id[1]), "delivered to anna@example.test") // it outlives the server
	for _, bad := range [][]string{{"trace"}, {"trace", "x", "--since", "soon"}, {"trace", "x", "--limit", "0"}} {
		if code, _, _ := s.do("", bad...); code != exitUsage {
			t.Errorf("%v: exit %d", bad, code)
		}
	}
}
