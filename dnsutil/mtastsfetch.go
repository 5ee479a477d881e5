package dnsutil

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a fetch (RFC 8461 section 3.3).
const (
	maxSTSPolicy  = 64 << 10
	maxSTSHeader  = 16 << 10
	stsTimeout    = time.Minute
	stsDialTime   = 10 * time.Second
	stsPolicyPath = "/.well-known/mta-sts.txt"
)

// STSFetcher fetches policies of MTA-STS by HTTPS. Fields are set before the first fetch;
// methods are safe for concurrent use.
type STSFetcher struct {
	Resolver *Resolver      // finds the hosts of the policies; needed
	Families Families       // which addresses are of no use
	RootCAs  *x509.CertPool // whom to trust; nil means whom the system does
	Timeout  time.Duration  // for all of it; zero means 1 minute
	// Dial connects, network being "tcp". Nil: the system does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Fetch fetches the policy of a domain from https://mta-sts.DOMAIN/.well-known/mta-sts.txt
// (RFC 8461 section 3.3): with a valid certificate, without redirects, as text/plain of
// 64 KiB at most. The error says in words what is wrong; its text may be shown to anybody.
func (f *STSFetcher) Fetch(ctx context.Context, domain string) (STSPolicy, error) {
	ascii, err := Name(domain)
	if err != nil {
		return STSPolicy{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, or(f.Timeout, stsTimeout))
	defer cancel()
	host := "mta-sts." + ascii
	text, err := f.get(ctx, "https://"+host+stsPolicyPath)
	if err != nil {
		return STSPolicy{}, fmt.Errorf("%s: %w", host, err)
	}
	p, err := ParseSTSPolicy(text)
	if err != nil {
		return STSPolicy{}, fmt.Errorf("%s: %w", host, err)
	}
	return p, nil
}

// get fetches a text.
func (f *STSFetcher) get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "kurir")
	transport := &http.Transport{
		DialContext: f.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxSTSHeader,
		TLSClientConfig: &tls.Config{RootCAs: f.RootCAs, MinVersion: tls.VersionTLS12},
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return "", plainHTTP(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers with status %d, where only 200 counts", res.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return "", fmt.Errorf("the policy is of the type %s, where only text/plain counts", shown(res.Header.Get("Content-Type")))
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSTSPolicy+1))
	switch {
	case err != nil:
		return "", plainHTTP(err)
	case len(text) > maxSTSPolicy:
		return "", errors.New("the policy has more than 64 KiB")
	}
	return string(text), nil
}

// maxHTTPError bounds what is told of an error, in octets.
const maxHTTPError = 300

// plainHTTP is an error of a fetch without the address, which its reader knows. Names in
// certificates and lines of headers are in some of them as the host has sent them: of
// these only what can be printed is told.
func plainHTTP(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the policy did not come in time")
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := err.Error()
	if len(text) > maxHTTPError {
		text = text[:maxHTTPError] + "..."
	}
	return errors.New(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text))
}

// dial connects to one of a host's addresses, as the resolver has them.
func (f *STSFetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	all, err := f.Resolver.Addresses(ctx, host, f.Families)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a netip.Addr) bool { return !Routable(a) })
	if len(all) == 0 {
		return nil, errors.New("it has only addresses that lead nowhere")
	}
	dial := f.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	for _, a := range all[:min(len(all), 4)] {
		var conn net.Conn
		once, cancel := context.WithTimeout(ctx, stsDialTime)
		conn, err = dial(once, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}
