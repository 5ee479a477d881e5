package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

// MaxRows bounds the accounts of one CSV file.
const MaxRows = 100_000

// Row is a line of accounts.csv.
type Row struct {
	Line     int // where it begins, from 1
	Account  Account
	Password string   // in the clear; "" if there is none
	Aliases  []string // that lead to the account, among others
}

// columns are those that a file may have.
var columns = []string{"address", "password", "password_hash", "quota", "aliases", "disabled", "mail", "message"}

// ReadCSV reads accounts as spreadsheets write them: UTF-8 with or without a mark in front,
// cells parted by commas, semicolons or tabs, the names of the columns in the first row in
// any order. It finds all mistakes at once; with any, the rows are not to be used. weak
// tells why a password will not do.
func ReadCSV(text []byte, sizes Sizes, weak func(password, address string) error) ([]Row, []Mistake) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, []Mistake{{Text: "the file is in UTF-16: save it as CSV in UTF-8"}}
	case !utf8.Valid(text):
		return nil, []Mistake{{Line: badLine(text), Text: "a character is not UTF-8: save the file as CSV in UTF-8"}}
	}
	t := &table{sizes: sizes, weak: weak, lines: map[string]int{}}
	t.r = csv.NewReader(bytes.NewReader(text))
	t.r.Comma, t.r.FieldsPerRecord, t.r.ReuseRecord = separator(text), -1, true
	head, err := t.r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, []Mistake{{Text: "the file is empty; its first row has the names of the columns: " + strings.Join(columns, ", ")}}
	case err != nil:
		return nil, []Mistake{csvMistake(err)}
	}
	if t.header(head); len(t.mistakes) > 0 {
		return nil, t.mistakes
	}
	for {
		cells, err := t.r.Read()
		if errors.Is(err, io.EOF) {
			return t.rows, t.mistakes
		}
		if err == nil && len(t.rows) >= MaxRows {
			err = fmt.Errorf("more than %d rows: divide the file", MaxRows)
		}
		if err != nil { // what follows cannot be told apart
			return t.rows, append(t.mistakes, csvMistake(err))
		}
		line, _ := t.r.FieldPos(0)
		t.row(line, cells)
	}
}

// badLine is the line of the first byte that is no UTF-8.
func badLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		text = text[n:]
	}
	return line
}

// csvMistake puts an error of the reader into our words.
func csvMistake(err error) Mistake {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return Mistake{Line: bad.Line, Text: bad.Err.Error() + `: a cell with quotes or separators in it stands in quotes, "like ""this"", for example"`}
	}
	return Mistake{Text: err.Error()}
}

// separator is the one that the first row uses most.
func separator(text []byte) rune {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	best, n := ',', bytes.Count(line, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if k := bytes.Count(line, []byte(string(c))); k > n {
			best, n = c, k
		}
	}
	return best
}

// table is a file being read.
type table struct {
	r        *csv.Reader
	sizes    Sizes
	weak     func(password, address string) error
	place    []string // the column of each cell
	lines    map[string]int
	rows     []Row
	mistakes []Mistake
}

func (t *table) wrong(line int, name, format string, args ...any) {
	t.mistakes = append(t.mistakes, Mistake{Line: line, Name: name, Text: fmt.Sprintf(format, args...)})
}

func (t *table) header(cells []string) {
	for _, c := range cells {
		name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(c)), " ", "_")
		switch {
		case name == "": // an empty column, as spreadsheets leave them
		case !slices.Contains(columns, name):
			t.wrong(1, "", "unknown column %q; those that are known are %s", c, strings.Join(columns, ", "))
		case slices.Contains(t.place, name):
			t.wrong(1, "", "the column %s is there twice", name)
		}
		t.place = append(t.place, name)
	}
	if !slices.Contains(t.place, "address") {
		t.wrong(1, "", "the first row has no column \"address\": it has to name the columns, such as %s", strings.Join(columns[:4], ","))
	}
}

// row reads one account.
func (t *table) row(line int, cells []string) {
	if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
		return
	}
	cell := map[string]string{}
	for i, c := range cells {
		switch {
		case i < len(t.place) && t.place[i] == "password": // blanks may be meant
			cell["password"] = c
		case i < len(t.place) && t.place[i] != "":
			cell[t.place[i]] = strings.TrimSpace(c)
		case strings.TrimSpace(c) != "":
			t.wrong(line, "", "%q stands in no column", c)
		}
	}
	address, err := directory.ParseAddress(cell["address"])
	if err != nil {
		t.wrong(line, "", "%v", err)
		return
	}
	name := address.String()
	if first, ok := t.lines[name]; ok {
		t.wrong(line, name, "is there twice, first in line %d", first)
		return
	}
	t.lines[name] = line
	row := Row{Line: line, Account: Account{Address: name}, Password: cell["password"]}
	t.password(&row, cell["password_hash"])
	t.settings(&row, cell)
	for _, s := range strings.FieldsFunc(cell["aliases"], func(r rune) bool { return strings.ContainsRune(" ,;\t\n", r) }) {
		alias, err := parseAlias(s)
		if err != nil {
			t.wrong(line, name, "aliases: %v", err)
			continue
		}
		row.Aliases = append(row.Aliases, alias.String())
	}
	t.rows = append(t.rows, row)
}

func (t *table) password(row *Row, hash string) {
	name := row.Account.Address
	switch {
	case row.Password != "" && hash != "":
		t.wrong(row.Line, name, "it has both a password and a password_hash")
	case row.Password != "":
		if err := t.weak(row.Password, name); err != nil {
			t.wrong(row.Line, name, "%v", err)
		}
	case hash != "":
		v, err := auth.ReadVerifier(hash)
		if err != nil {
			t.wrong(row.Line, name, "%v", err)
		}
		row.Account.Verifier = v
	}
}

// settings reads what an account has beside its password.
func (t *table) settings(row *Row, cell map[string]string) {
	a := &row.Account
	var err error
	if a.Quota, err = t.sizes(cell["quota"]); err != nil {
		t.wrong(row.Line, a.Address, "quota: %v", err)
	}
	switch strings.ToLower(cell["disabled"]) {
	case "", "no", "false", "0":
	case "yes", "true", "1", "x":
		a.Disabled = true
	default:
		t.wrong(row.Line, a.Address, "disabled: %q is neither yes nor no", cell["disabled"])
	}
	switch strings.ToLower(cell["mail"]) {
	case "", "keep":
	case "defer":
		a.Defer = true
	default:
		t.wrong(row.Line, a.Address, "mail: %q is neither keep nor defer", cell["mail"])
	}
	if a.Message, err = directory.CleanMessage(cell["message"]); err != nil {
		t.wrong(row.Line, a.Address, "message: %v", err)
	}
	if !a.Disabled && (a.Defer || a.Message != "") {
		t.wrong(row.Line, a.Address, "mail and message are for accounts that are disabled")
	}
}

// Wanted is the state that rows ask for. What is there of the accounts in have stays as it
// is unless update says otherwise; aliases that are there lead to what they led to besides.
func Wanted(rows []Row, have State, update bool) (want State, skipped int, mistakes []Mistake) {
	x := index(have)
	order, aliases := []string{}, map[string]*Alias{}
	for _, row := range rows {
		was, is := x.accounts[row.Account.Address]
		switch {
		case is && !update:
			skipped++
			continue
		case is && row.Account.Verifier == "":
			row.Account.Verifier = was.Verifier
		}
		want.Accounts = append(want.Accounts, row.Account)
		for _, name := range row.Aliases {
			a := aliases[name]
			if a == nil {
				a = &Alias{Address: name}
				if was, is := x.aliases[name]; is {
					*a = was
					a.To = slices.Clone(was.To)
				}
				aliases[name] = a
				order = append(order, name)
			}
			if name == row.Account.Address {
				mistakes = append(mistakes, Mistake{Line: row.Line, Name: name, Text: "is its own alias"})
				continue
			}
			if !slices.ContainsFunc(a.To, sameAddress(row.Account.Address)) {
				a.To = append(a.To, row.Account.Address)
			}
		}
	}
	for _, name := range order {
		want.Aliases = append(want.Aliases, *aliases[name])
	}
	return want, skipped, mistakes
}
