package message

import (
	"bytes"
	"strings"
)

// keeper picks the fields that describe needs out of a header's lines.
type keeper struct {
	limit   int64 // on all that is kept
	start   int   // where the field at hand begins in what is kept
	keeping bool
}

// line appends a line, or a piece of one if not fresh, to kept if it belongs to a field
// of interest. A field that would pass the limit is left out whole.
func (k *keeper) line(kept, line []byte, fresh bool) []byte {
	if fresh && !isWSP(line[0]) {
		k.keeping, k.start = interesting(line), len(kept)
	}
	if !k.keeping {
		return kept
	}
	if int64(len(kept)+len(line)) > k.limit {
		k.keeping = false
		return kept[:k.start]
	}
	return append(kept, line...)
}

// interesting reports whether a field with this first line says something of a Part.
func interesting(line []byte) bool {
	var name [32]byte
	i := bytes.IndexByte(line[:min(len(line), len(name))], ':')
	for i > 0 && isWSP(line[i-1]) {
		i--
	}
	if i <= 0 {
		return false
	}
	for j, c := range line[:i] {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		name[j] = c
	}
	switch string(name[:i]) {
	case "date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc",
		"in-reply-to", "message-id", "references", "mime-version":
		return true
	}
	return bytes.HasPrefix(name[:i], []byte("content-"))
}

// describe fills what the header says into part, and the default for what it doesn't.
// It returns the boundary of a multipart, nil if there is none.
func describe(part *Part, header []byte, k kind) (boundary []byte) {
	mime := !k.message
	var env *Envelope
	if k.addresses != nil {
		env = &Envelope{}
	}
	for f := range Fields(header) {
		name := strings.ToLower(f.Name)
		if content, ok := strings.CutPrefix(name, "content-"); ok {
			part.contentField(content, f)
			mime = mime || content == "type"
		} else if name == "mime-version" {
			mime = true
		} else if env != nil {
			env.field(name, f, k.addresses)
		}
	}
	if !mime { // RFC 2045 section 4: then Content- fields mean nothing
		*part = Part{}
	}
	if env != nil {
		env.finish()
	}
	part.Envelope = env
	part.defaults(k)
	return part.boundary()
}

// contentField takes one Content- field. The first of several counts.
func (p *Part) contentField(name string, f Field) {
	first := func(to *string) {
		if *to == "" {
			*to = f.text()
		}
	}
	switch name {
	case "type":
		if p.Type == "" {
			p.contentType(f.text())
		}
	case "transfer-encoding":
		if p.Encoding == "" {
			l := lexer{s: f.text()}
			l.skip()
			if s, ok := l.token(classToken); ok && l.end() {
				p.Encoding = s
			}
		}
	case "disposition":
		if p.DispositionParams == nil {
			l := lexer{s: f.text()}
			l.skip()
			if s, ok := l.token(classToken); s != "" {
				p.Disposition = s
				if ok {
					p.DispositionParams = l.params()
				}
			}
		}
	case "language":
		if p.Language == nil {
			p.Language = languages(f.text())
		}
	case "id":
		first(&p.ID)
	case "description":
		first(&p.Description)
	case "md5":
		first(&p.MD5)
	case "location":
		first(&p.Location)
	}
}

// contentType takes the value of Content-Type. One that is not type "/" subtype is
// text/plain (RFC 2045 section 5.2).
func (p *Part) contentType(value string) {
	l := lexer{s: value}
	l.skip()
	typ, ok := l.token(classToken)
	if ok = ok && typ != "" && l.at('/'); ok {
		l.i++
		l.skip()
		var sub string
		if sub, ok = l.token(classToken); sub != "" {
			p.Type, p.Subtype = typ, sub
			if ok {
				p.Params = l.params()
			}
			return
		}
	}
	p.Type, p.Subtype = "text", "plain"
}

// languages takes the value of Content-Language (RFC 3282 section 2).
func languages(value string) (list []string) {
	l := lexer{s: value}
	for l.skip() && l.next(classAtext) && len(list) < maxParams {
		s, ok := l.token(classAtext)
		list = append(list, s)
		if !ok || !l.at(',') {
			break
		}
		l.i++
	}
	return list
}

// defaults fills what the header left open.
func (p *Part) defaults(k kind) {
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
	if p.Type == "" {
		p.Type, p.Subtype = "text", "plain"
		if k.digest {
			p.Type, p.Subtype = "message", "rfc822"
		}
	}
	if !p.IsText() {
		return
	}
	for _, q := range p.Params {
		if name, _ := strings.CutSuffix(q.Name, "*"); strings.EqualFold(name, "charset") {
			return
		}
	}
	p.Params = append(p.Params, Param{"charset", "us-ascii"})
}

// boundary returns the boundary parameter of a multipart, nil if it has none.
func (p *Part) boundary() []byte {
	if !p.IsMultipart() {
		return nil
	}
	for _, q := range p.Params {
		name, extended := strings.CutSuffix(q.Name, "*")
		if !strings.EqualFold(name, "boundary") {
			continue
		}
		v := q.Value
		if extended {
			v = unpercent(v[strings.LastIndexByte(v, '\'')+1:])
		}
		return []byte(v[:min(len(v), maxBoundary)])
	}
	return nil
}

// field takes one field, its name in lower case. Of several of a kind, addresses are
// joined, else the last counts. No more than left addresses are kept.
func (e *Envelope) field(name string, f Field, left *int) {
	switch name {
	case "date":
		e.Date, e.HasDate = f.text(), true
	case "subject":
		e.Subject, e.HasSubject = squeeze(f.text()), true
	case "in-reply-to":
		e.InReplyTo, e.HasInReplyTo = f.text(), true
	case "message-id":
		e.MessageID, e.HasMessageID = f.text(), true
	case "references":
		e.FirstRef = firstID(f.text())
	case "from":
		e.From = joinAddresses(e.From, f, left)
	case "sender":
		e.Sender = joinAddresses(e.Sender, f, left)
	case "reply-to":
		e.ReplyTo = joinAddresses(e.ReplyTo, f, left)
	case "to":
		e.To = joinAddresses(e.To, f, left)
	case "cc":
		e.Cc = joinAddresses(e.Cc, f, left)
	case "bcc":
		e.Bcc = joinAddresses(e.Bcc, f, left)
	}
}

// joinAddresses appends the addresses of a field, of which left may still be kept.
func joinAddresses(list []Address, f Field, left *int) []Address {
	more := parseAddresses(f.text(), *left)
	*left -= min(len(more), *left)
	if list == nil {
		return more
	}
	return append(list, more...)
}

// finish takes From for what is missing (RFC 9051 section 7.5.2).
func (e *Envelope) finish() {
	if e.Sender == nil {
		e.Sender = e.From
	}
	if e.ReplyTo == nil {
		e.ReplyTo = e.From
	}
}
