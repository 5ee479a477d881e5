package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"kurir/dnsutil"
)

// maxBody bounds what a request may carry, in octets: forms and Outlook's questions are small.
const maxBody = 32 << 10

// maxAddress is the longest mail address (RFC 5321 section 4.5.3.1, without <>).
const maxAddress = 254

// Pages is what the public pages ask the rest of the server. All may be nil but Ours:
// then that part of the pages is not there.
type Pages struct {
	// Services are what mail apps can use, and on which ports; those that are off have
	// port 0. The SRV records come from the same list.
	Services []dnsutil.Service
	// Ours tells whether mail for a domain is received here.
	Ours func(ctx context.Context, domain string) (bool, error)
	// Policy is the text of a domain's policy for MTA-STS (RFC 8461 section 3.2).
	Policy func(domain string) string
	// Certificate is the one that profiles are signed with, its issuers included.
	Certificate func() (*tls.Certificate, error)

	// HTTPS is the port by which the pages are reached by https at the server's own name:
	// what comes to Public in the clear is sent there. "": they are not.
	HTTPS string
	// Proxies are those whose word is taken on who asks and whether by https
	// (X-Forwarded-For, X-Forwarded-Proto); loopback always is.
	Proxies []netip.Prefix

	// Sessions are the people who are signed in; nil: nobody can sign in.
	Sessions *Sessions
	// OnlyDevices tells that mail apps need a password of their own: that of the account is
	// not for them.
	OnlyDevices bool
	// SignIn checks a password, and returns the account's address. Its errors are those of
	// package auth. Needed with Sessions.
	SignIn func(ctx context.Context, s SignIn) (address string, err error)
	// Trouble is what failed before it was known whose device it was; nil: nothing is known.
	Trouble *Trouble
	// Invites are the links by which people sign in without a password.
	Invites Invites
	// Devices are the app passwords of accounts.
	Devices Devices
	// Recent returns the last attempts to log in to an account, the newest first.
	Recent func(ctx context.Context, address string, most int) ([]Attempt, error)
}

// Public returns the routes for everybody: how mail apps find their settings, the policy
// of MTA-STS, and the pages under /setup. It has neither health nor metrics. With HTTPS,
// requests in the clear are sent to https, but for those of mail apps that know http only.
func (s *Server) Public() http.Handler {
	pages := s.public()
	return hardened(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Pages.HTTPS != "" && r.TLS == nil && !isAutoconfig(r.URL.Path) {
			s.toHTTPS(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}))
}

// public is Public without its headers and without a look at TLS.
func (s *Server) public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+autoconfigPath, s.autoconfig)
	mux.HandleFunc("GET "+autoconfigWellKnown, s.autoconfig)
	mux.HandleFunc("GET /.well-known/mta-sts.txt", s.policy)
	pages := s.setupPages().routes()
	mux.Handle("/setup", pages)
	mux.Handle("/setup/", pages)
	mux.Handle("GET /{$}", http.RedirectHandler("/setup", http.StatusFound))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		switch path := strings.ToLower(r.URL.Path); {
		case path == autodiscoverPath: // Outlook writes it in several ways
			s.autodiscover(w, r)
		case path == autodiscoverJSON || strings.HasPrefix(path, autodiscoverJSON+"/"):
			s.autodiscoverJSON(w, r)
		default:
			if kind, _ := s.hostOf(r); kind != "" && !isAutoconfig(path) && path != "/.well-known/mta-sts.txt" && s.Pages.HTTPS != "" {
				http.Redirect(w, r, s.secureURL(s.Hostname)+"/setup", http.StatusFound)
				return
			}
			mux.ServeHTTP(w, r)
		}
	})
}

// toHTTPS sends a request on to the same page by https, at a name of ours.
func (s *Server) toHTTPS(w http.ResponseWriter, r *http.Request) {
	host := s.Hostname
	if kind, domain := s.hostOf(r); kind != "" {
		host = kind + "." + domain
	}
	page := r.URL.RequestURI()
	if !strings.HasPrefix(page, "/") { // OPTIONS *
		page = "/"
	}
	to := s.secureURL(host) + page
	code := http.StatusFound // Outlook follows no other
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		code = http.StatusTemporaryRedirect
	}
	http.Redirect(w, r, to, code)
}

// secureURL is where a name of ours is reached by https, without a path.
func (s *Server) secureURL(host string) string {
	if s.Pages.HTTPS != "" && s.Pages.HTTPS != "443" {
		host = net.JoinHostPort(host, s.Pages.HTTPS)
	}
	return "https://" + host
}

// hostOf tells of a request to one of the names that mail apps make of a domain of ours
// which one it is ("autoconfig", "autodiscover" or "mta-sts"), and of which domain. kind
// is "" for all other names.
func (s *Server) hostOf(r *http.Request) (kind, domain string) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	kind, domain, found := strings.Cut(strings.ToLower(host), ".")
	if !found || kind != "autoconfig" && kind != "autodiscover" && kind != "mta-sts" {
		return "", ""
	}
	domain, ok := s.ours(r.Context(), domain)
	if !ok {
		return "", ""
	}
	return kind, domain
}

// ours gives a domain as the DNS has it, if mail for it is received here.
func (s *Server) ours(ctx context.Context, domain string) (string, bool) {
	name, err := dnsutil.Name(domain)
	if err != nil || s.Pages.Ours == nil {
		return "", false
	}
	ok, err := s.Pages.Ours(ctx, name)
	if err != nil {
		s.log().Error("the domains could not be asked", "error", err)
	}
	return name, ok && err == nil
}

// domainOf is the domain of a mail address, if it is ours. It says nothing of whether the
// address exists.
func (s *Server) domainOf(ctx context.Context, address string) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || len(address) > maxAddress || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\ufffd' }) {
		return "", false
	}
	return s.ours(ctx, address[at+1:])
}

// policy answers with the policy for MTA-STS (RFC 8461 section 3.3).
func (s *Server) policy(w http.ResponseWriter, r *http.Request) {
	kind, domain := s.hostOf(r)
	if kind != "mta-sts" || s.Pages.Policy == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(s.Pages.Policy(domain))) // fails only if the client has gone
}

// service finds the first service of these names that is offered; TLS from the start goes first.
func (s *Server) service(names ...string) (dnsutil.Service, bool) {
	for _, name := range names {
		for _, v := range s.Pages.Services {
			if v.Name == name && v.Port != 0 {
				return v, true
			}
		}
	}
	return dnsutil.Service{}, false
}
