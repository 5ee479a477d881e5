package pop3d

import (
	"testing"
	"testing/synctest"
)

// A session whose password is not good any more ends, and deletes nothing (RFC 1939 section 6:
// only QUIT does).
func TestEndSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.deliver("Subject: x\r\n\r\nhello\r\n")
		w.run("marked", loggedIn+"C: DELE 1\nS: +OK …\n")
		synctest.Wait()
		w.srv.EndSessions("bob@example.org")
		w.run("another account's", "C: NOOP\nS: +OK\n")
		w.srv.EndSessions(alice)
		w.run("hers", "S: -ERR [AUTH] The account or its password was changed: log in again\n! end\n! left 1\n")
		w.run("with the new password", loggedIn)
	})
}

// An account has a bound on its sessions; one that ends makes room.
func TestMaxPerAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *Server) { s.MaxPerAccount = 1 })
		defer w.close()
		w.run("first", loggedIn)
		first := w.conn
		w.conn = nil
		w.run("second", "! connect\nS: +OK …\nC: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: -ERR [SYS/TEMP] Too many connections of this account …\n")
		first.Close()
		synctest.Wait()
		w.run("again", "C: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: +OK …\n")
	})
}
