package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"text/template"

	"github.com/smallstep/pkcs7"
)

//go:embed profile.plist
var profileText string

// profileData is what stands in a profile. Its texts are escaped by the template.
type profileData struct {
	Address, Password  string // Password "": the phone asks for it
	Host               string
	Type               string // "EmailTypeIMAP" or "EmailTypePOP"
	In, Out            uint16
	AccountID, ID      string
	AccountUUID, UUID  string
	Organization, Note string
}

// errNoServers: neither IMAP nor POP3 is offered, or no way to send.
var errNoServers = errors.New("no servers for mail apps are configured")

// makeProfile writes a profile. Its names are the same each time for an address on this
// server: installing it again replaces the account on the phone.
func (s *Server) makeProfile(address, password string) ([]byte, error) {
	in, ok := s.service("imaps", "pop3s", "imap", "pop3")
	out, sends := s.service("submissions", "submission")
	if !ok || !sends {
		return nil, errNoServers
	}
	d := profileData{
		Address: address, Password: password, Host: s.Hostname, Type: "EmailTypeIMAP", In: in.Port, Out: out.Port,
		Organization: s.Hostname, Note: "Mail of " + address + " on " + s.Hostname,
	}
	if strings.HasPrefix(in.Name, "pop3") {
		d.Type = "EmailTypePOP"
	}
	labels := strings.Split(s.Hostname, ".")
	slices.Reverse(labels)
	name := strings.ToLower(address)
	sum := sha256.Sum256([]byte(name))
	d.ID = strings.Join(labels, ".") + ".mail." + hex.EncodeToString(sum[:6])
	d.AccountID = d.ID + ".account"
	d.UUID, d.AccountUUID = stableUUID(s.Hostname, name, "profile"), stableUUID(s.Hostname, name, "account")
	var b bytes.Buffer
	err := template.Must(template.New("profile").Funcs(template.FuncMap{"x": escapeXML}).Parse(profileText)).Execute(&b, d)
	return b.Bytes(), err
}

// escapeXML makes a text fit for an element.
func escapeXML(text string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

// stableUUID makes a UUID of version 8 (RFC 9562 section 5.8) out of texts.
func stableUUID(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	h := strings.ToUpper(hex.EncodeToString(u))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// signed puts a profile into SignedData of PKCS #7 (RFC 2315 section 9) with the server's
// certificate and its issuers: a phone then says whom the profile is from. Without a
// certificate it stays as it is.
func (s *Server) signed(text []byte) ([]byte, error) {
	if s.Pages.Certificate == nil {
		return text, nil
	}
	c, err := s.Pages.Certificate()
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, one)
	}
	if len(chain) == 0 {
		return nil, errors.New("the certificate is empty")
	}
	data, err := pkcs7.NewSignedData(text)
	if err != nil {
		return nil, err
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.AddSignerChain(chain[0], c.PrivateKey, chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	return data.Finish()
}
