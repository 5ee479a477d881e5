package config

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

func TestLMTP(t *testing.T) {
	if c := good(t, name); len(c.LMTP.Address) != 0 || c.LMTP.Mode() != 0o660 {
		t.Errorf("without a word of it: %+v", c.LMTP)
	}
	c := good(t, name+`[lmtp]
address = ["unix:/run/kurir/lmtp.sock", "127.0.0.1:24", "[::1]:24", "localhost:25024"]
socket_mode = "0666"`)
	if len(c.LMTP.Address) != 4 || c.LMTP.Mode() != 0o666 {
		t.Errorf("%+v", c.LMTP)
	}
	c = good(t, name+"[lmtp]\naddress = [\":24\"]\nnetworks = [\"192.0.2.25\", \"2001:db8::/64\"]")
	if len(c.LMTP.Networks) != 2 {
		t.Errorf("%+v", c.LMTP)
	}
	if got := good(t, name, "KURIR_LMTP_ADDRESS=unix:/a,unix:/b").LMTP.Address; !reflect.DeepEqual(got, []string{"unix:/a", "unix:/b"}) {
		t.Errorf("%q", got)
	}
}

func TestLMTPMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		"address = [\"127.0.0.1:25\"]\n[smtp]\naddress = []": "port of SMTP",
		`address = [":24"]`:                                     "can be reached from elsewhere: name in lmtp.networks",
		`address = ["192.0.2.1:24"]`:                            "can be reached from elsewhere",
		`address = ["mail.example.com:24"]`:                     "can be reached from elsewhere",
		`address = ["unix:lmtp.sock"]`:                          "must have a path from the root",
		`address = ["unix:/a", "unix:/x/../a"]`:                 "is taken already",
		`address = ["unix:/var/lib/kurir/control.sock"]`:        "is taken already",
		`address = ["127.0.0.1:143"]`:                           "is taken by :143 in imap.address",
		"address = [\":24\"]\nnetworks = [\"0.0.0.0/0\"]":       "is a good part of the Internet",
		"address = [\":24\"]\nnetworks = [\"2000::/3\"]":        "is a good part of the Internet",
		`socket_mode = "rw-rw----"`:                             "is none of the permissions",
		`socket_mode = "0777"`:                                  "is none of the permissions",
		`socket_mode = "0440"`:                                  "is none of the permissions",
		`socket_mode = "1660"`:                                  "is none of the permissions",
		"address = [\"127.0.0.1:24\"]\nnetworks = [\"office\"]": "office",
	} {
		if _, mistakes := load(t, name+"[lmtp]\n"+text); len(mistakes) != 1 || !strings.Contains(mistakes[0], problem) {
			t.Errorf("%s: %q", text, mistakes)
		}
	}
	if m := (LMTP{SocketMode: "?"}).Mode(); m != fs.FileMode(0o600) {
		t.Errorf("mode %v", m)
	}
}
