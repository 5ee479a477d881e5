package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// find has Thunderbird search the settings of an address and make an account of them. With a
// proxyPort, HTTP without TLS goes to that port of this machine. It returns where they were
// found, and the servers with the best first, the one for sending last.
func (b *thunderbird) find(address, password string, proxyPort int) (found []string) {
	b.t.Helper()
	b.run(&found, b.prelude, `
const { FindConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FindConfig.sys.mjs");
const { AccountConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/AccountConfig.sys.mjs");
const { CreateInBackend } = ChromeUtils.importESModule("resource:///modules/accountcreation/CreateInBackend.sys.mjs");
Services.prefs.setCharPref("mailnews.auto_config_url", "");
if (args[1]) {
	Services.prefs.setCharPref("network.proxy.http", "127.0.0.1");
	Services.prefs.setIntPref("network.proxy.http_port", args[1]);
	Services.prefs.setIntPref("network.proxy.type", 1);
}
const search = FindConfig.parallelAutoDiscovery(args[0].split("@")[1], args[0], new AbortController().signal);
let step = await search.next();
while (!step.done) step = await search.next({ acceptRedirect: false });
const config = step.value;
if (!config) throw new Error("nothing was found");
Services.prefs.setIntPref("network.proxy.type", 0);
AccountConfig.replaceVariables(config, "Alice", args[0], args[2]);
const account = await CreateInBackend.createAccountInBackend(config);
account.incomingServer.password = args[2];
MailServices.accounts.defaultAccount = account;
account.incomingServer.performExpand(null);
const words = s => [s.type, s.hostname, s.port, "socket", s.socketType, "auth", s.auth, s.username].join(" ");
return [config.subSource, words(config.incoming), ...config.incomingAlternatives.map(words), words(config.outgoing)];`,
		address, proxyPort, password)
	return found
}

// TestThunderbirdFindsSettings: from an address and a password Thunderbird makes an account
// that reads mail. It asks autoconfig.local.test, which a proxy setting leads here; the
// settings come from its own search and go into its own account.
func TestThunderbirdFindsSettings(t *testing.T) {
	t.Parallel()
	need(t, "thunderbird")
	s := newServer(t)
	fill(t, s, alice, three()...)
	b := newThunderbird(t)
	b.trust(s.ca())
	found := b.find(alice, password, httpPort+s.offset)
	// Sockets: 3 is TLS from the start, 2 STARTTLS. Auth 3 is a password as it is, inside TLS.
	port := func(n int) string { return fmt.Sprint(n + s.offset) }
	want := []string{
		"xml-from-isp-http",
		"imap localhost " + port(imapsPort) + " socket 3 auth 3 " + alice,
		"imap localhost " + port(imapPort) + " socket 2 auth 3 " + alice,
		"pop3 localhost " + port(pop3sPort) + " socket 3 auth 3 " + alice,
		"pop3 localhost " + port(pop3Port) + " socket 2 auth 3 " + alice,
		"smtp localhost " + port(submissionsPort) + " socket 3 auth 3 " + alice,
	}
	if !slices.Equal(found, want) {
		t.Errorf("found:\n%s\nwant:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	b.do(`await tb.update("inbox");`)
	b.shows("INBOX", "one", "three", "two")
}

// TestThunderbirdTenMinutes is run by .ci/ten-minutes, on a host of its own: Thunderbird is
// given the address and password of a server that was set up a minute before, and nothing else.
func TestThunderbirdTenMinutes(t *testing.T) {
	root := os.Getenv("KURIR_TEN_MINUTES_ROOT")
	if root == "" {
		t.Skip("this is no host of .ci/ten-minutes")
	}
	b := newThunderbird(t)
	b.trust(root)
	const anna = "anna@example.org"
	found := b.find(anna, os.Getenv("KURIR_TEN_MINUTES_PASSWORD"), 0)
	want := []string{
		"xml-from-isp-https",
		"imap mail.example.org 993 socket 3 auth 3 " + anna,
		"imap mail.example.org 143 socket 2 auth 3 " + anna,
		"pop3 mail.example.org 995 socket 3 auth 3 " + anna,
		"pop3 mail.example.org 110 socket 2 auth 3 " + anna,
		"smtp mail.example.org 465 socket 3 auth 3 " + anna,
	}
	if !slices.Equal(found, want) {
		t.Errorf("found:\n%s\nwant:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	b.do(`await tb.update("inbox"); await tb.message(await tb.folder("inbox"), "from outside");`)
}
