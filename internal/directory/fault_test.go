package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// dump is all rows of all tables.
func dump(t *testing.T, d *Directory) string {
	t.Helper()
	var b strings.Builder
	for _, table := range []string{"domains", "accounts", "credentials", "aliases", "alias_targets"} {
		rows, err := d.db.QueryContext(t.Context(), `SELECT * FROM `+table+` ORDER BY 1, 2`)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			b.WriteString(table)
			for _, v := range values {
				fmt.Fprintf(&b, " %v", *v.(*any))
			}
			b.WriteByte('\n')
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Each write of each method fails once, as on a full disk: the method says so, nothing
// has changed, and the cache tells no other story than the tables.
func TestEveryWriteFailsOnce(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	unsynced(t, d.db)
	addAliases(t, d, aliasSpec{"sales@example.com", "bob@example.com alice@example.com", false}, aliasSpec{"old@example.com", "bob@example.com", false})
	phone := Credential{Kind: KindApp, Name: "phone", Verifier: "v"}
	c, err := d.AddCredential(ctx, "alice@example.com", phone)
	want(t, "phone", err, nil)
	tablet := Credential{Kind: KindApp, Name: "tablet", Verifier: "v"}
	if _, err := d.AddDomain(ctx, "empty.test"); err != nil {
		t.Fatal(err)
	}
	methods := map[string]func() error{
		"AddDomain":      func() error { _, err := d.AddDomain(ctx, "new.test"); return err },
		"AddDomainAlias": func() error { _, err := d.AddDomainAlias(ctx, "new.test", "example.com"); return err },
		"RemoveDomain":   func() error { return d.RemoveDomain(ctx, "empty.test") },
		"AddAccount": func() error {
			_, err := d.AddAccount(ctx, "new@example.com", AccountOptions{Verifier: "v"})
			return err
		},
		"AddAccounts": func() error {
			return d.AddAccounts(ctx, []NewAccount{{Address: "n1@example.com"}, {Address: "n2@other.test", AccountOptions: AccountOptions{Verifier: "v"}}})
		},
		"SetPassword":      func() error { return d.SetPassword(ctx, "bob@example.com", "v") },
		"DisableAccount":   func() error { return d.DisableAccount(ctx, "bob@example.com", true) },
		"CloseDomain":      func() error { return d.CloseDomain(ctx, "other.test", Closure{Disabled: true}) },
		"SetQuota":         func() error { return d.SetQuota(ctx, "bob@example.com", 5) },
		"RenameAccount":    func() error { return d.RenameAccount(ctx, "bob@example.com", "rob@other.test") },
		"RemoveAccount":    func() error { return d.RemoveAccount(ctx, "carol@other.test") },
		"AddCredential":    func() error { _, err := d.AddCredential(ctx, "alice@example.com", tablet); return err },
		"RemoveCredential": func() error { return d.RemoveCredential(ctx, "alice@example.com", KindApp, "phone") },
		"Touch":            func() error { return d.Touch(ctx, map[int64]Use{c.ID: {At: time.Now()}}) },
		"AddAlias": func() error {
			_, err := d.AddAlias(ctx, "new@example.com", []string{"alice@example.com", "bob@example.com"}, true)
			return err
		},
		"SetAlias": func() error {
			_, err := d.SetAlias(ctx, "sales@example.com", []string{"alice@example.com", "carol@other.test"}, true)
			return err
		},
		"RemoveAlias": func() error { return d.RemoveAlias(ctx, "old@example.com") },
	}
	// A trigger stands for the disk: it lets no row of one table be written, or only one.
	failures := map[string]int{}
	for _, table := range []string{"domains", "accounts", "credentials", "aliases", "alias_targets"} {
		for _, op := range []string{"INSERT", "UPDATE", "DELETE", "second INSERT"} {
			when := ""
			if s, ok := strings.CutPrefix(op, "second "); ok && table == "alias_targets" {
				op, when = s, "WHEN NEW.position = 1"
			} else if ok {
				continue
			}
			if _, err := d.db.Exec(`CREATE TRIGGER full BEFORE ` + op + ` ON ` + table + ` ` + when + ` BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
				t.Fatal(err)
			}
			for name, method := range methods {
				before := dump(t, d)
				resolvedBefore := resolved(t, d, "sales@example.com")
				err := run(t, d, method)
				if err == nil {
					continue // doesn't write there; run has undone it
				}
				failures[name]++
				if !strings.Contains(err.Error(), "disk full") || ownFault(err) == nil {
					t.Errorf("%s, %s on %s: %v", name, op, table, err)
				}
				if after := dump(t, d); after != before {
					t.Errorf("%s failed at %s on %s and left:\n%s\nwhere there was:\n%s", name, op, table, after, before)
				}
				if got := resolved(t, d, "sales@example.com"); got != resolvedBefore {
					t.Errorf("%s failed at %s on %s: sales now leads to %s", name, op, table, got)
				}
			}
			if _, err := d.db.Exec(`DROP TRIGGER full`); err != nil {
				t.Fatal(err)
			}
		}
	}
	var never []string
	for name := range methods {
		if failures[name] == 0 {
			never = append(never, name)
		}
	}
	if slices.Sort(never); len(never) > 0 {
		t.Errorf("no write of these ever failed: %q", never)
	}
	if failures["AddAccount"] != 2 || failures["SetAlias"] != 4 || failures["AddAlias"] != 3 {
		t.Errorf("not all writes failed once: %v", failures)
	}
	// With the disk back, all of it works.
	for name, method := range methods {
		if err := run(t, d, method); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// run calls a method and, if it succeeds, puts the tables back as they were, so that
// the methods need no order.
func run(t *testing.T, d *Directory, method func() error) error {
	t.Helper()
	var drop []string
	rows, err := d.db.Query(`SELECT sql FROM sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		drop = append(drop, s)
	}
	rows.Close()
	tables := []string{"domains", "accounts", "credentials", "aliases", "alias_targets"}
	exec := func(statement string) {
		t.Helper()
		if _, err := d.db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for _, table := range tables {
		exec(`DROP TABLE IF EXISTS was_` + table)
		exec(`CREATE TABLE was_` + table + ` AS SELECT * FROM ` + table)
	}
	if err := method(); err != nil {
		return err
	}
	if len(drop) > 0 {
		exec(`DROP TRIGGER full`)
	}
	for _, table := range slices.Backward(tables) {
		exec(`DELETE FROM ` + table)
	}
	for _, table := range tables {
		exec(`INSERT INTO ` + table + ` SELECT * FROM was_` + table)
	}
	for _, s := range drop {
		exec(s)
	}
	d.cache.Store(newCache())
	return nil
}
