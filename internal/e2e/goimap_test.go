package e2e

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// ok fails the test at once on an error.
func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestGoIMAP runs the commands of a mail program with go-imap's client, which is strict
// about what a server says.
func TestGoIMAP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, err := imapclient.DialStartTLS(s.at(imapPort), &imapclient.Options{TLSConfig: s.trust()})
	ok(t, "STARTTLS", err)
	defer c.Close()
	var no *imap.Error
	if err := c.Login(alice, "wrong").Wait(); !errors.As(err, &no) || no.Code != imap.ResponseCodeAuthenticationFailed {
		t.Errorf("a wrong password: %v", err)
	}
	ok(t, "LOGIN", c.Login(alice, password).Wait())
	for _, want := range []imap.Cap{imap.CapIMAP4rev1, imap.CapIdle, imap.CapUIDPlus, imap.CapMove, imap.CapCondStore, imap.CapSpecialUse, imap.CapUnselect} {
		if !c.Caps().Has(want) {
			t.Errorf("no capability %s", want)
		}
	}
	_, err = c.ID(&imap.IDData{Name: "go-imap"}).Wait()
	ok(t, "ID", err)
	goIMAPMailboxes(t, c)
	goIMAPMessages(t, c)
	ok(t, "LOGOUT", c.Logout().Wait())
}

// goIMAPMailboxes makes, renames and deletes mailboxes.
func goIMAPMailboxes(t *testing.T, c *imapclient.Client) {
	t.Helper()
	names := func(pattern string) (all []string) {
		t.Helper()
		found, err := c.List("", pattern, nil).Collect()
		ok(t, "LIST", err)
		for _, m := range found {
			all = append(all, m.Mailbox)
		}
		return all
	}
	if got := names("*"); strings.Join(got, " ") != "INBOX Archive Drafts Junk Sent Trash" {
		t.Errorf("mailboxes of a new account: %q", got)
	}
	found, err := c.List("", "%", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	ok(t, "LIST RETURN (SPECIAL-USE)", err)
	for _, m := range found {
		if m.Mailbox != "INBOX" && !slices.Contains(m.Attrs, imap.MailboxAttr(`\`+m.Mailbox)) {
			t.Errorf("%s has no special use: %v", m.Mailbox, m.Attrs)
		}
	}
	ok(t, "CREATE", c.Create("Straße/☃ & Söhne", nil).Wait())
	ok(t, "SUBSCRIBE", c.Subscribe("Straße/☃ & Söhne").Wait())
	ok(t, "RENAME", c.Rename("Straße", "Weg", nil).Wait())
	if got := names("Weg/*"); len(got) != 1 || got[0] != "Weg/☃ & Söhne" {
		t.Errorf("after RENAME: %q", got)
	}
	st, err := c.Status("Weg/☃ & Söhne", &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true, HighestModSeq: true}).Wait()
	ok(t, "STATUS", err)
	if st.UIDValidity == 0 || st.NumMessages == nil || *st.NumMessages != 0 {
		t.Errorf("STATUS: %+v", st)
	}
	ok(t, "DELETE", c.Delete("Weg/☃ & Söhne").Wait())
}

// goIMAPMessages appends, fetches, flags, searches, copies, moves and expunges.
func goIMAPMessages(t *testing.T, c *imapclient.Client) {
	t.Helper()
	texts := three()
	when := time.Date(2024, 2, 29, 12, 30, 15, 0, time.FixedZone("", 5400))
	uids, err := appendTo(c, "INBOX", &imap.AppendOptions{Time: when, Flags: []imap.Flag{imap.FlagFlagged}}, texts...)
	ok(t, "APPEND", err)
	sel, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	ok(t, "SELECT", err)
	if sel.NumMessages != 3 || sel.UIDNext != uids[2]+1 || sel.HighestModSeq == 0 {
		t.Errorf("SELECT: %+v", sel)
	}
	all := &imap.FetchOptions{
		Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, Flags: true, InternalDate: true,
		RFC822Size: true, UID: true, ModSeq: true, BodySection: []*imap.FetchItemBodySection{wholeBody()},
	}
	got, err := c.Fetch(imap.SeqSetNum(1, 2, 3), all).Collect()
	ok(t, "FETCH", err)
	for i, f := range got {
		if body := f.FindBodySection(wholeBody()); string(body) != texts[i] || f.RFC822Size != int64(len(texts[i])) {
			t.Errorf("message %d: size %d, %q", i, f.RFC822Size, body)
		}
		if f.UID != uids[i] || !f.InternalDate.Equal(when) || flagText(f.Flags) != `\flagged` || f.ModSeq == 0 {
			t.Errorf("message %d: %+v", i, f)
		}
		if f.Envelope.Subject != []string{"one", "two", "three"}[i] || f.Envelope.From[0].Addr() != "carol@elsewhere.test" || f.BodyStructure.MediaType() != "text/plain" {
			t.Errorf("message %d: %+v, %+v", i, f.Envelope, f.BodyStructure)
		}
	}
	goIMAPCondStore(t, c, uids, sel.HighestModSeq)

	found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{"todo"}}, nil).Wait()
	ok(t, "SEARCH", err)
	if nums := found.AllUIDs(); len(nums) != 1 || nums[0] != uids[0] {
		t.Errorf("SEARCH KEYWORD: %v", nums)
	}
	count, err := c.Search(&imap.SearchCriteria{Text: []string{"Grüße"}}, &imap.SearchOptions{ReturnCount: true, ReturnMax: true}).Wait()
	ok(t, "ESEARCH", err)
	if count.Count != 3 || count.Max != 3 {
		t.Errorf("ESEARCH: %+v", count)
	}
	copied, err := c.Copy(imap.UIDSetNum(uids[0], uids[1]), "Archive").Wait()
	ok(t, "COPY", err)
	if copied.DestUIDs.String() != "1:2" || copied.UIDValidity == 0 {
		t.Errorf("COPYUID: %+v", copied)
	}
	moved, err := c.Move(imap.UIDSetNum(uids[2]), "Archive").Wait()
	ok(t, "MOVE", err)
	if moved.DestUIDs.String() != "3" {
		t.Errorf("COPYUID of MOVE: %+v", moved)
	}
	ok(t, "STORE", c.Store(imap.SeqSetNum(1, 2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	gone, err := c.UIDExpunge(imap.UIDSetNum(uids[1])).Collect()
	ok(t, "UID EXPUNGE", err)
	if len(gone) != 1 || gone[0] != 2 {
		t.Errorf("UID EXPUNGE: %v", gone)
	}
	ok(t, "CLOSE", c.UnselectAndExpunge().Wait())
	for name, want := range map[string]string{"INBOX": "0", "Archive": "3"} {
		m, err := read(c, name)
		ok(t, name, err)
		if fmt.Sprint(len(m.messages)) != want {
			t.Errorf("%s has %d messages, not %s", name, len(m.messages), want)
		}
	}
}

// goIMAPCondStore changes flags with and without a condition (RFC 7162 section 3.1).
func goIMAPCondStore(t *testing.T, c *imapclient.Client, uids []imap.UID, before uint64) {
	t.Helper()
	add := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{"todo"}}
	_, err := c.Store(imap.UIDSetNum(uids[0]), add, &imap.StoreOptions{UnchangedSince: before}).Collect()
	ok(t, "STORE UNCHANGEDSINCE", err)
	_, err = c.Store(imap.UIDSetNum(uids[0]), &imap.StoreFlags{Op: imap.StoreFlagsDel, Flags: []imap.Flag{"todo"}}, &imap.StoreOptions{UnchangedSince: before}).Collect()
	ok(t, "STORE UNCHANGEDSINCE of what has changed", err)
	got, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, ModSeq: true, ChangedSince: before}).Collect()
	ok(t, "FETCH CHANGEDSINCE", err)
	if len(got) != 1 || got[0].UID != uids[0] || got[0].ModSeq <= before || flagText(got[0].Flags) != `\flagged todo` {
		t.Errorf("FETCH CHANGEDSINCE: %+v", got)
	}
}

// TestDeleteSelected deletes the mailbox that the session itself has selected. The
// command has to be answered; a mail program that gets BYE instead takes it for a failure.
func TestDeleteSelected(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.dialIMAP(alice, nil)
	ok(t, "CREATE", c.Create("Old", nil).Wait())
	_, err := c.Select("Old", nil).Wait()
	ok(t, "SELECT", err)
	ok(t, "DELETE", c.Delete("Old").Wait())
	ok(t, "NOOP", c.Noop().Wait())
}

// TestIdle sees deliveries by SMTP in an open session at once.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	w := s.watch(alice, "INBOX")
	best := time.Hour
	for i := range uint32(5) {
		if err := deliver(s, alice, letter("carol@elsewhere.test", alice, fmt.Sprint("news ", i))); err != nil {
			t.Fatal(err)
		}
		best = min(best, w.until("a delivery", func() bool { return w.messages == i+1 }))
	}
	t.Logf("told %v after the delivery was acknowledged", best.Round(time.Microsecond))
	if best > time.Second {
		t.Errorf("told %v after the delivery was acknowledged", best)
	}
	w.end()
}

// deliver hands over one message by SMTP.
func deliver(s *server, to, text string) error {
	t, err := dialSMTP(s)
	if err != nil {
		return err
	}
	defer t.Close()
	for _, step := range []struct {
		line string
		code int
	}{{"EHLO client.test", 250}, {"MAIL FROM:<carol@elsewhere.test>", 250}, {"RCPT TO:<" + to + ">", 250}, {"DATA", 354}} {
		if err := say(t, step.code, step.line); err != nil {
			return err
		}
	}
	d := t.DotWriter()
	_, err = io.WriteString(d, text)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	if _, _, err := t.ReadResponse(250); err != nil {
		return err
	}
	return say(t, 221, "QUIT")
}
