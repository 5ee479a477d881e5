package directory

import (
	"context"
	"database/sql"
)

// NewAccount is one account of AddAccounts.
type NewAccount struct {
	Address string
	AccountOptions
}

// AddAccounts adds all of them in one transaction, or none. Errors as AddAccount; they name
// the account.
func (d *Directory) AddAccounts(ctx context.Context, all []NewAccount) error {
	addresses := make([]Address, len(all))
	for i := range all {
		var err error
		if addresses[i], err = ParseAddress(all[i].Address); err != nil {
			return err
		}
		if all[i].Closure, err = all[i].Closure.checked(); err != nil {
			return err
		}
	}
	return d.change(ctx, func(tx *sql.Tx) error {
		for i, a := range all {
			if _, err := addAccount(ctx, tx, addresses[i], a.AccountOptions); err != nil {
				return err
			}
		}
		return nil
	})
}

// Verifiers returns what the accounts' own passwords are checked against, by address.
// Accounts without a password are not there.
func (d *Directory) Verifiers(ctx context.Context) (map[string]string, error) {
	type own struct{ address, verifier string }
	rows, err := collect(ctx, d.db, func(rows *sql.Rows) (o own, err error) {
		var a Address
		err = rows.Scan(&a.Local, &a.Domain, &o.verifier)
		o.address = a.String()
		return o, err
	}, `SELECT a.local, d.name, c.verifier FROM credentials c JOIN accounts a ON a.id = c.account JOIN domains d ON d.id = a.domain WHERE c.kind = $1`, KindPassword)
	all := make(map[string]string, len(rows))
	for _, o := range rows {
		all[o.address] = o.verifier
	}
	return all, err
}
