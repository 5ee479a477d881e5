package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Alias is an address whose mail goes to others.
type Alias struct {
	Address string   // canonical; "@domain" for the domain's catch-all
	Targets []string // accounts or aliases here, with +tag or not, and addresses of other servers
	Remote  []string // those of Targets that are of other servers
	MaySend bool     // each account it leads to may send as it, also when there are several
	Post    Post     // who may write to it
	Created time.Time
}

// AliasOptions is what an alias is.
type AliasOptions struct {
	Targets []string // accounts or aliases here
	To      []string // and addresses that may be of other servers
	MaySend bool
	Post    Post // of a catch-all: PostAnyone
}

// AddAlias adds an alias. "@domain" as its address is the domain's catch-all, for all
// that nobody else has. Targets are accounts or aliases here, +tag and domain aliases
// allowed. Errors: ErrInvalidAddress, ErrNoDomain (a remote target too), ErrNoAccount
// (a target that isn't there), ErrExists, ErrLoop.
func (d *Directory) AddAlias(ctx context.Context, address string, targets []string, maySend bool) (Alias, error) {
	return d.AddForward(ctx, address, targets, nil, maySend)
}

// AddForward is AddAlias for an alias whose mail goes to the addresses in to as well,
// which may be of other servers: they are meant so, and no slip of the pen in the name of
// a domain here.
func (d *Directory) AddForward(ctx context.Context, address string, targets, to []string, maySend bool) (Alias, error) {
	return d.CreateAlias(ctx, address, AliasOptions{Targets: targets, To: to, MaySend: maySend})
}

// CreateAlias is AddForward with all options.
func (d *Directory) CreateAlias(ctx context.Context, address string, o AliasOptions) (Alias, error) {
	a, err := parseAlias(address)
	if err == nil {
		err = o.check(a)
	}
	if err != nil {
		return Alias{}, err
	}
	var alias Alias
	err = d.change(ctx, func(tx *sql.Tx) (err error) {
		alias, err = addAlias(ctx, tx, a, o)
		return err
	})
	return alias, err
}

func addAlias(ctx context.Context, tx *sql.Tx, a Address, o AliasOptions) (Alias, error) {
	dom, err := findFreeName(ctx, tx, a)
	if err != nil {
		return Alias{}, err
	}
	var id int64
	const insert = `INSERT INTO aliases (domain, local, may_send, post, created) VALUES ($1, $2, $3, $4, $5) RETURNING id`
	if err := tx.QueryRowContext(ctx, insert, dom.ID, a.Local, o.MaySend, o.Post, now()).Scan(&id); err != nil {
		return Alias{}, err
	}
	return setTargets(ctx, tx, a, id, o.Targets, o.To)
}

// check refuses a catch-all with writers of its own: what falls to it is written to
// addresses that nobody knows.
func (o AliasOptions) check(a Address) error {
	if a.Local == "" && o.Post != PostAnyone {
		return fmt.Errorf("%s: %w: a catch-all is for mail from anyone", a, ErrInvalidAddress)
	}
	return nil
}

// SetAlias replaces the targets of an alias that is there, and whether they may send
// as it. Errors as AddAlias, with ErrNoAlias in place of ErrExists.
func (d *Directory) SetAlias(ctx context.Context, address string, targets []string, maySend bool) (Alias, error) {
	return d.SetForward(ctx, address, targets, nil, maySend)
}

// SetForward is to SetAlias what AddForward is to AddAlias.
func (d *Directory) SetForward(ctx context.Context, address string, targets, to []string, maySend bool) (Alias, error) {
	return d.ReplaceAlias(ctx, address, AliasOptions{Targets: targets, To: to, MaySend: maySend})
}

// ReplaceAlias is SetForward with all options.
func (d *Directory) ReplaceAlias(ctx context.Context, address string, o AliasOptions) (Alias, error) {
	var alias Alias
	err := d.changeAlias(ctx, address, func(tx *sql.Tx, a Address, id int64) (err error) {
		if err := o.check(a); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE aliases SET may_send = $1, post = $2 WHERE id = $3`, o.MaySend, o.Post, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM alias_targets WHERE alias = $1`, id); err != nil {
			return err
		}
		alias, err = setTargets(ctx, tx, a, id, o.Targets, o.To)
		return err
	})
	return alias, err
}

// RemoveAlias removes an alias. Errors: ErrInvalidAddress, ErrNoDomain, ErrNoAlias,
// ErrInUse while another alias leads to it.
func (d *Directory) RemoveAlias(ctx context.Context, address string) error {
	return d.changeAlias(ctx, address, func(tx *sql.Tx, a Address, id int64) error {
		const query = `SELECT x.local, d.name FROM alias_targets t JOIN aliases x ON x.id = t.alias JOIN domains d ON d.id = x.domain
			WHERE t.target_alias = $1 AND t.alias <> $1 ORDER BY d.name, x.local LIMIT 10`
		if err := refuseWhileTarget(ctx, tx, a.String(), query, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM aliases WHERE id = $1`, id)
		return err
	})
}

// ListAliases returns all aliases, sorted by domain and local part.
func (d *Directory) ListAliases(ctx context.Context) ([]Alias, error) {
	const query = `SELECT x.local, d.name, x.may_send, x.post, x.created,
			coalesce(a.local, y.local, t.remote_local), coalesce(ad.name, yd.name, t.remote_domain), t.detail, t.remote_domain <> ''
		FROM aliases x JOIN domains d ON d.id = x.domain JOIN alias_targets t ON t.alias = x.id
		LEFT JOIN accounts a ON a.id = t.target_account LEFT JOIN domains ad ON ad.id = a.domain
		LEFT JOIN aliases y ON y.id = t.target_alias LEFT JOIN domains yd ON yd.id = y.domain
		ORDER BY d.name, x.local, t.position`
	rows, err := collect(ctx, d.db, func(rows *sql.Rows) (x Alias, err error) {
		var a, t Address
		var created int64
		var detail string
		var remote bool
		err = rows.Scan(&a.Local, &a.Domain, &x.MaySend, &x.Post, &created, &t.Local, &t.Domain, &detail, &remote)
		if detail != "" {
			t.Local += "+" + detail
		}
		x.Address, x.Targets, x.Created = a.String(), []string{t.String()}, unix(created)
		if remote {
			x.Remote = x.Targets
		}
		return x, err
	}, query)
	var all []Alias
	for _, x := range rows {
		if n := len(all); n > 0 && all[n-1].Address == x.Address {
			all[n-1].Targets = append(all[n-1].Targets, x.Targets...)
			all[n-1].Remote = append(all[n-1].Remote, x.Remote...)
		} else {
			all = append(all, x)
		}
	}
	return all, err
}

// parseAlias takes "@domain" as well.
func parseAlias(address string) (Address, error) {
	if domain, ok := strings.CutPrefix(address, "@"); ok {
		name, err := ParseDomain(domain)
		return Address{Domain: name}, err
	}
	return ParseAddress(address)
}

type aliasRow struct {
	id      int64
	maySend bool
	post    Post
}

// findAlias gives sql.ErrNoRows if there is none.
func findAlias(ctx context.Context, q querier, domain int64, local string) (x aliasRow, err error) {
	const query = `SELECT id, may_send, post FROM aliases WHERE domain = $1 AND local = $2`
	err = q.QueryRowContext(ctx, query, domain, local).Scan(&x.id, &x.maySend, &x.post)
	return x, err
}

// changeAlias finds the alias inside the transaction that changes it.
func (d *Directory) changeAlias(ctx context.Context, address string, fn func(tx *sql.Tx, a Address, id int64) error) error {
	a, err := parseAlias(address)
	if err != nil {
		return err
	}
	return d.change(ctx, func(tx *sql.Tx) error {
		dom, err := findRealDomain(ctx, tx, a.Domain)
		if err != nil {
			return err
		}
		a.Domain = dom.Name
		x, err := findAlias(ctx, tx, dom.ID, a.Local)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%s: %w; see: kurir alias list", a, ErrNoAlias)
		} else if err != nil {
			return err
		}
		return fn(tx, a, x.id)
	})
}
