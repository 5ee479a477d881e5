package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"
)

const day = 24 * time.Hour

// DNS says whom questions of the DNS go to.
type DNS struct {
	Servers   []string // each an address, or address:port; empty means the system's
	Trusted   string   // about DNSSEC: "yes", "no", or "auto" if all of them are on this machine
	Addresses []string // of this server as the world sees it, each an address; empty means the machine's
}

// Relay is how mail for other domains leaves.
type Relay struct {
	Smarthost  Smarthost  // Address empty: each domain's own mail servers (MX)
	Fallback   Smarthost  // where these refuse us for our reputation; Address empty: none
	IPv4, IPv6 bool       // which of the two are used; one at least
	SourceIPv4 netip.Addr // connections are made from it; zero means the system chooses
	SourceIPv6 netip.Addr // the same
	CAFile     string     // PEM; CAs that are trusted beside the system's, empty means none

	Connections               int // at once, in all
	ConnectionsPerDestination int // of these to one domain or smarthost
	QueueMessages             int // that may wait

	RetryFirst  time.Duration // wait before the second try, doubled each time
	RetryMost   time.Duration // longest wait between two tries
	GiveUp      time.Duration // age at which mail is returned to its sender
	DelayNotice time.Duration // age at which the sender is told of a delay
	History     time.Duration // how long is kept what became of mail

	SuppressFor time.Duration // how long an address that does not exist is remembered; 0: not at all
}

// Forward is mail that aliases pass on to other servers.
type Forward struct {
	CopiesHour int // that one alias may pass on; 0 means no limit
}

// Values of Smarthost.TLS.
const (
	TLSStartTLS      = "starttls"      // STARTTLS is demanded, with a valid certificate
	TLSImplicit      = "tls"           // TLS from the start, with a valid certificate
	TLSOpportunistic = "opportunistic" // STARTTLS where it is offered, with any certificate
	TLSNone          = "none"          // no TLS
)

// Smarthost is a server that takes mail for other domains from us.
type Smarthost struct {
	Address      string // host:port; "mx" in a Route: each domain's own mail servers
	TLS          string // one of the TLS… values
	Username     string // empty means no login
	Password     Secret // from the file or, after ReadPasswords, from PasswordFile
	PasswordFile string
}

// Route is mail that takes another way than the rest.
type Route struct {
	// Domains as A-labels in lower case, "*.example.net" for all below; empty: all.
	Recipients, Senders []string
	Smarthost           Smarthost
}

// Device is clients in known networks that send as an account without a login.
type Device struct {
	Networks []netip.Prefix
	Account  string
}

// Secret is a password. It prints as stars and nothing else; Reveal is the only way to it.
type Secret struct{ text string }

// NewSecret makes a Secret of text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself, for the login alone.
func (s Secret) Reveal() string { return s.text }

// Empty tells whether there is none.
func (s Secret) Empty() bool { return s.text == "" }

// Format prints stars, or nothing for no secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// String is stars.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "***"
}

// LogValue is what a log gets of it.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders get of it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxPassword bounds a password and the file that holds it, in bytes.
const maxPassword = 1024

// ReadPasswords reads the files that hold passwords, of which Load only takes the names:
// who may read the configuration need not read them. The error joins a Mistake for each
// that cannot be used.
func (c *Config) ReadPasswords() error {
	var errs []error
	read := func(key string, h *Smarthost) {
		if h.PasswordFile == "" {
			return
		}
		var err error
		if h.Password, err = readPassword(h.PasswordFile); err != nil {
			var m Mistake
			if !errors.As(err, &m) {
				m = Mistake{Problem: err.Error()}
			}
			m.Source, m.Key = h.PasswordFile, key
			errs = append(errs, m)
		}
	}
	read("relay.smarthost_password_file", &c.Relay.Smarthost)
	read("relay.fallback_password_file", &c.Relay.Fallback)
	for i := range c.Routes {
		read(fmt.Sprintf("route[%d].password_file", i+1), &c.Routes[i].Smarthost)
	}
	return errors.Join(append(errs, c.readACMESecrets()...)...)
}

// readPassword reads the only line of a file.
func readPassword(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return Secret{}, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+2))
	if err != nil {
		return Secret{}, unreadable(path, err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	return Secret{string(text)}, checkPassword(string(text))
}

// checkPassword says what is wrong with a password, without repeating it.
func checkPassword(text string) error {
	switch {
	case text == "":
		return errors.New("holds no password")
	case len(text) > maxPassword:
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	case bytes.ContainsAny([]byte(text), "\x00\r\n"):
		return errors.New("the password must be one line of text")
	}
	return nil
}
