package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"flag"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, text)
	}
}

// usual are the services of an installation that nobody has changed.
var usual = []dnsutil.Service{
	{Name: "submissions", Port: 465}, {Name: "submission", Port: 587}, {Name: "imaps", Port: 993},
	{Name: "imap", Port: 143}, {Name: "pop3s", Port: 995}, {Name: "pop3", Port: 110},
}

// exampleServer serves example.org and example.net.
func exampleServer() *Server {
	return &Server{Hostname: "mail.example.org", Version: "1.2.3", Pages: Pages{
		Services: usual,
		Ours: func(_ context.Context, domain string) (bool, error) {
			return domain == "example.org" || domain == "example.net", nil
		},
		Policy: func(domain string) string {
			return dnsutil.Site{Domain: domain, Host: "mail.example.org"}.Policy()
		},
		HTTPS: "443",
	}}
}

// ask sends one request; url has scheme and host, body "" is none.
func ask(s *Server, method, url, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.Public().ServeHTTP(w, r)
	return w
}

func TestAutoconfig(t *testing.T) {
	s := exampleServer()
	w := ask(s, "GET", "https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=alice%40example.org", "")
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "text/xml; charset=utf-8" {
		t.Fatalf("%d %s", w.Code, got)
	}
	golden(t, "autoconfig.xml", w.Body.String())
	for _, c := range []struct {
		url    string
		domain string // "": 404
	}{
		{"https://autoconfig.example.org/mail/config-v1.1.xml", "example.org"},
		{"http://autoconfig.example.org/mail/config-v1.1.xml", "example.org"}, // some know http only
		{"http://AutoConfig.Example.ORG:80/mail/config-v1.1.xml", "example.org"},
		{"https://example.org/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=alice@example.org", "example.org"},
		{"https://example.net/.well-known/autoconfig/mail/config-v1.1.xml", "example.net"},
		// Thunderbird asks the provider of the MX record about a customer's domain.
		{"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=alice@example.net", "example.net"},
		{"https://mail.example.org/mail/config-v1.1.xml?emailaddress=ALICE@EXAMPLE.NET", "example.net"},
		{"https://autoconfig.example.com/mail/config-v1.1.xml", ""},
		{"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=alice@example.com", ""},
		{"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=example.org", ""},
		{"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=" + strings.Repeat("a", 300) + "@example.org", ""},
		{"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=a%0Ab@example.org", ""},
		{"https://mail.example.org/mail/config-v1.1.xml", ""},
	} {
		w := ask(s, "GET", c.url, "")
		if c.domain == "" {
			if w.Code != 404 {
				t.Errorf("%s: %d", c.url, w.Code)
			}
			continue
		}
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<domain>"+c.domain+"</domain>") {
			t.Errorf("%s: %d %s", c.url, w.Code, w.Body)
		}
	}
}

// Only what is served is told.
func TestAutoconfigPorts(t *testing.T) {
	s := exampleServer()
	s.Pages.Services = []dnsutil.Service{{Name: "submission", Port: 2587}, {Name: "imaps", Port: 0}, {Name: "imap", Port: 2143}}
	var c clientConfig
	if err := xml.Unmarshal(ask(s, "GET", "https://autoconfig.example.org/mail/config-v1.1.xml", "").Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	in, out := c.Provider.Incoming, c.Provider.Outgoing
	if len(in) != 1 || len(out) != 1 || in[0].Port != 2143 || in[0].SocketType != "STARTTLS" || out[0].Port != 2587 {
		t.Errorf("%+v %+v", in, out)
	}
	s.Pages.Services = nil
	if w := ask(s, "GET", "https://autoconfig.example.org/mail/config-v1.1.xml", ""); w.Code != 404 {
		t.Errorf("without a server: %d", w.Code)
	}
}

const outlookQuestion = `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>alice@example.org</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>`

func TestAutodiscover(t *testing.T) {
	s := exampleServer()
	w := ask(s, "POST", "https://autodiscover.example.org/Autodiscover/Autodiscover.xml", outlookQuestion)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	golden(t, "autodiscover.xml", w.Body.String())
	for _, c := range []struct{ method, url, body, want string }{
		{"POST", "https://mail.example.org/AUTODISCOVER/AUTODISCOVER.XML", outlookQuestion, "<Type>IMAP</Type>"},
		{"GET", "https://autodiscover.example.org/autodiscover/autodiscover.xml?Email=alice@example.net", "", "<LoginName>alice@example.net</LoginName>"},
		{"GET", "https://autodiscover.example.org/autodiscover/autodiscover.xml", "", "<ErrorCode>600</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", "", "<ErrorCode>600</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", "<html>", "<ErrorCode>600</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", strings.Replace(outlookQuestion, "example.org", "example.com", 1), "<ErrorCode>500</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", strings.ReplaceAll(outlookQuestion, "outlook/", "mobilesync/"), "<ErrorCode>601</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", strings.Repeat("<a>", 100) + outlookQuestion, "<ErrorCode>600</ErrorCode>"},
		{"POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", strings.Repeat(" ", maxBody) + outlookQuestion, "<ErrorCode>600</ErrorCode>"},
	} {
		if w := ask(s, c.method, c.url, c.body); w.Code != 200 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.url, c.body, w.Code, w.Body)
		}
	}
	if w := ask(s, "PUT", "https://autodiscover.example.org/autodiscover/autodiscover.xml", ""); w.Code != 405 {
		t.Errorf("PUT: %d", w.Code)
	}
}

func TestAutodiscoverJSON(t *testing.T) {
	s := exampleServer()
	const at = "https://autodiscover.example.org/autodiscover/autodiscover.json"
	for _, c := range []struct {
		url  string
		code int
		want string
	}{
		{at + "?Email=alice@example.org&Protocol=AutodiscoverV1&RedirectCount=1", 200, `{"Protocol":"AutodiscoverV1","Url":"https://autodiscover.example.org/autodiscover/autodiscover.xml"}`},
		{at + "/v1.0/alice@example.net?Protocol=autodiscoverv1", 200, `{"Protocol":"AutodiscoverV1","Url":"https://mail.example.org/autodiscover/autodiscover.xml"}`},
		{"https://mail.example.org/AutoDiscover/AutoDiscover.json?email=alice@example.org&protocol=AutodiscoverV1", 200, `"Url":"https://mail.example.org/`},
		{at + "?Email=alice@example.org", 400, "MandatoryParameterMissing"},
		{at + "?Protocol=AutodiscoverV1", 400, "MandatoryParameterMissing"},
		{at + "?Email=alice@example.org&Protocol=ActiveSync", 400, "InvalidProtocol"},
		{at + "?Email=alice@example.com&Protocol=AutodiscoverV1", 404, "UserNotFound"},
	} {
		w := ask(s, "GET", c.url, "")
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s", c.url, w.Code, w.Body)
		}
	}
	if w := ask(s, "POST", at, ""); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestPolicyHost(t *testing.T) {
	s := exampleServer()
	w := ask(s, "GET", "https://mta-sts.example.net/.well-known/mta-sts.txt", "")
	want := dnsutil.Site{Domain: "example.net", Host: "mail.example.org"}.Policy()
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, url := range []string{"https://mta-sts.example.com/.well-known/mta-sts.txt", "https://mail.example.org/.well-known/mta-sts.txt"} {
		if w := ask(s, "GET", url, ""); w.Code != 404 {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
}

// In the clear, everything but autoconfig goes on to https, and to names of ours only.
func TestRedirects(t *testing.T) {
	s := exampleServer()
	for _, c := range []struct {
		method, url string
		code        int
		to          string
	}{
		{"GET", "http://mail.example.org/setup?app=iphone", 302, "https://mail.example.org/setup?app=iphone"},
		{"GET", "http://evil.example/setup", 302, "https://mail.example.org/setup"},
		{"GET", "http://evil.example//other.example/", 302, "https://mail.example.org//other.example/"},
		{"GET", "http://autodiscover.example.org/autodiscover/autodiscover.xml", 302, "https://autodiscover.example.org/autodiscover/autodiscover.xml"},
		{"GET", "http://autodiscover.evil.example/autodiscover/autodiscover.xml", 302, "https://mail.example.org/autodiscover/autodiscover.xml"},
		{"POST", "http://autodiscover.example.org/autodiscover/autodiscover.xml", 307, "https://autodiscover.example.org/autodiscover/autodiscover.xml"},
		{"GET", "http://mta-sts.example.org/.well-known/mta-sts.txt", 302, "https://mta-sts.example.org/.well-known/mta-sts.txt"},
		{"GET", "https://autoconfig.example.org/", 302, "https://mail.example.org/setup"},
		{"GET", "https://mta-sts.example.org/setup", 302, "https://mail.example.org/setup"},
	} {
		w := ask(s, c.method, c.url, "")
		if w.Code != c.code || w.Header().Get("Location") != c.to {
			t.Errorf("%s %s: %d to %q", c.method, c.url, w.Code, w.Header().Get("Location"))
		}
	}
	s.Pages.HTTPS = "8443"
	if w := ask(s, "GET", "http://mail.example.org:8080/setup", ""); w.Header().Get("Location") != "https://mail.example.org:8443/setup" {
		t.Errorf("to another port: %q", w.Header().Get("Location"))
	}
	for _, path := range []string{"/healthz", "/metrics"} {
		s.Health, s.Metrics = text("fine"), text("figures")
		if w := ask(s, "GET", "https://mail.example.org"+path, ""); w.Code != 404 {
			t.Errorf("everybody can see %s: %d", path, w.Code)
		}
	}
}

// certificates are of a CA and of a server.
func certificates(t *testing.T, dir string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail.example.org"}, DNSNames: []string{"mail.example.org"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: leafKey}
}

func TestProfile(t *testing.T) {
	s := exampleServer()
	w := ask(s, "GET", "https://mail.example.org/setup/mail.mobileconfig?address=alice%2B%3Cb%3E%26@example.org", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-apple-aspen-config" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	golden(t, "profile.plist", w.Body.String())
	if again := ask(s, "GET", "https://mail.example.org/setup/mail.mobileconfig?address=alice%2B%3Cb%3E%26@example.org", ""); again.Body.String() != w.Body.String() {
		t.Error("the same profile is another one the second time")
	}
	if w := ask(s, "GET", "https://mail.example.org/setup/mail.mobileconfig?address=alice@example.com", ""); w.Code != 404 {
		t.Errorf("of another domain: %d", w.Code)
	}
	text, err := s.makeProfile("alice@example.org", "p<w")
	if err != nil || !strings.Contains(string(text), "<key>IncomingPassword</key><string>p&lt;w</string>") {
		t.Errorf("%v %s", err, text)
	}
	s.Pages.Services = usual[2:]
	if _, err := s.makeProfile("alice@example.org", ""); err != errNoServers {
		t.Errorf("without submission: %v", err)
	}
}

// openssl and Python, which know nothing of us, read the profile.
func TestProfileIsSigned(t *testing.T) {
	for _, name := range []string{"openssl", "python3"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is missing")
		}
	}
	dir := t.TempDir()
	s := exampleServer()
	c := certificates(t, dir)
	s.Pages.Certificate = func() (*tls.Certificate, error) { return c, nil }
	w := ask(s, "GET", "https://mail.example.org/setup/mail.mobileconfig?address=alice@example.org", "")
	if err := os.WriteFile(filepath.Join(dir, "p.mobileconfig"), w.Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := exec.Command("openssl", "smime", "-verify", "-inform", "der", "-in", "p.mobileconfig", "-CAfile", "ca.pem", "-purpose", "any", "-out", "p.plist")
	verify.Dir = dir
	if out, err := verify.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := exec.Command("python3", "-c", `import plistlib
p = plistlib.load(open("p.plist", "rb"))
a = p["PayloadContent"][0]
print(p["PayloadType"], a["EmailAddress"], a["IncomingMailServerHostName"], a["IncomingMailServerPortNumber"], a["IncomingMailServerUseSSL"], a["OutgoingMailServerPortNumber"], "IncomingPassword" in a)`)
	read.Dir = dir
	out, err := read.CombinedOutput()
	if want := "Configuration alice@example.org mail.example.org 993 True 465 False\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}

func FuzzAutodiscover(f *testing.F) {
	f.Add(outlookQuestion)
	f.Add("<Autodiscover><Request><EMailAddress>a@b</EMailAddress>")
	f.Add("</a>")
	f.Add(`<!DOCTYPE a [<!ENTITY b "c">]><Autodiscover>&b;`)
	f.Fuzz(func(t *testing.T, body string) {
		q, err := parseQuestion(strings.NewReader(body))
		if err == nil && q.address == "" {
			t.Errorf("%+v without an address", q)
		}
		if w := ask(exampleServer(), "POST", "https://mail.example.org/autodiscover/autodiscover.xml", body); w.Code != http.StatusOK || xml.Unmarshal(w.Body.Bytes(), new(struct{ XMLName xml.Name })) != nil {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// Whatever is asked, the answer is whole, and no redirect leads away.
func FuzzPublic(f *testing.F) {
	f.Add("autoconfig.example.org", "/mail/config-v1.1.xml", "emailaddress=a@example.org")
	f.Add("mta-sts.example.org:443", "/.well-known/mta-sts.txt", "")
	f.Add("mail.example.org", "/AUTODISCOVER/autodiscover.json/v1.0/a@example.org", "Protocol=AutodiscoverV1")
	f.Add("evil.example", "//evil.example/setup", "app=iphone&address=a@example.org")
	f.Add("[::1]", "/setup/mail.mobileconfig", "address=%00@example.org")
	f.Fuzz(func(t *testing.T, host, path, query string) {
		for _, secure := range []bool{true, false} {
			r := httptest.NewRequest("GET", "https://mail.example.org/", nil)
			r.Host, r.URL.Path, r.URL.RawQuery = host, path, query
			if !secure {
				r.TLS = nil
			}
			w := httptest.NewRecorder()
			exampleServer().Public().ServeHTTP(w, r)
			if _, err := io.ReadAll(w.Body); err != nil || w.Code >= 500 {
				t.Errorf("%d", w.Code)
			}
			if to := w.Header().Get("Location"); strings.Contains(to, "://") {
				rest, ok := strings.CutPrefix(to, "https://")
				name, _, _ := strings.Cut(rest, "/")
				if !ok || !strings.HasSuffix(name, ".example.org") && !strings.HasSuffix(name, ".example.net") {
					t.Errorf("leads to %s", to)
				}
			}
		}
	})
}
