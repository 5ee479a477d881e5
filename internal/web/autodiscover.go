package web

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Where Outlook looks for its settings, in small letters: version 1 in XML ([MS-OXDSCLI]),
// and version 2, which only says where version 1 is.
const (
	autodiscoverPath = "/autodiscover/autodiscover.xml"
	autodiscoverJSON = "/autodiscover/autodiscover.json"
)

// The schemas of Outlook's questions and answers.
const (
	outlookEnvelope = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	outlookAnswer   = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// maxDepth bounds how deep elements of a question may be nested; real ones have three levels.
const maxDepth = 16

// errQuestion: the body is no question of Outlook's.
var errQuestion = errors.New("no question of Autodiscover")

// question is what an app asks by POST.
type question struct {
	address string
	schema  string // of the answer that it understands; "": not said
}

// parseQuestion reads the XML of a question. Names count, namespaces do not: apps get
// those wrong. The error is errQuestion.
func parseQuestion(body io.Reader) (question, error) {
	var q question
	var path []string
	dec := xml.NewDecoder(body)
	for {
		token, err := dec.Token()
		if err != nil {
			break // the end, or a fault: what was read so far must do
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > maxDepth {
				return q, errQuestion
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			switch strings.Join(path, "/") {
			case "Autodiscover/Request/EMailAddress":
				q.address += string(t)
			case "Autodiscover/Request/AcceptableResponseSchema":
				q.schema += string(t)
			}
		}
	}
	q.address, q.schema = strings.TrimSpace(q.address), strings.TrimSpace(q.schema)
	if q.address == "" {
		return q, errQuestion
	}
	return q, nil
}

// outlookProtocol is one server as Outlook wants it.
type outlookProtocol struct {
	Type           string
	Server         string
	Port           uint16
	DomainRequired string
	LoginName      string
	SPA            string // Microsoft's own authentication
	SSL            string
	Encryption     string `xml:",omitempty"` // "SSL": from the start; "TLS": STARTTLS
	AuthRequired   string
	UsePOPAuth     string `xml:",omitempty"`
	SMTPLast       string `xml:",omitempty"`
}

type outlookAccount struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a Response"`
	User     struct{ DisplayName string }
	Settings struct {
		AccountType string
		Action      string
		Protocol    []outlookProtocol
	} `xml:"Account"`
}

type outlookFault struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Response"`
	Error   struct {
		Time      string `xml:",attr"`
		ID        string `xml:"Id,attr"`
		ErrorCode int
		Message   string
		DebugData string
	}
}

type outlookReply struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response any
}

// autodiscover answers version 1. A question without an address, such as a browser's, gets
// the error that the protocol has for it.
func (s *Server) autodiscover(w http.ResponseWriter, r *http.Request) {
	var q question
	err := errQuestion
	switch r.Method {
	case http.MethodPost:
		q, err = parseQuestion(r.Body)
	case http.MethodGet, http.MethodHead:
		if q.address = queryFold(r.URL.Query(), "email"); q.address != "" {
			err = nil
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	reply := outlookReply{}
	_, ours := s.domainOf(r.Context(), q.address)
	switch {
	case err != nil:
		reply.Response = newFault(600, "Invalid Request")
	case q.schema != "" && q.schema != outlookAnswer:
		reply.Response = newFault(601, "Provider is not available")
	case !ours:
		reply.Response = newFault(500, "The e-mail address cannot be found.")
	default:
		a := &outlookAccount{}
		a.User.DisplayName = q.address
		a.Settings.AccountType, a.Settings.Action = "email", "settings"
		a.Settings.Protocol = s.outlookProtocols(q.address)
		reply.Response = a
	}
	writeXML(w, "text/xml; charset=utf-8", reply)
}

func newFault(code int, text string) *outlookFault {
	f := &outlookFault{}
	f.Error.Time, f.Error.ID = time.Now().UTC().Format("15:04:05.0000000"), "1"
	f.Error.ErrorCode, f.Error.Message = code, text
	return f
}

// outlookProtocols are the servers, one a protocol: Outlook takes the first that it knows.
func (s *Server) outlookProtocols(address string) []outlookProtocol {
	var all []outlookProtocol
	for _, p := range []struct {
		name     string
		services [2]string // TLS from the start, and STARTTLS
	}{
		{"IMAP", [2]string{"imaps", "imap"}}, {"POP3", [2]string{"pop3s", "pop3"}}, {"SMTP", [2]string{"submissions", "submission"}},
	} {
		v, ok := s.service(p.services[:]...)
		if !ok {
			continue
		}
		one := outlookProtocol{
			Type: p.name, Server: s.Hostname, Port: v.Port, DomainRequired: "off", LoginName: address,
			SPA: "off", SSL: "on", Encryption: "SSL", AuthRequired: "on",
		}
		if v.Name == p.services[1] {
			one.Encryption = "TLS"
		}
		if p.name == "SMTP" {
			one.UsePOPAuth, one.SMTPLast = "off", "off"
		}
		all = append(all, one)
	}
	return all
}

// jsonFault is an error of version 2.
type jsonFault struct {
	Code string `json:"ErrorCode"`
	Text string `json:"ErrorMessage"`
}

// autodiscoverJSON answers version 2: GET with ?Email=, or the address at the end of the
// path, and &Protocol=.
func (s *Server) autodiscoverJSON(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	address, protocol := queryFold(r.URL.Query(), "email"), queryFold(r.URL.Query(), "protocol")
	if rest := r.URL.Path[len(autodiscoverJSON):]; address == "" && rest != "" {
		address = rest[strings.LastIndexByte(rest, '/')+1:] // …/v1.0/alice@example.org
	}
	domain, ours := s.domainOf(r.Context(), address)
	switch {
	case protocol == "":
		writeJSON(w, http.StatusBadRequest, jsonFault{"MandatoryParameterMissing", "A valid value must be provided for the query parameter 'Protocol'"})
	case address == "":
		writeJSON(w, http.StatusBadRequest, jsonFault{"MandatoryParameterMissing", "A valid smtp address must be provided"})
	case !strings.EqualFold(protocol, "AutodiscoverV1"):
		writeJSON(w, http.StatusBadRequest, jsonFault{"InvalidProtocol", fmt.Sprintf("The given protocol value '%.40s' is invalid. Supported values are 'AutodiscoverV1'", protocol)})
	case !ours:
		writeJSON(w, http.StatusNotFound, jsonFault{"UserNotFound", "The given user is not found"})
	default:
		writeJSON(w, http.StatusOK, struct{ Protocol, Url string }{"AutodiscoverV1", s.autodiscoverURL(r, domain)})
	}
}

// autodiscoverURL is where version 1 is: at the name that was asked if that is made of the
// domain, else at the server's own.
func (s *Server) autodiscoverURL(r *http.Request, domain string) string {
	if kind, of := s.hostOf(r); kind == "autodiscover" && of == domain {
		return s.secureURL("autodiscover."+domain) + autodiscoverPath
	}
	return s.secureURL(s.Hostname) + autodiscoverPath
}

// queryFold is the value of a parameter whose name may be written in any case.
func queryFold(q url.Values, name string) string {
	for k, v := range q {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// writeJSON sends v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only if the client has gone
}
