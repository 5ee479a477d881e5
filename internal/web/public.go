package web

import (
	"net"
	"net/http"
	"strings"
)

// ToHTTPS sends browsers from HTTP on to the same page with TLS on port, "" for 443
// (RFC 9110 section 15.4.9). A request that names no host gets 400.
func ToHTTPS(port string) http.Handler {
	return hardened(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		if host == "" || strings.ContainsAny(host, "/\\@ ?#%\"<>") {
			http.Error(w, "the request names no host", http.StatusBadRequest)
			return
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if port != "" && port != "443" {
			host += ":" + port
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}))
}
