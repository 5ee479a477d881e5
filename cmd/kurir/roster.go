package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/roster"
)

// readState is who gets mail here, with the passwords as they are kept if verifiers is true.
func readState(ctx context.Context, o admin.Operations, verifiers bool) (s roster.State, err error) {
	domains, err := o.ListDomains(ctx)
	if err != nil {
		return s, err
	}
	accounts, err := o.ListAccounts(ctx)
	if err != nil {
		return s, err
	}
	aliases, err := o.ListAliases(ctx)
	if err != nil {
		return s, err
	}
	kept := map[string]string{}
	if verifiers {
		if kept, err = o.ListVerifiers(ctx); err != nil {
			return s, err
		}
	}
	at := map[string]int{}
	for _, d := range domains {
		if d.AliasOf == "" {
			at[d.Name] = len(s.Domains)
			s.Domains = append(s.Domains, roster.Domain{Name: d.Name, Disabled: d.Disabled, Message: d.Message})
		}
	}
	for _, d := range domains {
		if i, ok := at[d.AliasOf]; ok && d.AliasOf != "" {
			s.Domains[i].Aliases = append(s.Domains[i].Aliases, d.Name)
		}
	}
	for _, a := range accounts {
		s.Accounts = append(s.Accounts, roster.Account{
			Address: a.Address, Verifier: kept[a.Address], Quota: a.Quota, Disabled: a.Disabled, Defer: a.Deferred, Message: a.Message,
		})
	}
	for _, a := range aliases {
		x := roster.Alias{Address: a.Address, Forward: a.Remote, MaySend: a.MaySend, Post: a.Post}
		for _, t := range a.Targets {
			if !slices.Contains(a.Remote, t) {
				x.To = append(x.To, t)
			}
		}
		s.Aliases = append(s.Aliases, x)
	}
	return s, nil
}

// readInput is the content of a file, or of standard input for "-".
func (e *env) readInput(path string) ([]byte, error) {
	if path != "-" {
		b, err := fsx.ReadFile(e.files, path, roster.MaxFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(e.stdin, roster.MaxFile+1))
	if err == nil && len(b) > roster.MaxFile {
		err = fmt.Errorf("standard input is longer than %d bytes", roster.MaxFile)
	}
	return b, err
}

// sizeText is a quota as files have it, exactly.
func sizeText(n int64) string { return config.Size(n).String() }

// refuse prints all mistakes of a file, and is the error that ends the command.
func (e *env) refuse(path string, mistakes []roster.Mistake) error {
	for i, m := range mistakes {
		if i == 100 {
			fmt.Fprintf(e.stderr, "%s: and %d more\n", path, len(mistakes)-i)
			break
		}
		fmt.Fprintf(e.stderr, "%s: %s\n", path, plain(m.Error()))
	}
	return errors.New(count(len(mistakes), "mistake") + "; nothing was changed")
}

// doer carries out the changes of a plan.
type doer struct {
	o    admin.Operations
	done func(n int) // told how many more are done
	bulk []admin.BulkAccount
}

// do carries out all changes in order. What was done before an error stays; a plan made
// anew goes on from there.
func (d *doer) do(ctx context.Context, changes []roster.Change) error {
	for _, c := range changes {
		if c.Kind == "account" && c.Action == roster.Add {
			a := c.Account
			d.bulk = append(d.bulk, admin.BulkAccount{
				Address: a.Address, Verifier: a.Verifier, Quota: a.Quota, Disabled: a.Disabled, Defer: a.Defer, Message: a.Message,
			})
			if len(d.bulk) == admin.MaxBulk {
				if err := d.flush(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err := d.flush(ctx); err != nil {
			return err
		}
		if err := d.one(ctx, c); err != nil {
			return fmt.Errorf("%s %s %s: %w", c.Action, c.Kind, c.Name, err)
		}
		d.done(1)
	}
	return d.flush(ctx)
}

// flush adds the accounts that were collected.
func (d *doer) flush(ctx context.Context) error {
	if len(d.bulk) == 0 {
		return nil
	}
	n := len(d.bulk)
	_, err := d.o.AddAccounts(ctx, d.bulk)
	d.bulk = nil
	if err == nil {
		d.done(n)
	}
	return err
}

// one carries out one change.
func (d *doer) one(ctx context.Context, c roster.Change) error {
	switch c.Kind {
	case "domain":
		if c.Action == roster.Add {
			if err := d.o.AddDomain(ctx, c.Name); err != nil || !c.Domain.Disabled {
				return err
			}
		}
		return d.o.DisableDomain(ctx, admin.Disable{Address: c.Name, Disabled: c.Domain.Disabled, Message: c.Domain.Message})
	case "domain alias":
		if c.Action == roster.Remove {
			return d.o.RemoveDomainAlias(ctx, c.Name)
		}
		return d.o.AddDomainAlias(ctx, admin.Domain{Name: c.Name, AliasOf: c.Domain.Name})
	case "account":
		return d.account(ctx, c)
	}
	a := admin.Alias{Address: c.Name, Targets: slices.Concat(c.Alias.To, c.Alias.Forward), Remote: c.Alias.Forward, MaySend: c.Alias.MaySend, Post: c.Alias.Post}
	switch c.Action {
	case roster.Add:
		return d.o.AddAlias(ctx, a)
	case roster.Modify:
		return d.o.SetAlias(ctx, a)
	}
	return d.o.RemoveAlias(ctx, c.Name)
}

// account changes or removes one.
func (d *doer) account(ctx context.Context, c roster.Change) error {
	if c.Action == roster.Remove {
		_, err := d.o.RemoveAccount(ctx, admin.Remove{Address: c.Name})
		return err
	}
	a := c.Account
	if c.Password {
		if err := d.o.SetVerifier(ctx, admin.Verifier{Address: a.Address, Verifier: a.Verifier}); err != nil {
			return err
		}
	}
	if c.Quota {
		if err := d.o.SetQuota(ctx, admin.Quota{Address: a.Address, Bytes: a.Quota}); err != nil {
			return err
		}
	}
	if c.Closure {
		return d.o.DisableAccount(ctx, admin.Disable{Address: a.Address, Disabled: a.Disabled, Defer: a.Defer, Message: a.Message})
	}
	return nil
}
