package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"kurir/internal/message"
)

// maxHead bounds the header of a message that is sent, in bytes; the server's own bound
// is the same.
const maxHead = 256 << 10

// draft is a message on its way out: its header, which is looked at, and the rest, which
// is only passed on.
type draft struct {
	head []byte    // whole lines, without the blank one
	body io.Reader // behind the blank line
}

// readDraft reads a header from r. A line of a mailbox file in front ("From alice …") is
// left out; text without a header is all body.
func readDraft(r io.Reader) (*draft, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	d := &draft{body: in}
	for {
		line, err := readLine(in, maxHead-len(d.head))
		switch {
		case err == io.EOF && len(line) == 0:
			return d, nil
		case err != nil && err != io.EOF:
			return nil, err
		case len(d.head) == 0 && bytes.HasPrefix(line, []byte("From ")):
			continue
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			return d, nil
		case !isHeaderLine(line, len(d.head) == 0):
			d.body = io.MultiReader(bytes.NewReader(line), in)
			return d, nil
		}
		if !bytes.HasSuffix(line, []byte("\n")) {
			line = append(line, '\n')
		}
		d.head = append(d.head, line...)
	}
}

var errBigHead = fmt.Errorf("the header of the message has more than %d KiB", maxHead>>10)

// readLine reads a line with its end, or what is left before the end of r. A line longer
// than left is an error only if it could be of a header.
func readLine(r *bufio.Reader, left int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > left && !isHeaderLine(line, false):
			return line, nil
		case len(line) > left:
			return nil, errBigHead
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

// isHeaderLine tells whether a line is a header field, or goes on with one (RFC 5322
// section 2.2).
func isHeaderLine(line []byte, first bool) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return !first
	}
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return ok && len(name) > 0
}

// reader is the whole message.
func (d *draft) reader() io.Reader {
	return io.MultiReader(bytes.NewReader(d.head), strings.NewReader("\n"), d.body)
}

// values are those of all fields of the names, in small letters.
func (d *draft) values(names ...string) (all []string) {
	for f := range message.Fields(d.head) {
		if slices.Contains(names, strings.ToLower(f.Name)) {
			all = append(all, f.Value())
		}
	}
	return all
}

// without is a header without the fields of a name.
func without(head []byte, name string) []byte {
	var out []byte
	for f := range message.Fields(head) {
		if !strings.EqualFold(f.Name, name) {
			out = append(out, f.Raw...)
		}
	}
	return out
}

// recipients are those that the header names: To, Cc and Bcc or, in a message that is
// sent once more, their Resent- forms (RFC 5322 section 3.6.6).
func (d *draft) recipients() ([]string, error) {
	fields := []string{"to", "cc", "bcc"}
	resent := []string{"resent-to", "resent-cc", "resent-bcc"}
	if len(d.values(resent...)) > 0 {
		fields = resent
	}
	var all []string
	for _, v := range d.values(fields...) {
		some, err := parseRecipients(v)
		if err != nil {
			return nil, fmt.Errorf("the header of the message: %w", err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// author is the first address of From, "" if there is none that is whole.
func (d *draft) author() string {
	for _, v := range d.values("from") {
		all, err := parseRecipients(v)
		if err == nil && len(all) > 0 && strings.Contains(all[0], "@") {
			return all[0]
		}
	}
	return ""
}

// signFrom sees that From has an address: one without a domain, as cron writes it, gets
// sender in its place, and a missing one is made of name and sender.
func (d *draft) signFrom(name, sender string) {
	from := d.values("from")
	if len(from) > 0 {
		if strings.Contains(from[0], "@") {
			return
		}
		if all := message.ParseAddressList(from[0]); name == "" && len(all) > 0 {
			name = message.DecodeHeader(all[0].Name)
		}
		name = cmp.Or(name, from[0])
	}
	d.head = append(without(d.head, "from"), "From: "+mailbox(name, sender)+"\n"...)
}

// mailbox is a name and an address as a header has them (RFC 5322 section 3.4).
func mailbox(name, address string) string {
	if name = oneLine(name); name == "" {
		return address
	}
	if encoded := mime.QEncoding.Encode("utf-8", name); encoded != name {
		return encoded + " <" + address + ">"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" <` + address + ">"
}

// compose is a message of plain text, but for From.
func compose(to []string, subject string, text io.Reader) *draft {
	var b bytes.Buffer
	fmt.Fprintf(&b, "To: %s\n", strings.Join(to, ",\n "))
	words := mime.QEncoding.Encode("utf-8", oneLine(subject))
	fmt.Fprintf(&b, "Subject: %s\n", strings.ReplaceAll(words, "?= =?", "?=\n =?"))
	b.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n")
	return &draft{head: b.Bytes(), body: text}
}

// parseRecipients reads addresses as a header or a person writes them, with or without
// names, separated by commas. Each comes out as SMTP has it; one without a domain stays so.
func parseRecipients(text string) (all []string, err error) {
	whole := 0
	for _, a := range message.ParseAddressList(text) {
		switch {
		case a.Host == "": // begin or end of a group
		case a.Mailbox == "" || a.Mailbox == "MISSING_MAILBOX" || a.Host == "SYNTAX_ERROR":
			whole = -1
		case a.Host == "MISSING_DOMAIN":
			all = append(all, quoteLocal(a.Mailbox))
		default:
			all = append(all, quoteLocal(a.Mailbox)+"@"+a.Host)
			whole++
		}
		if whole < 0 {
			break
		}
	}
	if whole != countAts(text) {
		return nil, fmt.Errorf("%q is not an address, such as alice@example.org", text)
	}
	return all, nil
}

// countAts counts the @ outside quoted strings and comments (RFC 5322 section 3.2): one
// for each address with a domain, or something was skipped in reading them.
func countAts(s string) (n int) {
	quoted, comments := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || comments > 0):
			i++
		case c == '"' && comments == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			comments++
		case c == ')' && comments > 0:
			comments--
		case c == '@' && comments == 0:
			n++
		}
	}
	return n
}

// quoteLocal is a local part with quotes if it needs them (RFC 5321 section 4.1.2).
func quoteLocal(s string) string {
	plain := s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
	for _, c := range s {
		plain = plain && (c >= 0x80 || c == '.' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c))
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// dotReader ends at a line that is a single dot, which old programs put behind a message.
type dotReader struct {
	r     *bufio.Reader
	start bool // at the beginning of a line
	ended bool
}

func newDotReader(r io.Reader) *dotReader {
	return &dotReader{r: bufio.NewReader(r), start: true}
}

// Read gives a part of a line at a time.
func (d *dotReader) Read(p []byte) (int, error) {
	if d.ended {
		return 0, io.EOF
	}
	if d.start {
		ahead, _ := d.r.Peek(3)
		if string(ahead) == "." || bytes.HasPrefix(ahead, []byte(".\n")) || string(ahead) == ".\r\n" {
			d.ended = true
			return 0, io.EOF
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if d.r.Buffered() == 0 {
		if _, err := d.r.Peek(1); err != nil {
			return 0, err
		}
	}
	ahead, _ := d.r.Peek(min(len(p), d.r.Buffered()))
	if i := bytes.IndexByte(ahead, '\n'); i >= 0 {
		ahead = ahead[:i+1]
	}
	n := copy(p, ahead)
	d.start = p[n-1] == '\n'
	_, err := d.r.Discard(n)
	return n, err
}
