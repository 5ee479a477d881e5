package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestPostfixFallback: a Postfix whose list has this server's address refuses it; the mail
// arrives by another one, and so does what comes after it, after a restart as well. What is
// refused for its recipient is not sent around.
func TestPostfixFallback(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	first, second := ownAddress(t), ownAddress(t)
	refusing := newPostfix(t, first, "mx.postfix.test", "127.0.0.1:1",
		"smtpd_client_restrictions = check_client_access static:{554 5.7.1 Service unavailable; Client host blocked using bl.example}")
	smarthost := newPostfix(t, second, "smart.provider.test", "127.0.0.1:1", "mynetworks = 127.0.0.0/8 "+second+"/32")
	m := newMailer(t, setup{zone: postfixZone(first), relay: append(soon, fmt.Sprintf("fallback = %q", second+":25"), `fallback_tls = "none"`)})
	id := m.sends(alice, letter(alice, "carol@postfix.test", "around", "Hello"), "carol@postfix.test")
	smarthost.arrived("carol", "Subject: around\n")
	m.empty(patience)
	contains(t, m.kurir("", "queue", "show", id), "blocked using bl.example", "mx.postfix.test "+first, "sent", second+":25")
	m.stop()
	m.start()
	before := strings.Count(refusing.log(), ": connect from")
	id = m.sends(alice, letter(alice, "dave@postfix.test", "at once", "Hello"), "dave@postfix.test")
	smarthost.arrived("dave", "Subject: at once\n")
	m.empty(patience)
	contains(t, m.kurir("", "queue", "show", id), "It goes by the fallback "+second+":25 until ", "blocked using bl.example")
	if n := strings.Count(refusing.log(), ": connect from") - before; n != 0 {
		t.Errorf("%d connections to who refuses", n)
	}
	m.sends(alice, letter(alice, "nobody@postfix.test", "to nobody", "Hello"), "nobody@postfix.test")
	contains(t, m.arrived(alice, "to nobody", "Action: failed"), "Status: 5.1.1")
	contains(t, m.kurir("", "suppression", "list"), "nobody@postfix.test", "returned once", "550 5.1.1")
}
