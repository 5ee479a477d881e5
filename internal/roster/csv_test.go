package roster

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func weak(password, _ string) error {
	if len(password) < 4 {
		return errors.New("the password is short")
	}
	return nil
}

// Files as spreadsheets write them.
func TestReadCSV(t *testing.T) {
	want := []Row{
		{Line: 2, Account: Account{Address: "ann@a.test", Quota: 5}, Password: " p;w ", Aliases: []string{"info@a.test", "@a.test"}},
		{Line: 3, Account: Account{Address: "bob@a.test", Verifier: hash, Disabled: true, Defer: true, Message: "for now"}},
		{Line: 6, Account: Account{Address: "cy@a.test"}},
	}
	const semicolons = "\xef\xbb\xbfAddress;Password;Password Hash;quota;aliases;;disabled;mail;message\r\n" +
		"Ann@a.test;\" p;w \";;5;\"info@a.test, @a.test\";;no;;\r\n" +
		"bob@a.test;;{BLF-CRYPT}" + hash + ";;;;Yes;defer;\"for\nnow\"\r\n;;;;;;;;\r\ncy@a.test\r\n"
	for _, text := range []string{semicolons, strings.ReplaceAll(strings.ReplaceAll(semicolons, ";", "\t"), "p\tw", "p;w")} {
		rows, mistakes := ReadCSV([]byte(text), sizes, weak)
		if len(mistakes) > 0 || !reflect.DeepEqual(rows, want) {
			t.Errorf("%v\n%+v\nwant\n%+v", mistakes, rows, want)
		}
	}
	rows, mistakes := ReadCSV([]byte("address\nann@a.test\n"), sizes, weak)
	if len(mistakes) > 0 || len(rows) != 1 {
		t.Errorf("one column: %+v, %v", rows, mistakes)
	}
}

func TestReadCSVMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"\xff\xfea\x00", "UTF-16"},
		{"address\nann@a.test\nj\xf6rg@a.test\n", "line 3: a character is not UTF-8"},
		{"addres,quota,quota,\n", `line 1: unknown column "addres"; those that are known are address, password, password_hash, quota, aliases, disabled, mail, message|line 1: the column quota is there twice|line 1: the first row has no column "address"`},
		{"address,quota\nx@a.test,y\nno,5,,\nx@A.test,6\ny@a.test,,z", `line 2: x@a.test: quota: no size: y|line 3: invalid address: "no" has no @; write user@domain|line 4: x@a.test: is there twice, first in line 2|line 5: "z" stands in no column`},
		{"address,password,password_hash\nx@a.test,good,$1$\ny@a.test,bad,\nz@a.test,,$1$x\n", "line 2: x@a.test: it has both a password and a password_hash|line 3: y@a.test: the password is short|line 4: z@a.test: unusable password: a hash of MD5-crypt"},
		{"address,disabled,mail,message,aliases\nx@a.test,maybe,lose,,y\nz@a.test,no,defer,,\nw@a.test,1,,\"a\x01\",\n", `line 2: x@a.test: disabled: "maybe" is neither|line 2: x@a.test: mail: "lose" is neither|line 2: x@a.test: aliases: invalid address|line 3: z@a.test: mail and message are for accounts that are disabled|line 4: w@a.test: message: unusable text`},
		{"address\n\"x\"y@a.test\n", "line 2: extraneous or missing"},
	} {
		_, mistakes := ReadCSV([]byte(c.text), sizes, weak)
		for i, want := range strings.Split(c.want, "|") {
			if i >= len(mistakes) || !strings.HasPrefix(mistakes[i].Error(), want) && !strings.Contains(mistakes[i].Text, want) {
				t.Errorf("%q: %v\nwant %s", c.text, mistakes, want)
			}
		}
	}
	if _, mistakes := ReadCSV([]byte("address\n"+strings.Repeat("x\n", MaxRows)), sizes, weak); len(mistakes) != MaxRows {
		t.Errorf("%d mistakes", len(mistakes))
	}
}

// What rows ask for, given what is there.
func TestWanted(t *testing.T) {
	have := State{
		Accounts: []Account{{Address: "ann@a.test", Verifier: "old"}},
		Aliases:  []Alias{{Address: "info@a.test", To: []string{"ann@a.test"}, Post: "members"}},
	}
	rows := []Row{
		{Line: 2, Account: Account{Address: "ann@a.test", Quota: 5}, Aliases: []string{"new@a.test"}},
		{Line: 3, Account: Account{Address: "bob@a.test"}, Aliases: []string{"info@a.test", "crew@a.test"}},
		{Line: 4, Account: Account{Address: "cy@a.test"}, Aliases: []string{"crew@a.test", "cy@a.test"}},
	}
	want, skipped, mistakes := Wanted(rows, have, false)
	info := Alias{Address: "info@a.test", To: []string{"ann@a.test", "bob@a.test"}, Post: "members"}
	crew := Alias{Address: "crew@a.test", To: []string{"bob@a.test", "cy@a.test"}}
	if skipped != 1 || len(want.Accounts) != 2 || len(want.Aliases) != 3 || !reflect.DeepEqual(want.Aliases[:2], []Alias{info, crew}) {
		t.Errorf("%d skipped: %+v", skipped, want)
	}
	if len(mistakes) != 1 || mistakes[0].Error() != "line 4: cy@a.test: is its own alias" {
		t.Error(mistakes)
	}
	if len(have.Aliases[0].To) != 1 {
		t.Error("what is there was changed")
	}
	want, skipped, _ = Wanted(rows, have, true)
	if skipped != 0 || !reflect.DeepEqual(want.Accounts[0], Account{Address: "ann@a.test", Verifier: "old", Quota: 5}) || want.Aliases[0].Address != "new@a.test" {
		t.Errorf("%d skipped: %+v", skipped, want)
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("address,password\nx@a.test,good\n"))
	f.Add([]byte("address;aliases;quota\nx@a.test;\"y@a.test z@a.test\";5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, mistakes := ReadCSV(text, sizes, weak)
		for _, r := range rows {
			if r.Line < 2 || !strings.Contains(r.Account.Address, "@") {
				t.Errorf("%+v", r)
			}
		}
		if len(mistakes) == 0 {
			want, _, _ := Wanted(rows, State{}, false)
			Make(State{}, want, Options{Size: size})
		}
	})
}
