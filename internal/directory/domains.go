package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Domain is a domain that mail is received for, or another name of one.
type Domain struct {
	ID       int64
	Name     string // canonical, see Address; DisplayDomain makes it readable
	AliasOf  string // the domain that this one means; "" if it is one itself
	Accounts int    // accounts in it; filled by ListDomains
	Created  time.Time
	Closure  // of an alias of a domain: open
}

// AddDomain makes name a local domain. Errors: ErrInvalidAddress, ErrExists, ErrInUse
// while aliases pass mail on to addresses of it as another server's.
func (d *Directory) AddDomain(ctx context.Context, name string) (Domain, error) {
	return d.addDomain(ctx, name, "")
}

// AddDomainAlias makes every address under alias mean the same local part under
// target. If target is an alias itself, alias means what that one means. Errors:
// ErrInvalidAddress, ErrExists, ErrNoDomain, ErrInUse as for AddDomain.
func (d *Directory) AddDomainAlias(ctx context.Context, alias, target string) (Domain, error) {
	name, err := ParseDomain(target)
	if err != nil {
		return Domain{}, err
	}
	return d.addDomain(ctx, alias, name)
}

func (d *Directory) addDomain(ctx context.Context, name, target string) (Domain, error) {
	name, err := ParseDomain(name)
	if err != nil {
		return Domain{}, err
	}
	dom := Domain{Name: name, Created: unix(now())}
	err = d.change(ctx, func(tx *sql.Tx) error {
		if _, err := findDomain(ctx, tx, name); !errors.Is(err, ErrNoDomain) {
			return orError(err, fmt.Errorf("%s: %w", name, ErrExists))
		}
		const forwards = `SELECT x.local, d.name FROM alias_targets t JOIN aliases x ON x.id = t.alias JOIN domains d ON d.id = x.domain
			WHERE t.remote_domain = $1 ORDER BY d.name, x.local LIMIT 10`
		if err := refuseWhileTarget(ctx, tx, name, forwards, name); err != nil {
			return err
		}
		var targetID sql.NullInt64
		if target != "" {
			t, err := findRealDomain(ctx, tx, target)
			if err != nil {
				return err
			}
			dom.AliasOf = t.Name
			targetID = sql.NullInt64{Int64: t.ID, Valid: true}
		}
		const insert = `INSERT INTO domains (name, target, created) VALUES ($1, $2, $3) RETURNING id`
		return tx.QueryRowContext(ctx, insert, name, targetID, dom.Created.Unix()).Scan(&dom.ID)
	})
	return dom, err
}

// RemoveDomain forgets a domain or a domain alias. Errors: ErrInvalidAddress,
// ErrNoDomain, ErrInUse while it has accounts, aliases or domain aliases.
func (d *Directory) RemoveDomain(ctx context.Context, name string) error {
	name, err := ParseDomain(name)
	if err != nil {
		return err
	}
	return d.change(ctx, func(tx *sql.Tx) error {
		dom, err := findDomain(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, c := range []struct{ what, query string }{
			{"accounts", `SELECT count(*) FROM accounts WHERE domain = $1`},
			{"aliases", `SELECT count(*) FROM aliases WHERE domain = $1`},
			{"domain aliases", `SELECT count(*) FROM domains WHERE target = $1`},
		} {
			var n int
			if err := tx.QueryRowContext(ctx, c.query, dom.ID).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return fmt.Errorf("%s: %w: it has %d %s; remove or rename them first", name, ErrInUse, n, c.what)
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM domains WHERE id = $1`, dom.ID)
		return err
	})
}

// ListDomains returns all domains and domain aliases, sorted by name.
func (d *Directory) ListDomains(ctx context.Context) ([]Domain, error) {
	return listDomains(ctx, d.db)
}

// IsLocalDomain reports whether mail for the domain is received here, as a domain of
// its own or as an alias of one. A name that is no domain name is not local.
func (d *Directory) IsLocalDomain(ctx context.Context, name string) (bool, error) {
	name, err := ParseDomain(name)
	if err != nil {
		return false, nil
	}
	_, ok, err := d.domain(ctx, d.cache.Load(), name)
	return ok, err
}

const domainColumns = `d.id, d.name, coalesce(t.name, ''), d.created, d.disabled, d.message FROM domains d LEFT JOIN domains t ON t.id = d.target`

func listDomains(ctx context.Context, q querier) ([]Domain, error) {
	const query = `SELECT (SELECT count(*) FROM accounts WHERE domain = d.id), ` + domainColumns + ` ORDER BY d.name`
	return collect(ctx, q, func(rows *sql.Rows) (dom Domain, err error) {
		var created int64
		err = rows.Scan(&dom.Accounts, &dom.ID, &dom.Name, &dom.AliasOf, &created, &dom.Disabled, &dom.Message)
		dom.Created, dom.Defer = unix(created), dom.Disabled
		return dom, err
	}, query)
}

// findDomain finds a domain or a domain alias by its canonical name, or gives ErrNoDomain.
func findDomain(ctx context.Context, q querier, name string) (dom Domain, err error) {
	var created int64
	row := q.QueryRowContext(ctx, `SELECT `+domainColumns+` WHERE d.name = $1`, name)
	err = row.Scan(&dom.ID, &dom.Name, &dom.AliasOf, &created, &dom.Disabled, &dom.Message)
	if errors.Is(err, sql.ErrNoRows) {
		return dom, noDomain(name)
	}
	dom.Created, dom.Defer = unix(created), dom.Disabled
	return dom, err
}

// findRealDomain follows a domain alias to what it means.
func findRealDomain(ctx context.Context, q querier, name string) (Domain, error) {
	dom, err := findDomain(ctx, q, name)
	if err == nil && dom.AliasOf != "" {
		return findDomain(ctx, q, dom.AliasOf)
	}
	return dom, err
}

// findOwnDomain is for what is to be added: a domain alias holds nothing itself.
func findOwnDomain(ctx context.Context, q querier, a Address) (Domain, error) {
	dom, err := findDomain(ctx, q, a.Domain)
	if err == nil && dom.AliasOf != "" {
		err = fmt.Errorf("%w: %s is an alias of %s; use %s instead", ErrNoDomain, a.Domain, dom.AliasOf, Address{a.Local, dom.AliasOf})
	}
	return dom, err
}

func noDomain(name string) error {
	return fmt.Errorf("%s: %w; add it with: kurir domain add %s", name, ErrNoDomain, name)
}

// orError returns err unless it is nil.
func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
