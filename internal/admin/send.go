package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"kurir/internal/directory"
)

// Outgoing is the envelope of a message that a program of this machine sends.
type Outgoing struct {
	From string `json:"from"` // reverse-path; empty: null. At this server's host name it is completed as To is
	// To are addresses. A name without a domain, or at this server's own host name, is
	// that of an account of its own domain or else means the administrator.
	To     []string `json:"to"`
	Notify string   `json:"notify,omitempty"` // as in RCPT: "NEVER" or some of "SUCCESS,FAILURE,DELAY"
	Ret    string   `json:"ret,omitempty"`    // as in MAIL: "FULL" or "HDRS"
	EnvID  string   `json:"envid,omitempty"`  // as the sender wrote it, not as xtext
	UTF8   bool     `json:"utf8,omitempty"`   // the header or an address is not ASCII
}

// Sent is a message that was taken.
type Sent struct {
	ID      string    `json:"id"`                // in the log and the queue
	Held    string    `json:"held,omitempty"`    // why it waits for the administrator; empty: it does not
	Refused []Refused `json:"refused,omitempty"` // recipients that do not get it; others do
}

// Refused is what a server answered instead of taking a message, or one recipient of it.
type Refused struct {
	Recipient string `json:"recipient,omitempty"` // empty: the message as a whole
	Code      int    `json:"code"`
	Status    string `json:"status,omitempty"` // RFC 3463
	Text      string `json:"text"`
}

// String is the answer in one line, behind the recipient.
func (r Refused) String() string {
	words := []string{fmt.Sprint(r.Code), r.Status, strings.ReplaceAll(r.Text, "\n", " ")}
	s := strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
	if r.Recipient != "" {
		s = r.Recipient + ": " + s
	}
	return s
}

// NotSent is the error of a message that nobody gets. It crosses the socket whole.
type NotSent struct {
	Refused []Refused // for the message as a whole, or for each of its recipients
}

// Error is a line for each refusal.
func (n *NotSent) Error() string {
	lines := []string{"the message was not sent"}
	for _, r := range n.Refused {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}

// Temporary tells whether it may work later.
func (n *NotSent) Temporary() bool {
	return !slices.ContainsFunc(n.Refused, func(r Refused) bool { return r.Code/100 != 4 })
}

// Send implements Operations.
func (s *Service) Send(ctx context.Context, o Outgoing, message io.Reader) (Sent, error) {
	if len(o.To) == 0 {
		return Sent{}, &invalid{"the message has no recipient"}
	}
	o.To = slices.Clone(o.To)
	for i, to := range o.To {
		full, err := s.complete(ctx, to)
		if err != nil {
			return Sent{}, err
		}
		o.To[i] = full
	}
	if o.From != "" {
		// Reports to a user of this machine have to reach somebody.
		full, err := s.complete(ctx, o.From)
		if err != nil {
			return Sent{}, err
		}
		if strings.Contains(full, "@") {
			o.From = full
		}
	}
	return s.Submit(ctx, o, message)
}

// complete gives a recipient without a domain of its own one: a local program means a
// user of this machine, who may have an account of the same name. All others, as root
// and the names that services run under, are the administrator's.
func (s *Service) complete(ctx context.Context, to string) (string, error) {
	at := strings.LastIndexByte(to, '@')
	name := to
	if at >= 0 {
		domain := strings.TrimSuffix(to[at+1:], ".")
		if !strings.EqualFold(domain, s.Hostname) && !strings.EqualFold(domain, "localhost") {
			return to, nil
		}
		name = to[:at]
		if known, err := s.hasDomain(ctx, domain); known || err != nil {
			return to, err
		}
	}
	if strings.EqualFold(name, "postmaster") {
		return name, nil // RFC 5321 section 4.5.1
	}
	domain, err := s.ownDomain(ctx)
	if err != nil {
		return "", err
	}
	if domain != "" {
		_, err := s.Directory.Resolve(ctx, name+"@"+domain)
		switch {
		case err == nil:
			return name + "@" + domain, nil
		case !errors.Is(err, directory.ErrNoAccount) && !errors.Is(err, directory.ErrInvalidAddress) && !errors.Is(err, directory.ErrLoop):
			return "", err
		}
	}
	admin := ""
	if s.Admin != nil {
		admin = s.Admin()
	}
	switch {
	case admin != "":
		return admin, nil
	case domain != "":
		return "postmaster@" + domain, nil
	}
	return "postmaster", nil
}

func (s *Service) hasDomain(ctx context.Context, name string) (bool, error) {
	all, err := s.Directory.ListDomains(ctx)
	return slices.ContainsFunc(all, func(d directory.Domain) bool { return strings.EqualFold(d.Name, name) }), err
}

// ownDomain is the domain that this server's host name is in, or the only one there is;
// "" if neither is.
func (s *Service) ownDomain(ctx context.Context) (string, error) {
	all, err := s.Directory.ListDomains(ctx)
	if err != nil {
		return "", err
	}
	for name := strings.ToLower(s.Hostname); name != ""; _, name, _ = strings.Cut(name, ".") {
		if slices.ContainsFunc(all, func(d directory.Domain) bool { return d.Name == name }) {
			return name, nil
		}
	}
	all = slices.DeleteFunc(all, func(d directory.Domain) bool { return d.AliasOf != "" })
	if len(all) == 1 {
		return all[0].Name, nil
	}
	return "", nil
}

// On the socket, Send has its envelope in a header and the message as it is in the body,
// so that it can be of any size. The server's limit is that of its own SMTP.
const (
	envelopeHeader = "Kurir-Envelope"
	maxEnvelope    = 512 << 10 // bytes of JSON
	maxDrain       = 1 << 30   // bytes of a refused message that are read, so that its sender hears why
)

// Send implements Operations. The message goes out as it is read; if reading it fails,
// nobody gets it, and the error is the reader's.
func (c *Client) Send(ctx context.Context, o Outgoing, message io.Reader) (Sent, error) {
	envelope, err := json.Marshal(o)
	if err != nil {
		return Sent{}, err
	}
	if len(envelope) > maxEnvelope {
		return Sent{}, fmt.Errorf("%d recipients are too many for one message", len(o.To))
	}
	body := &rememberer{r: message}
	req, err := c.request(ctx, "send", body)
	if err != nil {
		return Sent{}, err
	}
	req.Header.Set(envelopeHeader, string(envelope))
	req.Header.Set("Expect", "100-continue") // recipients that are refused spare the message
	sent, err := answerTo[Sent](c, "send", req)
	if failed := body.err.Load(); err != nil && failed != nil {
		err = fmt.Errorf("reading the message: %w", *failed)
	}
	return sent, err
}

// rememberer remembers the error of its reader, and whether it was read at all. HTTP may
// still read when the answer is there.
type rememberer struct {
	r    io.Reader
	read atomic.Bool
	err  atomic.Pointer[error]
}

func (r *rememberer) Read(p []byte) (int, error) {
	r.read.Store(true)
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err.Store(&err)
	}
	return n, err
}

// send serves Send.
func (s *Server) send(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	var o Outgoing
	dec := json.NewDecoder(strings.NewReader(r.Header.Get(envelopeHeader)))
	dec.DisallowUnknownFields()
	err := dec.Decode(&o)
	if err != nil {
		s.refuse(w, r, log, "send", &badRequest{fmt.Errorf("%s: %w", envelopeHeader, err)})
		return
	}
	body := &rememberer{r: r.Body}
	sent, err := s.Operations.Send(r.Context(), o, body)
	if err != nil {
		if body.read.Load() && body.err.Load() == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain))
		}
		s.refuse(w, r, log, "send", err)
		return
	}
	log.Info("control socket: done", "operation", "send", "subject", sent.ID, "from", o.From, "recipients", len(o.To)-len(sent.Refused))
	reply(w, http.StatusOK, sent)
}
