package policy

import "testing"

// Whose word for the author counts, and whose does not.
func TestAuthorIsProven(t *testing.T) {
	two := "From: bob@example.org, eve@example.org\r\nSubject: hello\r\n\r\ntext\r\n"
	for _, c := range []struct {
		name string
		a    Arrival
		msg  string
		want string
	}{
		{"DKIM", elsewhere(), sign(t, "example.org", text("bob@example.org")), "bob@example.org"},
		{"SPF", arrival(), text("Bob@example.org"), "Bob@example.org"},
		{"DKIM, nothing said for DMARC", elsewhere(), sign(t, "plain.example", text("bob@plain.example")), "bob@plain.example"},
		{"nothing, though p=none", elsewhere(), text("bob@none.example"), ""},
		{"nothing, no record", elsewhere(), text("bob@plain.example"), ""},
		{"another's signature", elsewhere(), sign(t, "lists.example", text("bob@example.org")), ""},
		{"two authors", arrival(), two, ""},
		{"two fields", arrival(), "From: eve@example.org\r\n" + text("bob@example.org"), ""},
		{"no author", arrival(), "Subject: hello\r\n\r\n", ""},
	} {
		if got := judge(t, testPolicy(world()), c.a, c.msg).Author; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
