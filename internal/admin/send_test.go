package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
)

// submitter is Operations whose Send does what the test says.
type submitter struct {
	recorder
	send func(o Outgoing, m io.Reader) (Sent, error)
}

func (s *submitter) Send(_ context.Context, o Outgoing, m io.Reader) (Sent, error) {
	return s.send(o, m)
}

// pattern is n bytes that differ from place to place.
type pattern struct{ at, n int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.n-p.at))
	for i := range n {
		b[i] = byte((p.at + int64(i)) % 251)
	}
	p.at += int64(n)
	return n, nil
}

// TestSendStreams: a message much larger than any buffer arrives whole, while it is read.
func TestSendStreams(t *testing.T) {
	const size = 64 << 20
	o := &submitter{}
	started := make(chan struct{})
	o.send = func(_ Outgoing, m io.Reader) (Sent, error) {
		b := make([]byte, 251)
		for n := int64(0); ; n += int64(len(b)) {
			k, err := io.ReadFull(m, b)
			if n == 0 {
				close(started)
			}
			for i := range k {
				if b[i] != byte((n+int64(i))%251) {
					return Sent{}, fmt.Errorf("byte %d is another", n+int64(i))
				}
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF && n+int64(k) == size {
				return Sent{ID: fmt.Sprint(n + int64(k))}, nil
			}
			if err != nil {
				return Sent{}, err
			}
		}
	}
	path, _ := start(t, o)
	c := NewClient(path)
	defer c.Close()
	first := &pattern{n: 1 << 20}
	rest := &pattern{at: 1 << 20, n: size}
	wait := readerFunc(func([]byte) (int, error) { <-started; return 0, io.EOF })
	sent, err := c.Send(t.Context(), Outgoing{To: []string{"a@b.test"}}, io.MultiReader(first, wait, rest))
	if err != nil || sent.ID != fmt.Sprint(size) {
		t.Errorf("%+v, %v", sent, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSendRefused: the server's words arrive, whether it has read the message or not; if
// not, the message is not asked for.
func TestSendRefused(t *testing.T) {
	want := &NotSent{Refused: []Refused{{"a@b.test", 450, "4.2.1", "later\nor never"}, {"", 550, "", "no"}}}
	for _, n := range []int64{0, 1, 1 << 20, 1 << 40} {
		o := &submitter{send: func(_ Outgoing, m io.Reader) (Sent, error) {
			_, _ = io.Copy(io.Discard, io.LimitReader(m, n))
			return Sent{}, fmt.Errorf("wrapped: %w", want)
		}}
		path, _ := start(t, o)
		c := NewClient(path)
		message := &pattern{n: 8 << 20}
		_, err := c.Send(t.Context(), Outgoing{To: []string{"a@b.test"}}, message)
		var not *NotSent
		if !errors.As(err, &not) || !reflect.DeepEqual(not, want) {
			t.Errorf("%d bytes read: %v", n, err)
		}
		if n == 0 && message.at != 0 {
			t.Errorf("%d bytes were sent for nothing", message.at)
		}
		c.Close()
	}
	if text := want.Error(); text != "the message was not sent\na@b.test: 450 4.2.1 later or never\n550 no" || want.Temporary() {
		t.Errorf("%q", text)
	}
	if !(&NotSent{Refused: want.Refused[:1]}).Temporary() {
		t.Error("a 450 is temporary")
	}
}

// TestSendCutOff: half a message is an error on both sides, never a shorter message.
func TestSendCutOff(t *testing.T) {
	read := make(chan error, 1)
	o := &submitter{send: func(_ Outgoing, m io.Reader) (Sent, error) {
		_, err := io.Copy(io.Discard, m)
		read <- err
		return Sent{ID: "x"}, err
	}}
	path, _ := start(t, o)
	c := NewClient(path)
	defer c.Close()
	broken := io.MultiReader(&pattern{n: 100_000}, readerFunc(func([]byte) (int, error) { return 0, os.ErrClosed }))
	if _, err := c.Send(t.Context(), Outgoing{To: []string{"a@b.test"}}, broken); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "reading the message") {
		t.Errorf("the client: %v", err)
	}
	if err := <-read; err == nil {
		t.Error("the server took half a message for a whole one")
	}
}

func TestSendBounds(t *testing.T) {
	o := &submitter{send: func(o Outgoing, m io.Reader) (Sent, error) {
		_, err := io.Copy(io.Discard, m)
		return Sent{ID: fmt.Sprint(len(o.To))}, err
	}}
	path, _ := start(t, o)
	c := NewClient(path)
	defer c.Close()
	many := Outgoing{To: make([]string, 5000)}
	for i := range many.To {
		many.To[i] = fmt.Sprintf("recipient-%d@a-domain-with-some-length.test", i)
	}
	if sent, err := c.Send(t.Context(), many, strings.NewReader("\n")); err != nil || sent.ID != "5000" {
		t.Errorf("5000 recipients: %+v, %v", sent, err)
	}
	many.To = append(append(many.To, many.To...), many.To...)
	if _, err := c.Send(t.Context(), many, strings.NewReader("\n")); err == nil || !strings.Contains(err.Error(), "15000 recipients are too many") {
		t.Errorf("15000 recipients: %v", err)
	}
	for _, envelope := range []string{"", "{", `{"colour": "red"}`, `[]`} {
		req, err := c.request(t.Context(), "send", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(envelopeHeader, envelope)
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("envelope %q: %s", envelope, resp.Status)
		}
	}
}

// TestSendCompletes: whom a local program means by a name without a domain.
func TestSendCompletes(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.Hostname = "mail.example.test"
	w.add("alice@example.test")
	var got []string
	w.Submit = func(_ context.Context, o Outgoing, _ io.Reader) (Sent, error) {
		got = o.To
		return Sent{}, nil
	}
	check := func(to, want string) {
		t.Helper()
		asked := []string{to}
		_, err := w.Send(ctx, Outgoing{To: asked}, strings.NewReader(""))
		w.ok(err)
		if len(got) != 1 || got[0] != want || asked[0] != to {
			t.Errorf("%s is completed to %q, want %s", to, got, want)
		}
	}
	check("alice@elsewhere.test", "alice@elsewhere.test")
	check("alice", "alice@example.test")
	check("Alice@Mail.Example.test", "Alice@example.test")
	check("alice@localhost", "alice@example.test")
	check("alice+cron", "alice+cron@example.test")
	check("postmaster", "postmaster")
	check("root", "postmaster@example.test")
	check("root@mail.example.test", "postmaster@example.test")
	check("not an address", "postmaster@example.test")
	w.Admin = func() string { return "admin@elsewhere.test" }
	check("root", "admin@elsewhere.test")
	check("www-data@localhost", "admin@elsewhere.test")
	check("alice", "alice@example.test")
	for from, want := range map[string]string{
		"": "", "x@elsewhere.test": "x@elsewhere.test", "alice@mail.example.test": "alice@example.test", "root@mail.example.test": "admin@elsewhere.test", "postmaster": "postmaster",
	} {
		var got string
		s := &Service{Directory: w.Directory, Hostname: w.Hostname, Admin: w.Admin}
		s.Submit = func(_ context.Context, o Outgoing, _ io.Reader) (Sent, error) {
			got = o.From
			return Sent{}, nil
		}
		if _, err := s.Send(ctx, Outgoing{From: from, To: []string{"a@b.test"}}, strings.NewReader("")); err != nil || got != want {
			t.Errorf("the sender %q is completed to %q, %v", from, got, err)
		}
	}
	// A host name that is a domain of its own is left to the directory.
	w.Hostname = "example.test"
	check("nobody@example.test", "nobody@example.test")
	// No domain fits the host name: with one domain there is no doubt, with two there is.
	w.Hostname = "mx.elsewhere.test"
	check("alice", "alice@example.test")
	w.ok(w.AddDomain(ctx, "example.org"))
	check("alice", "admin@elsewhere.test")
	w.Admin = nil
	check("alice", "postmaster")
	if _, err := w.Send(ctx, Outgoing{}, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "no recipient") {
		t.Errorf("without recipients: %v", err)
	}
}
