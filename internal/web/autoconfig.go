package web

import (
	"encoding/xml"
	"net/http"
	"strings"
)

// Where Thunderbird, K-9 and FairEmail look for their settings.
const (
	autoconfigPath      = "/mail/config-v1.1.xml"
	autoconfigWellKnown = "/.well-known/autoconfig/mail/config-v1.1.xml"
)

func isAutoconfig(path string) bool { return path == autoconfigPath || path == autoconfigWellKnown }

// clientConfig is the format that Thunderbird's documentation calls config-v1.1.
type clientConfig struct {
	XMLName  xml.Name         `xml:"clientConfig"`
	Version  string           `xml:"version,attr"`
	Provider autoconfProvider `xml:"emailProvider"`
}

type autoconfProvider struct {
	ID        string           `xml:"id,attr"`
	Domain    string           `xml:"domain"`
	Name      string           `xml:"displayName"`
	ShortName string           `xml:"displayShortName"`
	Incoming  []autoconfServer `xml:"incomingServer"`
	Outgoing  []autoconfServer `xml:"outgoingServer"`
	Page      *autoconfPage    `xml:"documentation,omitempty"`
}

type autoconfServer struct {
	Type           string `xml:"type,attr"`
	Hostname       string `xml:"hostname"`
	Port           uint16 `xml:"port"`
	SocketType     string `xml:"socketType"` // "SSL": from the start; or "STARTTLS"
	Username       string `xml:"username"`
	Authentication string `xml:"authentication"`
}

type autoconfPage struct {
	URL  string `xml:"url,attr"`
	Text struct {
		Lang string `xml:"lang,attr"`
		Text string `xml:",chardata"`
	} `xml:"descr"`
}

// autoconfig answers with the settings for the domain of ?emailaddress= or, without one,
// of the host name that was asked. Apps ask with and without.
func (s *Server) autoconfig(w http.ResponseWriter, r *http.Request) {
	var domain string
	var ok bool
	if address := r.URL.Query().Get("emailaddress"); address != "" {
		domain, ok = s.domainOf(r.Context(), address)
	} else if _, domain = s.hostOf(r); domain != "" {
		ok = true
	} else {
		domain, ok = s.ours(r.Context(), hostname(r.Host))
	}
	incoming, outgoing := s.autoconfServers()
	if !ok || len(incoming) == 0 {
		http.NotFound(w, r)
		return
	}
	c := clientConfig{Version: "1.1", Provider: autoconfProvider{
		ID: domain, Domain: domain, Name: domain, ShortName: domain, Incoming: incoming, Outgoing: outgoing,
	}}
	if s.Pages.HTTPS != "" {
		page := &autoconfPage{URL: s.secureURL(s.Hostname) + "/setup"}
		page.Text.Lang, page.Text.Text = "en", "How to set up a mail app"
		c.Provider.Page = page
	}
	writeXML(w, "text/xml; charset=utf-8", c)
}

// hostname is the name in a Host field, without a port.
func hostname(host string) string {
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") {
		return host[:at]
	}
	return host
}

// autoconfServers are the servers in the order in which apps should take them: IMAP before
// POP3, TLS from the start before STARTTLS. Passwords go as they are, inside TLS: apps
// know no SCRAM, and their "encrypted password" is CRAM-MD5, which kurir has not.
func (s *Server) autoconfServers() (incoming, outgoing []autoconfServer) {
	for _, p := range []struct{ service, protocol, socket string }{
		{"imaps", "imap", "SSL"}, {"imap", "imap", "STARTTLS"},
		{"pop3s", "pop3", "SSL"}, {"pop3", "pop3", "STARTTLS"},
		{"submissions", "smtp", "SSL"}, {"submission", "smtp", "STARTTLS"},
	} {
		v, ok := s.service(p.service)
		if !ok {
			continue
		}
		one := autoconfServer{
			Type: p.protocol, Hostname: s.Hostname, Port: v.Port, SocketType: p.socket,
			Username: "%EMAILADDRESS%", Authentication: "password-cleartext",
		}
		if p.protocol == "smtp" {
			outgoing = append(outgoing, one)
		} else {
			incoming = append(incoming, one)
		}
	}
	return incoming, outgoing
}

// writeXML sends v.
func writeXML(w http.ResponseWriter, contentType string, v any) {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(append([]byte(xml.Header), append(text, '\n')...)) // fails only if the client has gone
}
