package setup

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// link is a symbolic link in a MapFS.
func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

// proc is a /proc with a postfix on 25, a docker-proxy on [::]:443, and one on 8080 that cannot be seen.
func proc() fstest.MapFS {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	return fstest.MapFS{
		"net/tcp": {Data: []byte(head +
			"   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0 100 0 0 10 0\n" +
			"   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0 100 0 0 10 0\n" +
			"   2: 0100007F:0050 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 1003 1 0 100 0 0 10 0\n" +
			"   3: 0200007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1005 1 0 100 0 0 10 0\n" +
			"odd line\n")},
		"net/tcp6": {Data: []byte(head +
			"   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1004 1 0 100 0 0 10 0\n")},
		"812/comm": {Data: []byte("master\n")}, "812/fd/0": link("/dev/null"), "812/fd/13": link("socket:[1001]"),
		"90/comm": {Data: []byte("docker-proxy\n")}, "90/fd/4": link("socket:[1004]"),
		"91/comm": {Data: []byte("odd\x1bname\n")}, "91/fd/4": link("socket:[1005]"),
		"self/fd/1": link("socket:[1002]"), "uptime": {Data: []byte("1 1")},
	}
}

// TestListening: sockets that listen are found in both tables, with their programs.
func TestListening(t *testing.T) {
	var got []string
	for _, h := range Listening(proc()) {
		got = append(got, fmt.Sprintf("%s %d %s", h.At, h.PID, h.Program))
	}
	want := []string{"0.0.0.0:25 812 master", "127.0.0.1:8080 0 ", "127.0.0.2:53 91 odd?name", "[::]:443 90 docker-proxy"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
	if all := Listening(fstest.MapFS{}); len(all) != 0 {
		t.Errorf("%v", all)
	}
}

// answers says for each address what opening it leads to.
func answers(m map[string]error) func(context.Context, string) error {
	return func(_ context.Context, address string) error { return m[address] }
}

func TestPorts(t *testing.T) {
	wanted := []Port{{"SMTP", ":25"}, {"submission", ":587"}, {"HTTPS", ":443"}, {"health", "127.0.0.1:8080"}}
	used := syscall.EADDRINUSE
	for _, c := range []struct {
		name  string
		state map[string]error
		own   int
		want  []string // outcome and a part of the text, then one of what to do
	}{
		{"all are free", nil, 0, []string{"ok The ports are free: 25 587 443 8080.|"}},
		{"without rights", map[string]error{":25": syscall.EACCES}, 0, []string{"ok The ports are free: 25|"}},
		{"postfix", map[string]error{":25": used}, 0, []string{"problem postfix (pid 812) has port 25 (SMTP).|sudo systemctl disable --now postfix"}},
		{"a container", map[string]error{":443": used}, 0, []string{"problem a container (pid 90) has port 443 (HTTPS).|docker ps"}},
		{"not to be seen", map[string]error{"127.0.0.1:8080": used}, 0, []string{"problem Another program has port 8080 (health).|ss -ltnp 'sport = :8080'"}},
		{"kurir itself", map[string]error{":25": used}, 812, []string{"ok The server runs and has its ports|"}},
		{"kurir, and another one", map[string]error{":25": used, ":443": used}, 812, []string{"problem a container (pid 90)|"}},
		{"no such address", map[string]error{":587": syscall.EADDRNOTAVAIL}, 0, []string{"problem Port 587 (submission) cannot be opened|Correct the address"}},
		{"two programs", map[string]error{":25": used, ":443": used}, 0, []string{"problem postfix|", "problem a container|"}},
	} {
		steps := Ports(t.Context(), wanted, answers(c.state), proc(), c.own)
		if len(steps) != len(c.want) {
			t.Errorf("%s: %+v", c.name, steps)
			continue
		}
		for i, w := range c.want {
			text, do, _ := strings.Cut(w, "|")
			if s := steps[i]; !strings.HasPrefix(string(s.Outcome)+" "+s.Text, text) || !strings.Contains(s.Do, do) {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
	}
}

func TestRights(t *testing.T) {
	wanted := []Port{{"SMTP", ":25"}, {"IMAP", ":993"}}
	denied := answers(map[string]error{":25": syscall.EACCES})
	for _, c := range []struct {
		listen func(context.Context, string) error
		served bool
		want   Outcome
	}{{answers(nil), false, OK}, {denied, true, OK}, {denied, false, Todo}} {
		if s := Rights(t.Context(), wanted, c.listen, c.served); s.Outcome != c.want || c.want == Todo && !strings.Contains(s.Do, "setcap") {
			t.Errorf("%+v", s)
		}
	}
}

func TestRemedy(t *testing.T) {
	for program, want := range map[string]string{
		"nginx": "disable --now nginx", "exim4": "disable --now exim4", "strange": "kill 7", "rootlessport": "docker ps", "dovecot": "disable --now dovecot",
	} {
		if got := remedy(Holder{PID: 7, Program: program}, []string{"25 (SMTP)"}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", program, got)
		}
	}
}

func TestHolding(t *testing.T) {
	all := Listening(proc())
	for address, pid := range map[string]int{
		":25": 812, "0.0.0.0:25": 812, "192.0.2.1:25": 812, ":26": 0, "127.0.0.1:53": 0, "127.0.0.2:53": 91, ":53": 91, "odd": 0, ":https": 0, "[::1]:443": 90,
	} {
		if got := holding(all, address); got.PID != pid {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	for line := range strings.Lines(string(proc()["net/tcp"].Data) + string(proc()["net/tcp6"].Data)) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if at, inode, ok := parseSocket(line); ok && (!at.Addr().IsValid() || inode == "") {
			t.Errorf("%q: %v %q", line, at, inode)
		}
	})
}
