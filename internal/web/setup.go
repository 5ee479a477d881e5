package web

import (
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"

	"kurir/dnsutil"

	"rsc.io/qr"
)

//go:embed pages
var pageFiles embed.FS

// The policies of the pages: nothing from elsewhere, no script at all.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors "
	whole      = "'none'" // no other page may hold this one
	within     = "'self'" // the account's page holds the live line
)

// setup is the pages under /setup.
type setup struct {
	*Server
	pages *template.Template
}

// setupPages reads the pages.
func (s *Server) setupPages() *setup {
	return &setup{s, template.Must(template.ParseFS(pageFiles, "pages/*.html"))}
}

// routes are the pages. What changes something is refused to the pages of others.
func (p *setup) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /setup/style.css", func(w http.ResponseWriter, r *http.Request) {
		text, _ := fs.ReadFile(pageFiles, "pages/style.css") // is embedded
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(text) // fails only if the client has gone
	})
	mux.HandleFunc("GET /setup", p.choose)
	mux.HandleFunc("GET /setup/mail.mobileconfig", p.profile)
	mux.HandleFunc("GET /setup/profile/{token}", p.handover)
	if p.Pages.Sessions != nil {
		p.accountRoutes(mux)
	}
	mux.HandleFunc("/setup/", func(w http.ResponseWriter, _ *http.Request) {
		p.fail(w, http.StatusNotFound, "There is no such page.")
	})
	own := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy+whole)
		w.Header().Set("Referrer-Policy", "same-origin") // with none at all, browsers send Origin: null
		own.ServeHTTP(w, r)
	})
}

// page is what every page shows.
type page struct {
	Title, Host string
	Account     string // who is signed in; "": nobody
	SignIn      bool   // people can sign in
	Problem     string // what was wrong with what was typed, a sentence
}

func (p *setup) page(r *http.Request, title string) page {
	return page{Title: title, Host: p.Hostname, Account: p.signedIn(r), SignIn: p.Pages.Sessions != nil && p.mayType(r)}
}

// show sends a page.
func (p *setup) show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if name == "live" {
		w.Header().Set("Content-Security-Policy", pagePolicy+within)
	}
	w.WriteHeader(status)
	if err := p.pages.ExecuteTemplate(w, name+".html", data); err != nil {
		p.log().Debug("a page was not sent whole", "page", name, "error", err)
	}
}

// fail sends a page that says what is wrong, in a sentence or two.
func (p *setup) fail(w http.ResponseWriter, status int, text string) {
	p.show(w, status, "problem", page{Title: "That did not work", Host: p.Hostname, Problem: text})
}

// chooseData is the page on which the app is chosen.
type chooseData struct {
	page
	Address string
	Apps    []App
	App     string // key of the one that is chosen
}

// choice is the list of apps in a form.
type choice struct {
	Apps   []App
	Chosen string // key
}

// Choice is the form's list.
func (d chooseData) Choice() choice { return choice{d.Apps, d.App} }

// choose asks for address and app; with both it tells how to set up the app.
func (p *setup) choose(w http.ResponseWriter, r *http.Request) {
	d := chooseData{page: p.page(r, "Set up your mail"), Address: r.URL.Query().Get("address"), Apps: Apps(), App: r.URL.Query().Get("app")}
	app, known := findApp(d.App)
	_, ours := p.domainOf(r.Context(), d.Address)
	account, served := p.account(d.Address, "")
	switch {
	case !served:
		p.fail(w, http.StatusNotFound, "This server is not open to mail apps.")
		return
	case d.Address == "" && d.App == "":
		d.Address = d.Account
	case !ours:
		d.Problem = notOurs(d.Address)
	case !known:
		d.Problem = "Please choose your app."
	default:
		p.guide(w, r, app, account)
		return
	}
	status := http.StatusOK
	if d.Problem != "" {
		status = http.StatusBadRequest
	}
	p.show(w, status, "choose", d)
}

// notOurs says what is wrong with an address.
func notOurs(address string) string {
	if address == "" {
		return "Please type your mail address."
	}
	if len(address) > maxAddress {
		return "This is too long for a mail address."
	}
	return "There is no mail for “" + address + "” on this server. Look whether the part behind the @ is right."
}

// guideData is the page that tells what to type.
type guideData struct {
	page
	App     App
	Address string
	Steps   []filled
	QR      template.URL // a picture; "": none
	Profile string       // where the profile is; "": there is none
	// Password was just made for Device, and is shown this once; "": the user has one.
	Password, Device string
	Live             bool // logins can be seen
	OnlyDevices      bool // each device needs a password of its own
}

// filled is a step with its values.
type filled struct {
	Text   string
	Fields []struct {
		Label string
		Value Value
	}
}

// fill puts an account into the steps of an app.
func fill(steps []Step, a Account) []filled {
	all := make([]filled, len(steps))
	for i, step := range steps {
		all[i].Text = step.Text
		for _, f := range step.Fields {
			all[i].Fields = append(all[i].Fields, struct {
				Label string
				Value Value
			}{f.Label, f.Value(a)})
		}
	}
	return all
}

// guide tells how to set up an app for an address. It is the same for every address of a
// domain, so that it tells nobody which ones exist.
func (p *setup) guide(w http.ResponseWriter, r *http.Request, app App, a Account) {
	d := guideData{page: p.page(r, app.Name), App: app, Address: a.Address, Steps: fill(app.Steps, a), OnlyDevices: !a.Own}
	here := p.base(r) + "/setup?" + url.Values{"address": {a.Address}, "app": {app.Key}}.Encode()
	if app.Profile {
		d.Profile = "/setup/mail.mobileconfig?" + url.Values{"address": {a.Address}}.Encode()
	}
	if app.Phone {
		d.QR = picture(here)
	}
	p.show(w, http.StatusOK, "guide", d)
}

// picture is a QR code as an image in a URL; "" if the text is too long for one.
func picture(text string) template.URL {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return ""
	}
	code.Scale = 4
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG()))
}

// profile answers with the settings of an address as a configuration profile of Apple's,
// without a password.
func (p *setup) profile(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("address")
	if _, ok := p.domainOf(r.Context(), address); !ok {
		p.fail(w, http.StatusNotFound, notOurs(address))
		return
	}
	p.sendProfile(w, address, "")
}

// handover answers with a profile that holds a password that was just made.
func (p *setup) handover(w http.ResponseWriter, r *http.Request) {
	var h handover
	ok := false
	if p.Pages.Sessions != nil {
		h, ok = p.Pages.Sessions.take(r.PathValue("token"))
	}
	if !ok {
		p.fail(w, http.StatusNotFound, "This profile is no longer there: it can be had for ten minutes. Make another password, and it comes with a new one.")
		return
	}
	p.sendProfile(w, h.address, h.password)
}

// sendProfile sends the profile of an address, signed.
func (p *setup) sendProfile(w http.ResponseWriter, address, password string) {
	text, err := p.makeProfile(address, password)
	if err == nil {
		text, err = p.signed(text)
	}
	switch {
	case errors.Is(err, errNoServers):
		p.fail(w, http.StatusNotFound, "This server is not open to mail apps.")
		return
	case err != nil:
		p.log().Error("a profile could not be made", "error", err)
		p.fail(w, http.StatusInternalServerError, "The profile could not be made. Please type the settings by hand.")
		return
	}
	w.Header().Set("Content-Type", "application/x-apple-aspen-config")
	w.Header().Set("Content-Disposition", `attachment; filename="mail.mobileconfig"`)
	_, _ = w.Write(text) // fails only if the client has gone
}

// base is where the asker reached this server, without a path.
func (p *setup) base(r *http.Request) string {
	scheme := "http"
	if p.secure(r) {
		scheme = "https"
	}
	if _, err := dnsutil.Name(hostname(r.Host)); err == nil || loopbackHost(r.Host) {
		return scheme + "://" + r.Host
	}
	return scheme + "://" + p.Hostname
}
