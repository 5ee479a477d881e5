package e2e

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// thunderbird is the real program without a window, which a test drives.
type thunderbird struct {
	*marionette
	prelude string
}

func newThunderbird(t *testing.T) *thunderbird {
	t.Helper()
	c := newClient(t, "thunderbird")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	c.file("profile/user.js", fmt.Sprintf(`user_pref("marionette.port", %d);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.biff.show_alert", false);
user_pref("network.proxy.type", 0);
`, addr.Port))
	cmd := exec.Command("thunderbird", "--headless", "--marionette", "-remote-allow-system-access", "--no-remote", "-profile", filepath.Join(c.home, "profile"))
	cmd.Env = append(os.Environ(), "HOME="+c.home, "MOZ_HEADLESS=1", "MOZ_LOG=IMAP:4", "MOZ_LOG_FILE="+filepath.Join(c.home, "wire"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait() // killed
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(c.home, "wire*"))
			for _, name := range logs {
				b, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", name, clip(string(b)))
			}
		}
	})
	prelude, err := os.ReadFile(filepath.Join("testdata", "thunderbird.js"))
	if err != nil {
		t.Fatal(err)
	}
	return &thunderbird{newMarionette(t, addr.String()), string(prelude)}
}

// do runs JavaScript in Thunderbird.
func (b *thunderbird) do(body string, args ...any) {
	b.t.Helper()
	b.run(nil, b.prelude, body, args...)
}

// picture is what Thunderbird shows: the messages of each folder.
func (b *thunderbird) picture() map[string][]string {
	b.t.Helper()
	var p map[string][]string
	b.run(&p, b.prelude, `return tb.picture();`)
	return p
}

// shows waits until a folder shows exactly these messages.
func (b *thunderbird) shows(folder string, want ...string) {
	b.t.Helper()
	if err := eventually(patience, func() error {
		got := b.picture()
		if !slices.Equal(got[folder], want) {
			return fmt.Errorf("%s shows %q, not %q", folder, got[folder], want)
		}
		return nil
	}); err != nil {
		b.t.Error(err)
	}
}

// trust has Thunderbird trust the CA in a PEM file.
func (b *thunderbird) trust(file string) {
	b.t.Helper()
	ca, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	block, _ := pem.Decode(ca)
	b.do(`const db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
db.addCert(args[0].map(c => String.fromCharCode(c)).join(""), "CTu,,");`, ints(block.Bytes))
}

// addAccount sets alice up by hand, with TLS from the start.
func (b *thunderbird) addAccount(s *server) {
	b.t.Helper()
	b.trust(s.ca())
	b.do(`const server = MailServices.accounts.createIncomingServer(args[0], "127.0.0.1", "imap");
server.port = args[1]; server.socketType = 3; server.authMethod = 3; server.password = args[2];
const identity = MailServices.accounts.createIdentity();
identity.email = args[0];
const account = MailServices.accounts.createAccount();
account.addIdentity(identity);
account.incomingServer = server;
MailServices.accounts.defaultAccount = account;
server.performExpand(null);`, alice, imapsPort+s.offset, password)
}

// ints gives octets in a form that JSON leaves alone.
func ints(b []byte) []int {
	out := make([]int, len(b))
	for i, c := range b {
		out[i] = int(c)
	}
	return out
}

// TestThunderbird sets up an account, reads, flags, files and deletes, and another client
// sees all of it; new mail and what others change shows up by itself.
func TestThunderbird(t *testing.T) {
	t.Parallel()
	need(t, "thunderbird")
	s := newServer(t)
	fill(t, s, alice, three()...)
	b := newThunderbird(t)
	b.addAccount(s)
	b.do(`await tb.update("inbox");`)
	b.shows("INBOX", "one", "three", "two")

	var source string
	b.run(&source, b.prelude, `const inbox = await tb.folder("inbox");
return tb.source(inbox, await tb.message(inbox, "two"));`)
	contains(t, source, "Subject: two\r\n", "\r\n..\r\nend")

	b.do(`const inbox = await tb.folder("inbox");
inbox.markMessagesRead([await tb.message(inbox, "two")], true);
const one = await tb.message(inbox, "one");
inbox.markMessagesFlagged([one], true);
inbox.addKeywordsToMessages([one], "$label1");`)
	b.do(`const inbox = await tb.folder("inbox");
inbox.rootFolder.createSubfolder("Ä & B", null);
const box = await tb.folder("Ä & B"), three = await tb.message(inbox, "three");
MailServices.copy.copyMessages(inbox, [three], box, true, null, null, false);`)
	b.shows("Ä & B", "three")
	b.shows("INBOX", "one flagged", "two read")

	c := s.dialIMAP(alice, nil)
	defer c.Close()
	if err := eventually(patience, func() error {
		inbox, err := read(c, "INBOX")
		if err != nil {
			return err
		}
		moved, err := read(c, "Ä & B")
		if err != nil {
			return err
		}
		if len(inbox.messages) != 2 || len(moved.messages) != 1 {
			return fmt.Errorf("%d and %d messages", len(inbox.messages), len(moved.messages))
		}
		one, two := findIn(t, inbox, "one"), findIn(t, inbox, "two")
		if !slices.Contains(two.flags, imap.FlagSeen) || !slices.Contains(one.flags, imap.FlagFlagged) || !slices.Contains(one.flags, "$label1") {
			return fmt.Errorf("flags are %v and %v", one.flags, two.flags)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}

	// What happens elsewhere shows up without a hand.
	fill(t, s, alice, letter("carol@elsewhere.test", alice, "four", "text"))
	b.shows("INBOX", "four", "one flagged", "two read")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	b.shows("INBOX", "four", "one read flagged", "two read")

	b.do(`const inbox = await tb.folder("inbox");
inbox.deleteMessages([await tb.message(inbox, "two")], null, false, false, null, false);`)
	b.shows("INBOX", "four", "one read flagged")
	if err := eventually(patience, func() error {
		trash, err := read(c, "Trash")
		if err == nil && len(trash.messages) != 1 {
			err = fmt.Errorf("%d messages in Trash", len(trash.messages))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
