package mailauth

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// zone is a resolver that answers from memory. Names are in lower case without the dot at
// the end; those in fail give an error that may pass.
type zone struct {
	txt  map[string][]string
	mx   map[string][]*net.MX
	ip   map[string][]string
	ptr  map[string][]string // by address
	fail map[string]bool

	mu    sync.Mutex
	asked []string
}

func (z *zone) ask(name string) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	z.asked = append(z.asked, name)
	if z.fail[name] {
		return name, &net.DNSError{Err: "server failure", Name: name, IsTemporary: true}
	}
	return name, nil
}

// answer is what there is, or that there is nothing.
func answerOf[T any](z *zone, name string, all map[string][]T) ([]T, error) {
	name, err := z.ask(name)
	if err == nil && len(all[name]) == 0 {
		err = &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return all[name], err
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return answerOf(z, name, z.txt)
}

func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return answerOf(z, name, z.mx)
}

func (z *zone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return answerOf(z, addr, z.ptr)
}

func (z *zone) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	texts, err := answerOf(z, host, z.ip)
	var all []net.IPAddr
	for _, text := range texts {
		all = append(all, net.IPAddr{IP: netip.MustParseAddr(text).AsSlice()})
	}
	return all, err
}

// questions is how many there were since the last time.
func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := len(z.asked)
	z.asked = nil
	return n
}

var testIP = netip.MustParseAddr("192.0.2.1")

// texts is a zone of TXT records, name and text in turn.
func texts(pairs ...string) *zone {
	z := &zone{txt: map[string][]string{}, fail: map[string]bool{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		z.txt[pairs[i]] = append(z.txt[pairs[i]], pairs[i+1])
	}
	return z
}

// crlf makes the lines of a text lines of mail.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func wantResult(t testing.TB, what string, got, want Result, reason, words string) {
	t.Helper()
	if got != want || !strings.Contains(reason, words) {
		t.Errorf("%s: %s (%s), want %s (%s)", what, got, reason, want, words)
	}
}
