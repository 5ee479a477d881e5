package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
)

// fakes stand behind the pages.
type fakes struct {
	invited map[string]string // token to address
	devices []Device
	adding  error
	signIn  SignIn // the last
	asked   string // whose logins were asked for last
	recent  []Attempt
}

func (f *fakes) Find(_ context.Context, token string) (string, error) {
	if a := f.invited[token]; a != "" {
		return a, nil
	}
	return "", errors.New("none")
}

func (f *fakes) Use(ctx context.Context, token string) (string, error) {
	a, err := f.Find(ctx, token)
	delete(f.invited, token)
	return a, err
}

func (f *fakes) List(context.Context, string) ([]Device, error) { return f.devices, nil }

func (f *fakes) Add(_ context.Context, _, name string) (string, error) {
	if f.adding != nil {
		return "", f.adding
	}
	f.devices = append(f.devices, Device{Name: name, Created: time.Now()})
	return "abcde-fghij", nil
}

func (f *fakes) Revoke(_ context.Context, _, name string) error {
	for i, d := range f.devices {
		if d.Name == name {
			f.devices = append(f.devices[:i], f.devices[i+1:]...)
			return nil
		}
	}
	return errors.New("none")
}

// visitor is a browser at the pages.
type visitor struct {
	t      *testing.T
	server *Server
	*fakes
	site    string // scheme and host
	header  http.Header
	cookies map[string]*http.Cookie
}

func newVisitor(t *testing.T) *visitor {
	f := &fakes{invited: map[string]string{"TOKEN": "alice@example.org"}}
	s := exampleServer()
	s.Pages.Sessions, s.Pages.Invites, s.Pages.Devices = &Sessions{}, f, f
	s.Pages.SignIn = func(_ context.Context, in SignIn) (string, error) {
		f.signIn = in
		switch in.Password {
		case "right":
			return "alice@example.org", nil
		case "often":
			return "", &auth.ThrottledError{RetryAfter: 90 * time.Second}
		case "closed":
			return "", auth.ErrDisabled
		case "broken":
			return "", fmt.Errorf("%w: disk", auth.ErrUnavailable)
		}
		return "", auth.ErrInvalid
	}
	s.Pages.Recent = func(_ context.Context, address string, _ int) ([]Attempt, error) {
		f.asked = address
		return f.recent, nil
	}
	return &visitor{t, s, f, "https://mail.example.org", http.Header{}, map[string]*http.Cookie{}}
}

// ask sends a request with the cookies that there are; form nil is a GET.
func (v *visitor) ask(path string, form url.Values) (*http.Response, string) {
	v.t.Helper()
	method, body := "GET", ""
	if form != nil {
		method, body = "POST", form.Encode()
	}
	r := httptest.NewRequest(method, v.site+path, strings.NewReader(body))
	for k, h := range v.header {
		r.Header[k] = h
	}
	if addr := v.header.Get("From-Address"); addr != "" {
		r.RemoteAddr = addr
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.server.Public().ServeHTTP(w, r)
	resp := w.Result()
	for _, c := range resp.Cookies() {
		if v.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(text)
}

// want asks and wants a status and words.
func (v *visitor) want(status int, path string, form url.Values, words ...string) string {
	v.t.Helper()
	resp, text := v.ask(path, form)
	if resp.StatusCode != status {
		v.t.Fatalf("%s: %d\n%s", path, resp.StatusCode, text)
	}
	if got := resp.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") && path != "/" {
		v.t.Errorf("%s: policy %q", path, got)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			v.t.Errorf("%s has no %q:\n%s", path, w, text)
		}
	}
	return text
}

func (v *visitor) enter() {
	v.t.Helper()
	v.want(303, "/setup/signin", url.Values{"address": {" alice@example.org "}, "password": {"right"}})
}

func TestSignIn(t *testing.T) {
	v := newVisitor(t)
	for password, c := range map[string]struct {
		status int
		words  string
	}{
		"wrong":  {403, "The address or the password is not right."},
		"":       {403, "The address or the password is not right."},
		"often":  {429, "That was wrong too often. Please try again in 2 minutes."},
		"closed": {403, "This account is closed."},
		"broken": {503, "not possible at the moment"},
	} {
		v.want(c.status, "/setup/signin", url.Values{"address": {`"><b>`}, "password": {password}}, c.words, "&#34;&gt;&lt;b&gt;")
	}
	if len(v.cookies) > 0 {
		t.Fatal("a cookie for a wrong password")
	}
	v.want(303, "/setup/account", nil)
	v.enter()
	if v.signIn.Username != "alice@example.org" || v.signIn.TLS == nil || !v.signIn.Remote.IsValid() {
		t.Errorf("%+v", v.signIn)
	}
	c := v.cookies["__Host-kurir"]
	if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) < 26 || c.Domain != "" {
		t.Fatalf("%+v", c)
	}
	v.want(200, "/setup/account", nil, "alice@example.org", "There is none yet.")
	v.want(200, "/setup", nil, `value="alice@example.org"`)
	v.want(303, "/setup/signout", url.Values{})
	if len(v.cookies) > 0 {
		t.Error("the cookie stays")
	}
	v.cookies["__Host-kurir"] = c
	v.want(303, "/setup/account", nil)
}

// A password typed anew, or an account that was closed, ends what was signed in.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t)
		v.enter()
		v.server.Pages.Sessions.End("bob@example.org")
		v.want(200, "/setup/account", nil)
		v.server.Pages.Sessions.End("alice@example.org")
		v.want(303, "/setup/account", nil)
		v.enter()
		time.Sleep(sessionLife - time.Second)
		v.want(200, "/setup/account", nil)
		time.Sleep(2 * time.Second)
		v.want(303, "/setup/account", nil)
	})
}

// What was found out before an account was signed out everywhere begins no session after.
func TestSessionsEndMeanwhile(t *testing.T) {
	v := newVisitor(t)
	signIn, closed := v.server.Pages.SignIn, "alice@example.org"
	v.server.Pages.SignIn = func(ctx context.Context, in SignIn) (string, error) {
		address, err := signIn(ctx, in)
		v.server.Pages.Sessions.End(closed)
		return address, err
	}
	form := url.Values{"address": {"alice@example.org"}, "password": {"right"}}
	v.want(503, "/setup/signin", form, "sign in once more")
	v.want(303, "/setup/account", nil)
	closed = "bob@example.org"
	v.want(303, "/setup/signin", form)
	v.want(200, "/setup/account", nil)
	sessions := v.server.Pages.Sessions
	v.server.Pages.Invites = meanwhile{v.fakes, func() { sessions.End("alice@example.org") }}
	v.want(503, "/setup/i/TOKEN", url.Values{}, "sign in once more")
	v.want(303, "/setup/account", nil)
}

// meanwhile are invitations during whose use something happens.
type meanwhile struct {
	Invites
	then func()
}

func (m meanwhile) Use(ctx context.Context, token string) (string, error) {
	defer m.then()
	return m.Invites.Use(ctx, token)
}

func TestTokensAreBounded(t *testing.T) {
	var all tokens[int]
	nobodys := func(int) bool { return false }
	first := all.add(0, time.Hour, nobodys)
	var last string
	for i := range maxSessions {
		last = all.add(i, 2*time.Hour, nobodys)
	}
	if _, ok := all.get(first); ok || len(all.all) != maxSessions {
		t.Errorf("%d are kept", len(all.all))
	}
	if v, ok := all.get(last); !ok || v != maxSessions-1 {
		t.Error("the newest is not there")
	}
}

// One account that signs in again and again signs nobody else out.
func TestSessionsOfOneAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sessions
		bob, _ := s.begin("bob@example.org", s.mark())
		profile := s.leave(handover{"bob@example.org", "abcde"})
		time.Sleep(time.Second)
		var alice []string
		for range maxOwn + 1 {
			token, _ := s.begin("alice@example.org", s.mark())
			alice = append(alice, token)
			s.leave(handover{"alice@example.org", "abcde"})
			time.Sleep(time.Second)
		}
		if _, ok := s.take(profile); !ok || s.account(bob) == "" || len(s.handovers.all) != maxOwn+1 {
			t.Error("bob's are gone")
		}
		if s.account(alice[0]) != "" || s.account(alice[1]) == "" || s.account(alice[maxOwn]) == "" {
			t.Error("not the oldest of alice's has gone")
		}
	})
}

// In the clear a password is typed on the same machine alone, and a proxy's word counts
// only if it is one of ours.
func TestClear(t *testing.T) {
	right := url.Values{"address": {"alice@example.org"}, "password": {"right"}}
	for _, c := range []struct {
		from, host, proto, forwarded string
		status                       int
		cookie                       string
		remote                       string
	}{
		{"127.0.0.1:1234", "127.0.0.1:1080", "", "", 303, "kurir", "127.0.0.1"},
		{"[::1]:1234", "localhost:1080", "", "", 303, "kurir", "::1"},
		{"127.0.0.1:1234", "[::1]:1080", "", "", 303, "kurir", "127.0.0.1"},
		{"127.0.0.1:1234", "mail.example.org", "https", "198.51.100.7", 303, "__Host-kurir", "198.51.100.7"},
		{"127.0.0.1:1234", "mail.example.org", "https", "203.0.113.9, 198.51.100.7", 303, "__Host-kurir", "198.51.100.7"},
		{"10.1.2.3:1234", "mail.example.org", "https", "203.0.113.9, 198.51.100.7, 10.1.2.4", 303, "__Host-kurir", "198.51.100.7"},
		{"127.0.0.1:1234", "mail.example.org", "http", "198.51.100.7", 403, "", ""},
		{"127.0.0.1:1234", "localhost", "", "198.51.100.7", 403, "", ""},
		{"127.0.0.1:1234", "mail.example.org", "", "", 403, "", ""},
		{"198.51.100.7:1234", "localhost", "", "", 403, "", ""},
		{"198.51.100.7:1234", "mail.example.org", "https", "127.0.0.1", 403, "", ""},
	} {
		v := newVisitor(t)
		v.server.Pages.HTTPS = ""
		v.server.Pages.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		v.site = "http://" + c.host
		v.header.Set("From-Address", c.from)
		if c.proto != "" {
			v.header.Set("X-Forwarded-Proto", c.proto)
		}
		if c.forwarded != "" {
			v.header.Set("X-Forwarded-For", c.forwarded)
		}
		resp, _ := v.ask("/setup/signin", right)
		if resp.StatusCode != c.status || (v.cookies[c.cookie] == nil) != (c.cookie == "") {
			t.Errorf("%+v: %d %v", c, resp.StatusCode, v.cookies)
		}
		if c.remote != "" && v.signIn.Remote.String() != c.remote {
			t.Errorf("%+v: from %v", c, v.signIn.Remote)
		}
		if c.status == 403 {
			v.want(403, "/setup/i/TOKEN", nil, "https")
			v.want(403, "/setup/i/TOKEN", url.Values{}, "https")
			v.want(403, "/setup/signin", nil, "https")
		}
	}
}

// Programs look at links before people do; only the button uses one up.
func TestInvitation(t *testing.T) {
	v := newVisitor(t)
	for range 3 {
		v.want(200, "/setup/i/TOKEN", nil, "This invitation is for", "alice@example.org")
	}
	v.want(404, "/setup/i/OTHER", nil, "does not work any more")
	v.want(404, "/setup/i/OTHER", url.Values{}, "does not work any more")
	v.want(303, "/setup/i/TOKEN", url.Values{})
	v.want(200, "/setup/account", nil, "alice@example.org")
	v.want(404, "/setup/i/TOKEN", url.Values{}, "does not work any more")
	v.server.Pages.Invites = nil
	v.want(404, "/setup/i/TOKEN", nil, "does not work any more")
	v.want(404, "/setup/i/TOKEN", url.Values{}, "does not work any more")
}

// Pages of others cannot press our buttons.
func TestOtherOrigins(t *testing.T) {
	v := newVisitor(t)
	v.enter()
	for _, h := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
	} {
		v.header = h
		for _, path := range []string{"/setup/devices", "/setup/devices/revoke", "/setup/signin", "/setup/signout", "/setup/i/TOKEN"} {
			if resp, _ := v.ask(path, url.Values{"app": {"k9"}, "password": {"right"}}); resp.StatusCode != 403 {
				t.Errorf("%v %s: %d", h, path, resp.StatusCode)
			}
		}
	}
	v.header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://mail.example.org"}}
	v.want(200, "/setup/devices", url.Values{"app": {"k9"}})
}

func TestDevices(t *testing.T) {
	v := newVisitor(t)
	v.want(303, "/setup/devices", url.Values{"app": {"iphone"}})
	v.enter()
	v.want(400, "/setup/devices", url.Values{"app": {"nothing"}, "name": {"x"}}, "Please choose the app")
	text := v.want(200, "/setup/devices", url.Values{"app": {"iphone"}, "name": {" My\x00 <b>\n phone "}},
		"abcde-fghij", "My &lt;b&gt; phone", "data:image/png;base64,", `src="/setup/live"`)
	profile := regexp.MustCompile(`/setup/profile/[A-Z0-9]+`).FindString(text)
	v.want(200, "/setup/account", nil, "My &lt;b&gt; phone", "last used never")
	v.cookies = map[string]*http.Cookie{} // the phone is another browser
	for range 2 {
		v.want(200, profile, nil, "<key>IncomingPassword</key><string>abcde-fghij</string>", "alice@example.org")
	}
	v.want(404, profile+"A", nil, "no longer there")
	v.server.Pages.Sessions.End("alice@example.org")
	v.want(404, profile, nil, "no longer there")

	v.enter()
	v.want(200, "/setup/devices", url.Values{"app": {"k9"}}, "The password for “K-9 Mail, Thunderbird for Android”")
	v.adding = Refusal{"There is one already."}
	v.want(409, "/setup/devices", url.Values{"app": {"k9"}, "name": {"x"}}, "There is one already.", `value="x"`)
	v.adding = errors.New("disk")
	if text := v.want(500, "/setup/devices", url.Values{"app": {"k9"}}, "could not be made"); strings.Contains(text, "disk") {
		t.Error("what is wrong inside is told")
	}
	v.want(303, "/setup/devices/revoke", url.Values{"name": {"My <b> phone"}})
	v.want(409, "/setup/devices/revoke", url.Values{"name": {"My <b> phone"}}, "no longer in the list")
	v.server.Pages.Devices = nil
	v.want(200, "/setup/account", nil, "Choose your app")
	v.want(404, "/setup/devices", url.Values{"app": {"k9"}})
}

func TestHandoverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t)
		profile := "/setup/profile/" + v.server.Pages.Sessions.leave(handover{"alice@example.org", "abcde"})
		time.Sleep(handoverLife - time.Second)
		v.want(200, profile, nil)
		time.Sleep(2 * time.Second)
		v.want(404, profile, nil)
	})
}

func TestLive(t *testing.T) {
	v := newVisitor(t)
	if resp, text := v.ask("/setup/live", nil); resp.StatusCode != 403 || resp.Header.Get("Refresh") != "" || !strings.Contains(text, "signed out") {
		t.Errorf("signed out: %d %s", resp.StatusCode, text)
	}
	v.enter()
	v.want(200, "/setup/live", nil, "Nothing has reached us in the last hour.")
	v.recent = []Attempt{
		{Time: time.Now().Add(-5 * time.Second), Protocol: "IMAP", TLS: "TLS 1.3", Device: "<i>", Remote: "192.0.2.1", Count: 3},
		{Time: time.Now().Add(-3 * time.Minute), Protocol: "SMTP", Problem: "the password is wrong"},
		{Time: time.Now().Add(-2 * time.Hour), Protocol: "POP3"},
	}
	text := v.want(200, "/setup/live", nil, "A device reached us 5 seconds ago, by IMAP.", "(TLS 1.3)", "with the password of “&lt;i&gt;”. ", "From 192.0.2.1, 3 times.",
		"3 minutes ago", "Not encrypted.", "failed</b>: the password is wrong.")
	if strings.Contains(text, "POP3") || v.asked != "alice@example.org" {
		t.Errorf("of %q:\n%s", v.asked, text)
	}
	resp, _ := v.ask("/setup/live", nil)
	if resp.Header.Get("Refresh") != "3" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'self'") {
		t.Errorf("%v", resp.Header)
	}
	if resp, _ := v.ask("/setup/account", nil); !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%v", resp.Header)
	}
}

func TestChoose(t *testing.T) {
	v := newVisitor(t)
	for path, want := range map[string]string{
		"/setup": "Set up your mail",
		"/setup?app=k9&address=alice@example.com": "There is no mail for “alice@example.com” on this server.",
		"/setup?app=k9": "Please type your mail address.",
		"/setup?app=nothing&address=alice@example.org":               "Please choose your app.",
		"/setup?address=alice@example.org":                           "Please choose your app.",
		"/setup?app=k9&address=" + strings.Repeat("a", 300) + "@b.c": "too long",
	} {
		status := 400
		if path == "/setup" {
			status = 200
		}
		v.want(status, path, nil, want)
	}
	v.want(404, "/setup/nothing", nil, "There is no such page.")
	v.want(200, "/setup?app=k9&address=Alice@Example.NET", nil, "Alice@Example.NET", "mail.example.org")
	v.want(302, "/", nil)
	v.server.Pages.Services = usual[:2]
	v.want(404, "/setup", nil, "not open to mail apps")
	v.want(404, "/setup/mail.mobileconfig?address=alice@example.org", nil, "not open to mail apps")
}

// Where mail apps need passwords of their own, the pages do not ask for another.
func TestOnlyDevices(t *testing.T) {
	v := newVisitor(t)
	const words = "does not work in mail apps"
	if text := v.want(200, "/setup?app=k9&address=alice@example.org", nil, ">your password<"); strings.Contains(text, words) {
		t.Error("it does work")
	}
	v.server.Pages.OnlyDevices = true
	v.want(200, "/setup?app=k9&address=alice@example.org", nil, words, "/setup/signin?address=alice%40example.org", ">the password made for this device<")
	v.enter()
	v.want(200, "/setup?app=iphone&address=alice@example.org", nil, words, `href="/setup/account"`)
	if text := v.want(200, "/setup/devices", url.Values{"app": {"iphone"}}, "abcde-fghij"); strings.Contains(text, words) {
		t.Error("it has one")
	}
}

// Nobody learns from the pages which addresses exist: they know none.
func TestGuideKnowsNoAccounts(t *testing.T) {
	v := newVisitor(t)
	page := func(address string) string {
		text := v.want(200, "/setup?app=iphone&address="+address, nil)
		text = regexp.MustCompile(`data:image/png[^"]*`).ReplaceAllString(text, "")
		return strings.ReplaceAll(strings.ReplaceAll(text, url.QueryEscape(address), "@"), address, "@")
	}
	if page("alice@example.org") != page("nobody@example.org") {
		t.Error("the pages differ")
	}
}

func TestAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for d, want := range map[time.Duration]string{
			0: "just now", time.Second: "just now", 2 * time.Second: "2 seconds ago", 59 * time.Second: "59 seconds ago",
			time.Minute: "1 minute ago", 61 * time.Minute: "1 hour ago", 47 * time.Hour: "47 hours ago", 72 * time.Hour: "on 29 December 1999",
		} {
			if got := ago(now.Add(-d)); got != want {
				t.Errorf("%v: %q, want %q", d, got, want)
			}
		}
		if ago(time.Time{}) != "never" || span(0) != "1 second" {
			t.Error(ago(time.Time{}), span(0))
		}
	})
}

func TestCleanName(t *testing.T) {
	for typed, want := range map[string]string{
		"": "", "  \t": "", " a \n b ": "a b", "é\xffx": "éx", strings.Repeat("ä", 70): strings.Repeat("ä", 60), "a\u202eb": "a b",
	} {
		if got := cleanName(typed); got != want {
			t.Errorf("%q: %q", typed, got)
		}
	}
}
