package dnsutil

import (
	"crypto/x509"
	"net/netip"
)

// Site is what is known of a mail server and of one domain that it takes mail for. Names
// are as [Name] gives them.
type Site struct {
	Domain string // what comes behind the @
	Host   string // the name by which other servers know this one
	// Addresses are where the world reaches the server, and where its mail comes from;
	// empty: not known.
	Addresses []netip.Addr
	Services  []Service // what mail apps can use
	DKIM      []DKIMKey // keys that the domain's mail is signed with, or will be
	// Smarthosts are the hosts that all mail to other domains leaves through; empty: it
	// leaves by itself.
	Smarthosts []string
	// Include are domains whose SPF record names further senders of the domain's mail.
	Include []string
	Reports string // mail address for the reports of DMARC and TLS-RPT; "": none are asked for
	DMARC   string // what others should do with forged mail: "none", "quarantine" or "reject"; "": quarantine
	// Chain is the certificate in service and those that it was issued by, the server's
	// own first; empty: not known, or from a CA of our own.
	Chain []*x509.Certificate
	// PolicyHost serves the policy of MTA-STS (RFC 8461 section 3.3); "": nobody does.
	PolicyHost string
	// PolicyMode is what that policy asks for: "enforce", "testing" or "none" (RFC 8461
	// section 5); "": enforce.
	PolicyMode string
	// AutoconfigHost tells mail apps their settings; "": nobody does.
	AutoconfigHost string
}

// Service is a protocol for mail apps, as RFC 6186 and 8314 name it.
type Service struct {
	Name string // "imaps", "imap", "pop3s", "pop3", "submissions" or "submission"
	Port uint16 // 0: it is not offered
}

// DKIMKey is the record of a key (RFC 6376 section 3.6).
type DKIMKey struct {
	Name  string // where it is published: selector._domainkey.domain
	Value string // "v=DKIM1; k=rsa; p=…"
	// Next tells that nothing is signed with it yet: that waits for the record.
	Next bool
	// Retired tells that nothing is signed with it any more; mail on its way may need it.
	Retired bool
}

// issuers are the names in CAA records (RFC 8659 section 4.2) of public CAs, by words in
// their certificates' organisation.
var issuers = []struct{ organisation, name string }{
	{"Let's Encrypt", "letsencrypt.org"},
	{"ZeroSSL", "sectigo.com"},
	{"Sectigo", "sectigo.com"},
	{"Google Trust", "pki.goog"},
	{"DigiCert", "digicert.com"},
	{"GlobalSign", "globalsign.com"},
	{"Buypass", "buypass.com"},
	{"Actalis", "actalis.it"},
	{"SSL Corp", "ssl.com"},
	{"GoDaddy", "godaddy.com"},
	{"Entrust", "entrust.net"},
	{"Certum", "certum.pl"},
	{"Asseco", "certum.pl"},
	{"HARICA", "harica.gr"},
	{"Amazon", "amazon.com"},
	{"Microsoft", "microsoft.com"},
}
