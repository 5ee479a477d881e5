package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// setTargets gives an alias that has no targets its targets, and makes sure that it
// and all aliases which lead to it can still be expanded.
// Those in to may be of other servers.
func setTargets(ctx context.Context, tx *sql.Tx, a Address, id int64, targets, to []string) (Alias, error) {
	switch n := len(targets) + len(to); {
	case n == 0:
		return Alias{}, fmt.Errorf("%s: %w: an alias needs a target", a, ErrInvalidAddress)
	case n > MaxRecipients:
		return Alias{}, fmt.Errorf("%s: %w: %d targets, the most is %d", a, ErrLoop, n, MaxRecipients)
	}
	alias := Alias{Address: a.String()}
	var created int64
	if err := tx.QueryRowContext(ctx, `SELECT may_send, post, created FROM aliases WHERE id = $1`, id).Scan(&alias.MaySend, &alias.Post, &created); err != nil {
		return alias, err
	}
	alias.Created = unix(created)
	for i, s := range slices.Concat(targets, to) {
		t, err := findTarget(ctx, tx, s)
		if i >= len(targets) && errors.Is(err, ErrNoDomain) {
			t, err = remoteTarget(s)
		}
		if err != nil {
			return alias, err
		}
		const insert = `INSERT INTO alias_targets (alias, position, target_account, target_alias, remote_local, remote_domain, detail)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`
		if _, err := tx.ExecContext(ctx, insert, id, i, t.account, t.alias, t.remote.Local, t.remote.Domain, t.detail); err != nil {
			return alias, err
		}
		alias.Targets = append(alias.Targets, t.address)
		if t.remote.Domain != "" {
			alias.Remote = append(alias.Remote, t.address)
		}
	}
	return alias, checkExpansion(ctx, tx, id)
}

type target struct {
	address        string // canonical
	account, alias sql.NullInt64
	remote         Address // of another server, its local part as it was written
	detail         string
}

// findTarget finds the account or alias that a target names, not by way of a catch-all.
func findTarget(ctx context.Context, q querier, s string) (t target, err error) {
	a, detail, err := parse(s, false)
	if err != nil {
		return t, err
	}
	dom, err := findDomain(ctx, q, a.Domain)
	if err == nil && dom.AliasOf != "" {
		dom, err = findDomain(ctx, q, dom.AliasOf)
	} else if errors.Is(err, ErrNoDomain) {
		err = fmt.Errorf("target %s: %w; if its mail is to be passed on to another server: --to %s", a, ErrNoDomain, a)
	}
	if err != nil {
		return t, err
	}
	a.Domain = dom.Name
	t.address = a.String()
	base, _ := splitDetail(a.Local)
	for _, local := range []string{a.Local, base} {
		acc, err := findAccount(ctx, q, dom.ID, local)
		if err == nil {
			t.account = sql.NullInt64{Int64: acc.ID, Valid: true}
		} else if errors.Is(err, sql.ErrNoRows) {
			var x aliasRow
			x, err = findAlias(ctx, q, dom.ID, local)
			t.alias = sql.NullInt64{Int64: x.id, Valid: err == nil}
		}
		if err == nil {
			if local != a.Local {
				t.detail = detail
				t.address = Address{base + "+" + detail, dom.Name}.String()
			}
			return t, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return t, err
		}
	}
	return t, fmt.Errorf("target %w", noAccount(t.address))
}

// remoteTarget reads an address of another server. Its local part means only what that
// server says, so it stays as it was written.
func remoteTarget(s string) (target, error) {
	a, written, err := parseKeepingCase(s, false)
	switch {
	case err != nil:
		return target{}, err
	case !strings.Contains(a.Domain, "."):
		return target{}, fmt.Errorf("target %s: %w: the domain of another server has a dot in it", a, ErrInvalidAddress)
	}
	a.Local = written
	return target{address: a.String(), remote: a}, nil
}

// checkExpansion expands the alias and all those that lead to it.
func checkExpansion(ctx context.Context, q querier, id int64) error {
	ids, err := collect(ctx, q, func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) },
		`WITH RECURSIVE above (id) AS (
			SELECT CAST($1 AS BIGINT) UNION SELECT t.alias FROM alias_targets t JOIN above ON t.target_alias = above.id
		) SELECT id FROM above`, id)
	for _, id := range ids {
		if err == nil {
			_, err = expand(ctx, q, id)
		}
	}
	return err
}

// expand follows an alias to the accounts and remote addresses it leads to, each once, in
// the order of the targets. ErrLoop past the bounds.
func expand(ctx context.Context, q querier, id int64) ([]Recipient, error) {
	e := expansion{q: q, open: map[int64]bool{}, done: map[int64]bool{}, seen: map[int64]bool{}, sent: map[Address]bool{}}
	err := e.alias(ctx, id, "")
	return e.all, err
}

type expansion struct {
	q          querier
	open, done map[int64]bool // aliases on the way here; aliases behind us
	seen       map[int64]bool // accounts
	sent       map[Address]bool
	all        []Recipient
}

type step struct {
	alias   sql.NullInt64
	account Account
	remote  Address
	of      Address // the alias itself
	detail  string
}

// alias adds what one alias leads to; detail is that of the way to it.
func (e *expansion) alias(ctx context.Context, id int64, detail string) error {
	switch {
	case e.open[id]:
		return fmt.Errorf("%w: one would lead to itself", ErrLoop)
	case len(e.open) >= MaxDepth:
		return fmt.Errorf("%w: more than %d in a row", ErrLoop, MaxDepth)
	case e.done[id]:
		return nil
	}
	e.open[id] = true
	defer func() { delete(e.open, id); e.done[id] = true }()
	steps, err := readSteps(ctx, e.q, id)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.detail == "" {
			s.detail = detail
		}
		if s.alias.Valid {
			if err := e.alias(ctx, s.alias.Int64, s.detail); err != nil {
				return err
			}
			continue
		}
		if s.remote.Domain != "" {
			if !e.sent[s.remote] {
				e.sent[s.remote] = true
				e.all = append(e.all, Recipient{Remote: s.remote.String(), Alias: s.of.String()})
			}
			continue
		}
		if !e.seen[s.account.ID] {
			e.seen[s.account.ID] = true
			e.all = append(e.all, Recipient{Account: s.account, Detail: s.detail})
		}
	}
	if len(e.all) > MaxRecipients {
		return fmt.Errorf("%w: more than %d recipients", ErrLoop, MaxRecipients)
	}
	return nil
}

// readSteps reads an alias's targets, all before the next alias is asked.
func readSteps(ctx context.Context, q querier, id int64) ([]step, error) {
	const query = `SELECT t.target_alias, t.detail, coalesce(a.id, 0), coalesce(a.local, ''), coalesce(d.name, ''),
			coalesce(a.disabled, FALSE), coalesce(a.defer_mail, FALSE), coalesce(a.message, ''), coalesce(d.disabled, FALSE), coalesce(d.message, ''),
			coalesce(a.quota, 0), coalesce(a.created, 0),
			t.remote_local, t.remote_domain, x.local, xd.name
		FROM alias_targets t JOIN aliases x ON x.id = t.alias JOIN domains xd ON xd.id = x.domain
		LEFT JOIN accounts a ON a.id = t.target_account LEFT JOIN domains d ON d.id = a.domain
		WHERE t.alias = $1 ORDER BY t.position`
	return collect(ctx, q, func(rows *sql.Rows) (s step, err error) {
		var a Address
		var created int64
		var own, domain Closure
		err = rows.Scan(&s.alias, &s.detail, &s.account.ID, &a.Local, &a.Domain, &own.Disabled, &own.Defer, &own.Message, &domain.Disabled, &domain.Message,
			&s.account.Quota, &created,
			&s.remote.Local, &s.remote.Domain, &s.of.Local, &s.of.Domain)
		s.account.close(own, domain)
		s.account.Address, s.account.Created = a.String(), unix(created)
		return s, err
	}, query, id)
}
