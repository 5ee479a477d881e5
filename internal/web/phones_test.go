package web

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const phonesFolder = "../../docs/phones"

// phonePage is the page of docs for apps that share one, for example.org.
func phonePage(s *Server, apps []App) string {
	var b strings.Builder
	title := apps[0].Name
	if len(apps) > 1 {
		title = "Outlook"
	}
	fmt.Fprintf(&b, "# %s\n\nThe page `https://mail.example.org/setup` of your own server shows the same with your address and your server's name. Here they are\n"+
		"`alice@example.org` and `mail.example.org`.\n", title)
	a, _ := s.account("alice@example.org", "")
	for _, app := range apps {
		if len(apps) > 1 {
			fmt.Fprintf(&b, "\n## %s (%s)\n", app.Name, app.On)
		}
		if app.Profile {
			fmt.Fprintf(&b, "\nThe quick way: open `https://mail.example.org/setup` on the device, choose this app and tap *Get the profile*; then Settings › Profile Downloaded ›\nInstall. It holds all that follows but the password. "+
				"Signed in (`kurir account invite alice@example.org`), it can hold a password made for this device too.\n\nBy hand:\n")
		}
		if app.Finds != "" {
			fmt.Fprintf(&b, "\n%s\n\nIf it asks for more:\n", app.Finds)
		}
		b.WriteString("\n")
		for i, step := range fill(app.Steps, a) {
			fmt.Fprintf(&b, "%d. %s\n", i+1, step.Text)
			if len(step.Fields) > 0 {
				b.WriteString("\n   | | |\n   | --- | --- |\n")
			}
			for _, f := range step.Fields {
				value := "`" + f.Value.Text + "`"
				if f.Value.Words {
					value = f.Value.Text
				}
				fmt.Fprintf(&b, "   | %s | %s |\n", f.Label, value)
			}
			if len(step.Fields) > 0 {
				b.WriteString("\n")
			}
		}
		if app.Note != "" {
			fmt.Fprintf(&b, "\n%s\n", app.Note)
		}
		width := 1280
		if app.Phone {
			width = 390
		}
		fmt.Fprintf(&b, "\n![The page for %s](pictures/%s-%d.png)\n", app.Name, app.Key, width)
	}
	return strings.ReplaceAll(b.String(), "\n\n\n", "\n\n")
}

// The pages of docs say what the server says: KURIR_UPDATE_DOCS=1 writes them.
func TestPhonePages(t *testing.T) {
	var names []string
	pages := map[string][]App{}
	for _, app := range Apps() {
		if pages[app.Page] == nil {
			names = append(names, app.Page)
		}
		pages[app.Page] = append(pages[app.Page], app)
	}
	for _, name := range names {
		want := phonePage(exampleServer(), pages[name])
		path := filepath.Join(phonesFolder, name+".md")
		if os.Getenv("KURIR_UPDATE_DOCS") != "" {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the server says: run the test with KURIR_UPDATE_DOCS=1", path)
		}
	}
	overview, err := os.ReadFile(filepath.Join(phonesFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(overview), "("+name+".md)") {
			t.Errorf("docs/phones/README.md does not lead to %s", name)
		}
	}
}

// Every app is told all that it has to know.
func TestApps(t *testing.T) {
	a, ok := exampleServer().account("alice@example.org", "")
	if !ok || a.In.Port != 993 || a.Out.Port != 465 {
		t.Fatalf("%+v", a)
	}
	var keys []string
	for _, app := range Apps() {
		if app.Key == "" || app.Page == "" || app.Name == "" || app.On == "" || slices.Contains(keys, app.Key) {
			t.Errorf("%+v", app)
		}
		keys = append(keys, app.Key)
		count := map[string]int{}
		for _, step := range fill(app.Steps, a) {
			if step.Text == "" {
				t.Errorf("%s has an empty step", app.Key)
			}
			for _, f := range step.Fields {
				count[f.Value.Text]++
			}
		}
		if count["alice@example.org"] < 1 || count["mail.example.org"] < 2 || count["993"] < 1 || count["465"] < 1 || count["IMAP"] < 1 && app.Key != "fairemail" || count["your password"] < 1 {
			t.Errorf("%s: %v", app.Key, count)
		}
	}
}

// Other ports and protocols stand in the pages as they are served.
func TestAccountValues(t *testing.T) {
	s := exampleServer()
	s.Pages.Services = usual[1:2]
	if _, ok := s.account("a@example.org", ""); ok {
		t.Error("nothing can be read, and there are settings")
	}
	s.Pages.Services = append(slices.Clone(usual[1:2]), usual[5])
	a, ok := s.account("a@example.org", "x")
	got := a.Protocol().Text + a.InPort().Text + a.InSecurity().Text + a.OutPort().Text + a.OutSecurity().Text + a.Secret().Text
	if !ok || got != "POP3110STARTTLS587STARTTLSx" {
		t.Error(got)
	}
}
