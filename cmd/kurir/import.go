package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/fsx"
	"kurir/internal/roster"
)

func accountImport(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Add many accounts from a CSV file",
		Long: `Add many accounts from a CSV file, as spreadsheets write them: UTF-8, cells parted by
commas, semicolons or tabs, and in the first row the names of the columns:

  address         alice@example.org; the domain has to be there
  password        in the clear, or
  password_hash   $argon2id$... or bcrypt ($2y$...), also with {ARGON2ID} or {BLF-CRYPT}
  quota           such as 5GiB
  aliases         further addresses, parted by blanks
  disabled        yes or no;  mail: keep or defer;  message: see kurir account disable

Only address is needed. For rows without a password, --passwords-out has passwords made,
and --invites-out has links made to pages on which their owners set up their apps (kurir
account invite); both are written to a new file that its owner alone can read.
--no-password adds them without, so that nobody can log in before "kurir account passwd".

All mistakes of the file are shown at once, with their lines, and then nothing is done.
Accounts that are there already are skipped, so that an interrupted import can be repeated;
--update gives them the file's quota, state, aliases and, if there is one, password.`,
		Example: `  kurir account import --dry-run accounts.csv
  kurir account import accounts.csv --passwords-out passwords.csv
  kurir account import accounts.csv --invites-out invitations.csv
  kurir account import accounts.csv --update`,
		Args: exactly("FILE"),
	}
	var f importFlags
	c.Flags().BoolVar(&f.dry, "dry-run", false, "only look for mistakes and say what would be done")
	c.Flags().BoolVar(&f.update, "update", false, "change accounts that are there already")
	c.Flags().BoolVar(&f.without, "no-password", false, "add accounts that have no password in the file without one")
	c.Flags().StringVar(&f.out, "passwords-out", "", "make the missing passwords and write them to this new `FILE`")
	c.Flags().StringVar(&f.invites, "invites-out", "", "invite the accounts without a password, with links written to this new `FILE`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if f.out != "" && (f.without || f.invites != "") {
			return usagef("--passwords-out and --no-password or --invites-out exclude each other")
		}
		f.without = f.without || f.invites != ""
		text, err := e.readInput(args[0])
		if err != nil {
			return err
		}
		f.path = args[0]
		rows, mistakes := roster.ReadCSV(text, parseQuota, tooWeak)
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			return e.importRows(ctx, o, rows, mistakes, f)
		})
	}
	return c
}

type importFlags struct {
	path, out, invites   string
	dry, update, without bool
}

// importRows plans an import, and carries it out unless something is wrong.
func (e *env) importRows(ctx context.Context, o admin.Operations, rows []roster.Row, mistakes []roster.Mistake, f importFlags) error {
	have, err := readState(ctx, o, f.update)
	if err != nil {
		return err
	}
	want, skipped, more := roster.Wanted(rows, have, f.update)
	plan := roster.Make(have, want, roster.Options{Size: showQuota})
	mistakes = slices.Concat(mistakes, more, withLines(plan.Mistakes, rows))
	i := importer{env: e, importFlags: f, rows: map[string]*roster.Row{}, kept: map[string]string{}}
	for _, a := range have.Accounts {
		i.kept[a.Address] = a.Verifier
	}
	for n := range rows {
		i.rows[rows[n].Account.Address] = &rows[n]
	}
	mistakes = append(mistakes, i.sort(&plan)...)
	if len(mistakes) > 0 {
		slices.SortStableFunc(mistakes, func(a, b roster.Mistake) int { return a.Line - b.Line })
		return e.refuse(f.path, mistakes)
	}
	i.summary(plan, skipped)
	if f.dry || len(plan.Changes) == 0 {
		return nil
	}
	if err := i.writePasswords(); err != nil {
		return err
	}
	if err := i.isNew(i.invites); err != nil {
		return err
	}
	err = i.run(ctx, o, plan)
	if err == nil && i.invites != "" {
		err = i.invite(ctx, o)
	}
	if err != nil {
		return errors.Join(err, errors.New("what is done stays; mend it and repeat the command, which skips the accounts that are there"))
	}
	return nil
}

// withLines says in which lines the accounts are that mistakes of the plan are about.
func withLines(mistakes []roster.Mistake, rows []roster.Row) []roster.Mistake {
	for i, m := range mistakes {
		at := slices.IndexFunc(rows, func(r roster.Row) bool {
			return r.Account.Address == m.Name || slices.Contains(r.Aliases, m.Name)
		})
		if at >= 0 {
			mistakes[i].Line = rows[at].Line
		}
	}
	return mistakes
}

// importer is an import under way.
type importer struct {
	*env
	importFlags
	rows map[string]*roster.Row // by address
	kept map[string]string      // the passwords that are there, as they are kept
	made []string               // addresses whose password is made here
	bare []string               // addresses without one
}

// sort finds what has to be hashed, and the new accounts that have no password.
func (i *importer) sort(plan *roster.Plan) (mistakes []roster.Mistake) {
	missing := 0
	named := map[string]bool{}
	for n := range plan.Changes {
		c := &plan.Changes[n]
		row := i.rows[c.Name]
		if c.Kind != "account" || row == nil {
			continue
		}
		named[c.Name] = true
		if c.Action != roster.Add || row.Password != "" || row.Account.Verifier != "" {
			continue
		}
		i.bare = append(i.bare, c.Name)
		if i.without {
			continue
		}
		if i.out != "" {
			i.made = append(i.made, c.Name)
			row.Password = auth.GeneratePassword()
			continue
		}
		if missing++; missing == 1 {
			mistakes = append(mistakes, roster.Mistake{Line: row.Line, Name: c.Name,
				Text: "it has no password: give one, or have it made with --passwords-out FILE, or invite its owner with --invites-out FILE, or add it without with --no-password"})
		}
	}
	if missing > 1 {
		mistakes[0].Text += fmt.Sprintf("; the same for %d more", missing-1)
	}
	if i.update { // accounts that change in nothing but their password
		for _, address := range slices.Sorted(maps.Keys(i.rows)) {
			if row := i.rows[address]; row.Password != "" && !named[address] {
				plan.Changes = append(plan.Changes, roster.Change{Action: roster.Modify, Kind: "account", Name: address, Account: &row.Account})
			}
		}
	}
	return mistakes
}

// summary says in a few lines what will be done.
func (i *importer) summary(plan roster.Plan, skipped int) {
	n := map[string]int{}
	for _, c := range plan.Changes {
		n[c.Action+" "+c.Kind]++
	}
	say := func(what string, n int) {
		if n > 0 {
			i.printf("%s %s\n", count(n, "account"), what)
		}
	}
	say("to add", n["add account"])
	say("to change", n["change account"])
	say("there already, skipped", skipped)
	if a := n["add alias"] + n["change alias"] + n["change group"]; a > 0 {
		i.printf("aliases to add or change: %d\n", a)
	}
	if len(i.made) > 0 {
		i.printf("passwords to make, for %s: %d\n", i.out, len(i.made))
	}
}

// writePasswords writes the passwords that are made here before any account has one, so
// that none is lost.
func (i *importer) writePasswords() error {
	if len(i.made) == 0 {
		return nil
	}
	if err := i.isNew(i.out); err != nil {
		return err
	}
	rows := [][]string{{"address", "password"}}
	for _, address := range i.made {
		rows = append(rows, []string{address, i.rows[address].Password})
	}
	return i.writeCSV(i.out, rows)
}

// isNew is an error if a file for secrets is there already; "" is none.
func (i *importer) isNew(path string) error {
	if path == "" {
		return nil
	}
	switch _, err := i.files.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w; nothing was changed", path, err)
	}
	return fmt.Errorf("%s: %w: name a new file; nothing was changed", path, fs.ErrExist)
}

func (i *importer) writeCSV(path string, rows [][]string) error {
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return err
	}
	return fsx.WriteFile(i.files, path, b.Bytes(), 0o600)
}

// invite writes a link for each account that came without a password. What was made before
// an error is written all the same.
func (i *importer) invite(ctx context.Context, o admin.Operations) error {
	rows := [][]string{{"address", "link", "until"}}
	var err error
	for _, address := range i.bare {
		var made admin.Invited
		if made, err = o.InviteAccount(ctx, address); err != nil {
			err = fmt.Errorf("inviting %s: %w; for the others: kurir account invite", address, err)
			break
		}
		rows = append(rows, []string{address, made.URL, made.Expires.Local().Format(time.DateTime)})
	}
	i.printf("%s in %s\n", count(len(rows)-1, "invitation"), i.invites)
	return errors.Join(err, i.writeCSV(i.invites, rows))
}

// run hashes passwords and carries out the plan, part by part.
func (i *importer) run(ctx context.Context, o admin.Operations, plan roster.Plan) error {
	p := i.progress(len(plan.Changes))
	defer p.end()
	d := doer{o: o, done: p.add}
	for part := range slices.Chunk(plan.Changes, admin.MaxBulk) {
		if err := i.hash(ctx, part); err != nil {
			return err
		}
		if err := d.do(ctx, part); err != nil {
			return err
		}
	}
	i.printf("%s done.\n", count(p.done, "change"))
	return nil
}

// hash makes verifiers of the passwords that changes need, on all cores.
func (i *importer) hash(ctx context.Context, part []roster.Change) error {
	next := make(chan *roster.Change)
	errs := make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for c := range next {
				password := i.rows[c.Name].Password
				if old := i.kept[c.Name]; old != "" && auth.Matches(old, password) {
					continue // whoever has logged in with it goes on
				}
				v, err := auth.HashPassword(password)
				if err != nil {
					errs[w] = fmt.Errorf("%s: %w", c.Name, err)
					continue
				}
				c.Account.Verifier, c.Password = v, true
			}
		})
	}
	for n := range part {
		row := i.rows[part[n].Name]
		if part[n].Kind == "account" && row != nil && row.Password != "" && ctx.Err() == nil {
			next <- &part[n]
		}
	}
	close(next)
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}
