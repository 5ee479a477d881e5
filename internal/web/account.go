package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kurir/internal/auth"
)

// Invites are links by which people sign in without a password.
type Invites interface {
	// Find returns whose invitation a token is, or an error.
	Find(ctx context.Context, token string) (address string, err error)
	// Use is Find, and ends the invitation.
	Use(ctx context.Context, token string) (address string, err error)
}

// Devices are the app passwords of accounts: each device has its own.
type Devices interface {
	List(ctx context.Context, address string) ([]Device, error)
	// Add makes a password for a device. The error's text is for the user if it is a Refusal.
	Add(ctx context.Context, address, name string) (password string, err error)
	Revoke(ctx context.Context, address, name string) error
}

// Refusal is an error whose text the user is to read.
type Refusal struct{ Text string }

func (r Refusal) Error() string { return r.Text }

// Device is one app password.
type Device struct {
	Name          string
	Created, Used time.Time // Used zero: never
}

// SignIn is what somebody has typed.
type SignIn struct {
	Username, Password string
	Remote             netip.Addr
	TLS                *tls.ConnectionState // nil: none here, though a proxy may have it
}

// Attempt is one login, or one that failed, as the live line shows it.
type Attempt struct {
	Time     time.Time // of the last, if there were several alike
	Count    int64     // how many
	Remote   string    // address of the device
	Protocol string    // "IMAP", "POP3" or "SMTP"
	TLS      string    // version, such as "TLS 1.3"; "": none
	Device   string    // name of the app password; "": the account's own, or not known
	Problem  string    // why it failed, in words that go behind a colon; "": it went well
	// NoTLS says why there was no TLS, in such words; then nobody knows whose device it was.
	// "": TLS was not in the way.
	NoTLS string
}

// accountRoutes are the pages of who is signed in, and the way there.
func (p *setup) accountRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /setup/signin", p.askSignIn)
	mux.HandleFunc("POST /setup/signin", p.signIn)
	mux.HandleFunc("GET /setup/i/{token}", p.invited)
	mux.HandleFunc("POST /setup/i/{token}", p.accept)
	mux.HandleFunc("GET /setup/account", p.only(p.overview))
	mux.HandleFunc("GET /setup/live", p.only(p.live))
	mux.HandleFunc("POST /setup/devices", p.only(p.addDevice))
	mux.HandleFunc("POST /setup/devices/revoke", p.only(p.revoke))
	mux.HandleFunc("POST /setup/signout", p.signOut)
}

// cookie is the session's cookie. With https no other name and no subdomain can set it.
func (p *setup) cookie(r *http.Request, token string) *http.Cookie {
	c := &http.Cookie{Name: "kurir", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife.Seconds())}
	if p.secure(r) {
		c.Name, c.Secure = "__Host-kurir", true
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// token is that of the request's cookie; "": it has none.
func (p *setup) token(r *http.Request) string {
	c, err := r.Cookie(p.cookie(r, "x").Name)
	if err != nil || !p.mayType(r) {
		return ""
	}
	return c.Value
}

// signedIn is the account that is signed in; "" is nobody.
func (p *setup) signedIn(r *http.Request) string {
	if p.Pages.Sessions == nil {
		return ""
	}
	return p.Pages.Sessions.account(p.token(r))
}

// only lets in who is signed in.
func (p *setup) only(next func(w http.ResponseWriter, r *http.Request, address string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		address := p.signedIn(r)
		switch {
		case address != "":
			next(w, r, address)
		case r.URL.Path == "/setup/live":
			p.show(w, http.StatusForbidden, "live", liveData{Gone: true})
		default:
			http.Redirect(w, r, "/setup/signin", http.StatusSeeOther)
		}
	}
}

// signInData is the page on which people sign in.
type signInData struct {
	page
	Address string
}

func (p *setup) askSignIn(w http.ResponseWriter, r *http.Request) {
	if p.clear(w, r) {
		return
	}
	p.show(w, http.StatusOK, "signin", signInData{p.page(r, "Sign in"), r.URL.Query().Get("address")})
}

// clear refuses to handle secrets where others can read them, and tells whether it did.
func (p *setup) clear(w http.ResponseWriter, r *http.Request) bool {
	if p.mayType(r) {
		return false
	}
	p.fail(w, http.StatusForbidden, "Signing in needs an encrypted connection: an address that begins with https.")
	return true
}

func (p *setup) signIn(w http.ResponseWriter, r *http.Request) {
	if p.clear(w, r) {
		return
	}
	d := signInData{p.page(r, "Sign in"), strings.TrimSpace(r.PostFormValue("address"))}
	mark := p.Pages.Sessions.mark()
	address, err := p.Pages.SignIn(r.Context(), SignIn{
		Username: d.Address, Password: r.PostFormValue("password"), Remote: p.remote(r), TLS: r.TLS,
	})
	if err != nil {
		status := http.StatusForbidden
		d.Problem = "The address or the password is not right. Passwords that belong to one app do not work here."
		var wait *auth.ThrottledError
		switch {
		case errors.As(err, &wait):
			status, d.Problem = http.StatusTooManyRequests, fmt.Sprintf("That was wrong too often. Please try again in %s.", span(wait.RetryAfter))
		case errors.Is(err, auth.ErrDisabled):
			d.Problem = "This account is closed. The administrator can open it again."
			if closed, ok := errors.AsType[*auth.DisabledError](err); ok && closed.Message != "" {
				d.Problem = "This account is closed: " + closed.Message
			}
		case errors.Is(err, auth.ErrUnavailable):
			status, d.Problem = http.StatusServiceUnavailable, "Signing in is not possible at the moment. Please try again in a minute."
		}
		p.show(w, status, "signin", d)
		return
	}
	p.enter(w, r, address, mark)
}

// enter begins a session of somebody who was found to be an account's owner after mark.
func (p *setup) enter(w http.ResponseWriter, r *http.Request, address string, mark uint64) {
	token, ok := p.Pages.Sessions.begin(address, mark)
	if !ok {
		p.fail(w, http.StatusServiceUnavailable, "This account was changed at this very moment. Please sign in once more.")
		return
	}
	http.SetCookie(w, p.cookie(r, token))
	http.Redirect(w, r, "/setup/account", http.StatusSeeOther)
}

func (p *setup) signOut(w http.ResponseWriter, r *http.Request) {
	p.Pages.Sessions.end(p.token(r))
	http.SetCookie(w, p.cookie(r, ""))
	http.Redirect(w, r, "/setup", http.StatusSeeOther)
}

// noInvite is what is said of a link that does not work, whatever the reason.
const noInvite = "This invitation does not work any more: it was used, it is older than a week, or the link is not whole. Ask whoever sent it for a new one."

// invited shows an invitation. It does not end it: programs look at links before people do.
func (p *setup) invited(w http.ResponseWriter, r *http.Request) {
	if p.clear(w, r) {
		return
	}
	if p.Pages.Invites == nil {
		p.fail(w, http.StatusNotFound, noInvite)
		return
	}
	address, err := p.Pages.Invites.Find(r.Context(), r.PathValue("token"))
	if err != nil {
		p.fail(w, http.StatusNotFound, noInvite)
		return
	}
	p.show(w, http.StatusOK, "invited", signInData{p.page(r, "Welcome"), address})
}

func (p *setup) accept(w http.ResponseWriter, r *http.Request) {
	if p.clear(w, r) {
		return
	}
	if p.Pages.Invites == nil {
		p.fail(w, http.StatusNotFound, noInvite)
		return
	}
	mark := p.Pages.Sessions.mark()
	address, err := p.Pages.Invites.Use(r.Context(), r.PathValue("token"))
	if err != nil {
		p.fail(w, http.StatusNotFound, noInvite)
		return
	}
	p.log().Info("an invitation was used", "account", address, "remote", p.remote(r))
	p.enter(w, r, address, mark)
}

// overviewData is the page of an account.
type overviewData struct {
	page
	Apps    []App
	Devices []deviceRow
	CanAdd  bool // there are app passwords
	Live    bool // logins can be seen
	Name    string
}

// Choice is the form's list.
func (d overviewData) Choice() choice { return choice{Apps: d.Apps} }

type deviceRow struct{ Name, Created, Used string }

func (p *setup) overview(w http.ResponseWriter, r *http.Request, address string) {
	p.showOverview(w, r, address, http.StatusOK, "")
}

func (p *setup) showOverview(w http.ResponseWriter, r *http.Request, address string, status int, problem string) {
	d := overviewData{page: p.page(r, "Your devices"), Apps: Apps(), CanAdd: p.Pages.Devices != nil, Live: p.Pages.Recent != nil, Name: r.PostFormValue("name")}
	d.Problem = problem
	if d.CanAdd {
		all, err := p.Pages.Devices.List(r.Context(), address)
		if err != nil {
			p.log().Error("app passwords could not be listed", "account", address, "error", err)
			p.fail(w, http.StatusInternalServerError, "Your devices could not be read. Please try again in a minute.")
			return
		}
		for _, one := range all {
			d.Devices = append(d.Devices, deviceRow{one.Name, ago(one.Created), ago(one.Used)})
		}
	}
	p.show(w, status, "account", d)
}

// addDevice makes a password and shows it with the app's steps, this once.
func (p *setup) addDevice(w http.ResponseWriter, r *http.Request, address string) {
	app, known := findApp(r.PostFormValue("app"))
	name := cleanName(r.PostFormValue("name"))
	switch {
	case p.Pages.Devices == nil:
		p.fail(w, http.StatusNotFound, "There are no passwords for single apps on this server.")
		return
	case !known:
		p.showOverview(w, r, address, http.StatusBadRequest, "Please choose the app that the password is for.")
		return
	case name == "":
		name = app.Name
	}
	password, err := p.Pages.Devices.Add(r.Context(), address, name)
	var refused Refusal
	switch {
	case errors.As(err, &refused):
		p.showOverview(w, r, address, http.StatusConflict, refused.Text)
		return
	case err != nil:
		p.log().Error("an app password could not be made", "account", address, "error", err)
		p.fail(w, http.StatusInternalServerError, "The password could not be made. Please try again in a minute.")
		return
	}
	a, _ := p.account(address, password)
	d := guideData{page: p.page(r, app.Name), App: app, Address: address, Steps: fill(app.Steps, a), Password: password, Device: name, Live: p.Pages.Recent != nil}
	if app.Profile {
		d.Profile = "/setup/profile/" + p.Pages.Sessions.leave(handover{address, password})
		d.QR = picture(p.base(r) + d.Profile)
	}
	p.show(w, http.StatusOK, "guide", d)
}

// cleanName makes a name out of what was typed.
func cleanName(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	for utf8.RuneCountInString(name) > 60 {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

func (p *setup) revoke(w http.ResponseWriter, r *http.Request, address string) {
	if p.Pages.Devices != nil {
		if err := p.Pages.Devices.Revoke(r.Context(), address, r.PostFormValue("name")); err != nil {
			p.showOverview(w, r, address, http.StatusConflict, "This device is no longer in the list.")
			return
		}
	}
	http.Redirect(w, r, "/setup/account", http.StatusSeeOther)
}

// The live line: how often it is looked at anew, and how far back it goes.
const (
	liveEvery = "3" // seconds
	liveSpan  = time.Hour
	liveMost  = 5
)

type liveData struct {
	Gone     bool // nobody is signed in any more
	Attempts []liveRow
}

// liveRow is one attempt in words.
type liveRow struct {
	Ago     string
	Attempt Attempt
}

// live shows what the account's own devices have just tried.
func (p *setup) live(w http.ResponseWriter, r *http.Request, address string) {
	if p.Pages.Recent == nil {
		http.NotFound(w, r)
		return
	}
	all, err := p.Pages.Recent(r.Context(), address, liveMost)
	if err != nil {
		p.log().Error("logins could not be listed", "account", address, "error", err)
	}
	if p.Pages.Trouble != nil {
		all = append(all, p.Pages.Trouble.Recent(p.remote(r), 3)...)
		slices.SortStableFunc(all, func(a, b Attempt) int { return b.Time.Compare(a.Time) })
	}
	var d liveData
	for _, a := range all {
		if time.Since(a.Time) < liveSpan {
			d.Attempts = append(d.Attempts, liveRow{ago(a.Time), a})
		}
	}
	w.Header().Set("Refresh", liveEvery)
	p.show(w, http.StatusOK, "live", d)
}

// ago is a time in words, seen from now.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "never"
	case d < 2*time.Second:
		return "just now"
	case d < 48*time.Hour:
		return span(d) + " ago"
	}
	return "on " + t.Format("2 January 2006")
}

// span is a time in words: its largest unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		word string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d.Round(u.unit) / u.unit); d >= u.unit {
			if n == 1 {
				return "1 " + u.word
			}
			return fmt.Sprintf("%d %ss", n, u.word)
		}
	}
	return "1 second"
}
