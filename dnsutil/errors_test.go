package dnsutil

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{Err: ErrNotFound}, "example.net does not exist in the DNS"},
		{Error{Err: ErrNoData, Type: dns.TypeTXT}, "example.net has no TXT record in the DNS"},
		{Error{Err: ErrNullMX}, "example.net takes no mail: its DNS says so"},
		{Error{Err: ErrLoop}, "the mail servers of example.net lead back to this server"},
		{Error{Err: ErrTemporary}, "the DNS of example.net does not answer"},
		{Error{Err: ErrTemporary, Cause: errTimeout}, "the DNS of example.net does not answer"},
		{Error{Err: ErrTemporary, Cause: context.DeadlineExceeded}, "the DNS of example.net does not answer"},
		{Error{Err: ErrTemporary, Cause: context.Canceled}, "looking up example.net was interrupted"},
		{Error{Err: ErrTemporary, Cause: errServFail, Server: "192.0.2.53:53"}, "the DNS of example.net is out of order"},
		{Error{Err: ErrTemporary, Cause: errRefused}, "the DNS refuses to answer for example.net"},
		{Error{Err: ErrTemporary, Cause: errBroken}, "the DNS of example.net gives answers that make no sense"},
		{Error{Err: errors.New("odd")}, "example.net: odd"},
	} {
		c.e.Name = "example.net"
		if got := c.e.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if !errors.Is(&c.e, c.e.Err) || c.e.Cause != nil && !errors.Is(&c.e, c.e.Cause) {
			t.Errorf("%v: errors.Is fails", &c.e)
		}
	}
	odd := &Error{Name: strings.Repeat("ü\n", 500), Err: ErrName}
	if s := odd.Error(); !isASCII(s) || strings.Contains(s, "\n") || len(s) > 700 {
		t.Errorf("text %q", s)
	}
}
