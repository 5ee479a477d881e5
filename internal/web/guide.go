package web

import (
	"strconv"

	"kurir/dnsutil"
)

// Value is what stands in a field of an app.
type Value struct {
	Text  string
	Words bool // it says what to type; else it is to be typed as it stands
}

// Account is what the fields of apps are filled with.
type Account struct {
	Address  string
	Host     string
	In, Out  dnsutil.Service // how mail is read, and how it is sent
	Password string          // "": the user knows it
	Own      bool            // the user's own password is for mail apps, too
}

// User is the name to log in with.
func (a Account) User() Value { return Value{Text: a.Address} }

// Server is the name of the server, for both directions.
func (a Account) Server() Value { return Value{Text: a.Host} }

// Secret is the password.
func (a Account) Secret() Value {
	switch {
	case a.Password != "":
		return Value{Text: a.Password}
	case !a.Own:
		return Value{"the password made for this device", true}
	}
	return Value{"your password", true}
}

// FullName is how others see the sender.
func (a Account) FullName() Value { return Value{"your name, as others should see it", true} }

// Protocol is how mail is read.
func (a Account) Protocol() Value {
	if a.In.Name == "pop3" || a.In.Name == "pop3s" {
		return Value{Text: "POP3"}
	}
	return Value{Text: "IMAP"}
}

// InPort is the port by which mail is read.
func (a Account) InPort() Value { return Value{Text: strconv.Itoa(int(a.In.Port))} }

// OutPort is the port by which mail is sent.
func (a Account) OutPort() Value { return Value{Text: strconv.Itoa(int(a.Out.Port))} }

// InSecurity is how TLS begins where mail is read.
func (a Account) InSecurity() Value { return security(a.In.Name == "imaps" || a.In.Name == "pop3s") }

// OutSecurity is how TLS begins where mail is sent.
func (a Account) OutSecurity() Value { return security(a.Out.Name == "submissions") }

func security(fromTheStart bool) Value {
	if fromTheStart {
		return Value{Text: "SSL/TLS"}
	}
	return Value{Text: "STARTTLS"}
}

func (a Account) on() Value     { return Value{"on", true} }
func (a Account) off() Value    { return Value{"off", true} }
func (a Account) normal() Value { return Value{Text: "Normal password"} }

// Field is one of an app's, under the name that it has there.
type Field struct {
	Label string
	Value func(Account) Value
}

// Step is one thing to do.
type Step struct {
	Text   string
	Fields []Field
}

// App is a mail app and how it is set up.
type App struct {
	Key   string // in addresses of pages
	Page  string // its page in docs/phones, without .md; several apps of one name share it
	Name  string
	On    string // the devices that it runs on
	Phone bool   // it runs on a phone or tablet
	// Profile tells that it takes a configuration profile of Apple's.
	Profile bool
	// Finds tells that it finds the settings by itself; Steps are for the case that it does not.
	Finds string
	Steps []Step
	Note  string
}

// fields is a list of them.
func fields(pairs ...Field) []Field { return pairs }

// Apps are the apps that the pages know, in the order in which they are shown.
func Apps() []App {
	return []App{
		iphone(), gmail(), samsung(), outlookMobile(), outlookNew(), outlookClassic(), thunderbird(), k9(), fairemail(), other(),
	}
}

// findApp is the app with a key; ok is false if there is none.
func findApp(key string) (_ App, ok bool) {
	for _, a := range Apps() {
		if a.Key == key {
			return a, true
		}
	}
	return App{}, false
}

// account fills in what apps need for an address; ok is false if nothing is served for them.
func (s *Server) account(address, password string) (_ Account, ok bool) {
	in, reads := s.service("imaps", "imap", "pop3s", "pop3")
	out, sends := s.service("submissions", "submission")
	return Account{Address: address, Host: s.Hostname, In: in, Out: out, Password: password, Own: !s.Pages.OnlyDevices}, reads && sends
}
