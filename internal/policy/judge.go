package policy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
	"kurir/internal/message"
)

// Policy judges messages. Its fields must not change once it is in use. The zero value of
// an option is its documented default.
type Policy struct {
	Hostname string            // our name in Authentication-Results
	Resolver mailauth.Resolver // must be set
	Rules    Rules
	// Own tells whether mail for a domain is received here; nil: none is. Hostname is our
	// own besides: notices come from there.
	Own     func(ctx context.Context, domain string) (bool, error)
	Timeout time.Duration // for a whole message once it has come; zero means 30 seconds
	Log     *slog.Logger  // zero means slog.Default

	// Observe is told each decision, and how long it took once the message had come.
	Observe func(Decision, time.Duration)

	once  sync.Once
	large [len(larger)]chan struct{} // a place for each judgment of a large header
}

const (
	defaultTimeout = 30 * time.Second
	// maxHeader bounds what of a header is looked at for its author. Longer ones have none.
	maxHeader = 1 << 20
	// Headers up to smallHeader are judged at once, however many; of larger ones only some
	// at a time, which bounds the memory for all connections.
	smallHeader = 32 << 10
)

// larger are the classes of larger headers, with so many places each: whoever fills those
// of headers as large as nobody has does not keep out mail to some hundred recipients.
var larger = [...]struct {
	max    int64
	places int
}{{128 << 10, 128}, {maxHeader, 16}}

var (
	errLate = errors.New("checks took too long")
	errBusy = errors.New("too many messages with large headers at once")
)

// Begin asks the DNS what needs no message: SPF, and the name of the address. The func
// that it returns judges the message itself; it returns within Timeout, and ends no later
// than its context. What is not known by then is a temporary error.
func (p *Policy) Begin(ctx context.Context, a Arrival) func(context.Context, Open) Verdict {
	e := p.ask(ctx, a)
	return func(ctx context.Context, open Open) Verdict {
		began := time.Now()
		timeout := p.Timeout
		if timeout == 0 {
			timeout = defaultTimeout
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		f := p.find(ctx, timeout, e, open)
		v := decide(p.Rules, a, f)
		v.Reason = plain(v.Reason)
		v.Results = results(p.Hostname, a, f).Format()
		v.Chain = f.chain
		v.Author = f.provenAuthor(p.Rules.Sealers)
		v.Header = header(v, a)
		v.Details = details(v, a, f, time.Since(began))
		if p.Observe != nil {
			p.Observe(v.Decision, time.Since(began))
		}
		return v
	}
}

// early are the answers to questions that need no message.
type early struct {
	spf   chan mailauth.SPF // of the sender, or the HELO name of a null sender
	helo  chan mailauth.SPF // nil: not asked
	iprev chan mailauth.IPRev
}

// ask begins to ask. All of it ends with ctx; nobody need wait.
func (p *Policy) ask(ctx context.Context, a Arrival) (e early) {
	if !a.IP.IsValid() {
		return e
	}
	e.spf, e.iprev = make(chan mailauth.SPF, 1), make(chan mailauth.IPRev, 1)
	go func() { e.spf <- mailauth.CheckSPF(ctx, p.Resolver, a.IP, a.Helo, a.Sender) }()
	go func() { e.iprev <- mailauth.CheckIPRev(ctx, p.Resolver, a.IP) }()
	if a.Sender != "" && isName(a.Helo) {
		e.helo = make(chan mailauth.SPF, 1)
		go func() { e.helo <- mailauth.CheckSPF(ctx, p.Resolver, a.IP, a.Helo, "") }()
	}
	return e
}

// isName tells whether what a client called itself can have a record of SPF.
func isName(helo string) bool {
	_, err := netip.ParseAddr(helo)
	return err != nil && strings.Contains(strings.Trim(helo, "."), ".") && !strings.ContainsAny(helo, "[]: ")
}

// await is what comes through c, or late if ctx ends before.
func await[T any](ctx context.Context, c <-chan T, late T) T {
	if c == nil {
		var none T
		return none
	}
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		return late
	}
}

// find finds out everything about a message.
func (p *Policy) find(ctx context.Context, timeout time.Duration, e early, open Open) (f facts) {
	// DMARC comes last and needs time of its own.
	checks, cancel := context.WithTimeout(ctx, timeout*2/3)
	defer cancel()
	h, done, err := p.readHead(ctx, open)
	defer done()
	f.froms = h.froms
	f.from, f.fromErr, f.address = h.author, h.err, h.address
	var cerr, derr error
	var wg sync.WaitGroup
	if f.from != "" {
		f.own = p.isOwn(ctx, f.from)
		if p.Rules.DMARC != Off { // the resolver will know the answer by the time it is needed
			wg.Go(func() { p.Resolver.LookupTXT(checks, "_dmarc."+f.from) })
		}
	}
	f.chain.Result = mailauth.None
	if h.sealed {
		wg.Go(func() { f.chain, cerr = p.verifyARC(checks, open) })
	}
	if h.signed {
		f.dkim, derr = p.verifyDKIM(checks, open)
	}
	f.spf = await(checks, e.spf, mailauth.SPF{Result: mailauth.TempError, Reason: errLate.Error()})
	f.helo = await(checks, e.helo, mailauth.SPF{Result: mailauth.TempError, Helo: true, Reason: errLate.Error()})
	f.iprev = await(checks, e.iprev, mailauth.IPRev{Result: mailauth.TempError})
	wg.Wait() // they read the message, whose owner goes on when this ends
	if f.err = errors.Join(err, cerr, derr); f.err != nil {
		p.log().Error("a received message cannot be read", "error", f.err)
	}
	if f.from != "" && p.Rules.DMARC != Off {
		f.dmarc = mailauth.EvaluateDMARC(ctx, p.Resolver, f.from, f.spf, f.dkim)
	}
	return f
}

func (p *Policy) log() *slog.Logger {
	if p.Log != nil {
		return p.Log
	}
	return slog.Default()
}

// isOwn asks whether mail for a domain is received here. Where that cannot be told, it is
// not: to be wrong costs less this way.
func (p *Policy) isOwn(ctx context.Context, domain string) bool {
	if strings.EqualFold(domain, strings.TrimSuffix(p.Hostname, ".")) {
		return true
	}
	if p.Own == nil {
		return false
	}
	own, err := p.Own(ctx, domain)
	if err != nil {
		p.log().Error("cannot tell whether a domain is our own", "domain", domain, "error", err)
	}
	return own && err == nil
}

func (p *Policy) verifyDKIM(ctx context.Context, open Open) ([]mailauth.DKIM, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return mailauth.VerifyDKIM(ctx, p.Resolver, r)
}

func (p *Policy) verifyARC(ctx context.Context, open Open) (arc.Chain, error) {
	r, err := open()
	if err != nil {
		return arc.Chain{}, err
	}
	defer r.Close()
	return arc.Verify(ctx, p.Resolver, r)
}

// head is what the header of a message says.
type head struct {
	froms   int    // From fields
	author  string // domain
	address string // if there is only one
	err     error  // why there is none, or why it might be another
	signed  bool   // there is a DKIM-Signature
	sealed  bool   // there is a field of ARC
}

// readHead looks at the header. The error is for a message that cannot be read. done is
// called at the end of the judgment.
func (p *Policy) readHead(ctx context.Context, open Open) (h head, done func(), err error) {
	done = func() {}
	raw, err := readHeader(open, smallHeader)
	for i := 0; i < len(larger) && errors.Is(err, message.ErrHeaderTooLong); i++ {
		p.once.Do(p.makePlaces)
		done()
		select {
		case p.large[i] <- struct{}{}:
			done = func() { <-p.large[i] }
		case <-ctx.Done():
			return head{}, func() {}, errBusy
		}
		raw, err = readHeader(open, larger[i].max)
	}
	switch {
	case errors.Is(err, message.ErrHeaderTooLong):
		return head{err: errors.New("the header is larger than 1 MiB"), signed: true, sealed: true}, done, nil
	case err != nil:
		return head{}, done, err
	}
	return parseHead(raw), done, nil
}

func (p *Policy) makePlaces() {
	for i, class := range larger {
		p.large[i] = make(chan struct{}, class.places)
	}
}

// readHeader reads the header of a message, at most max octets.
func readHeader(open Open, max int64) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return message.ReadHeader(bufio.NewReader(r), max)
}

func parseHead(raw []byte) (h head) {
	for f := range message.Fields(raw) {
		switch strings.ToLower(f.Name) {
		case "from":
			h.froms++
		case "dkim-signature":
			h.signed = true
		case "arc-seal", "arc-message-signature", "arc-authentication-results":
			h.sealed = true
		}
	}
	h.author, h.err = mailauth.AuthorDomain(raw)
	h.address = onlyAuthor(raw)
	if h.err == nil && hasBareCR(raw) {
		h.err = errors.New("the header has a CR within a line, behind which some programs see another From")
	}
	return h
}

// hasBareCR tells whether there is a CR without LF, which is no line end here, but is
// elsewhere.
func hasBareCR(raw []byte) bool {
	return bytes.Count(raw, []byte{'\r'}) > bytes.Count(raw, []byte("\r\n"))
}
