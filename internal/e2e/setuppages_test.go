package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/emersion/go-imap/v2/imapclient"

	"kurir/dnsutil"
	"kurir/internal/web"
)

// TestSetupPages goes the whole way in a browser that runs no script: an invitation, a
// password for a device, a device that fails and then connects, and the end of its password.
func TestSetupPages(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, "")
	s := newServer(t)
	site := fmt.Sprintf("http://127.0.0.1:%d", httpPort+s.offset)

	b.open(site+"/", "This is the mail server")
	b.click(`a[href="/setup"]`, "Set up your mail")
	b.do(chromedp.SendKeys(chromedp.CSS("#address"), alice), chromedp.Click(chromedp.CSS(`input[value="samsung"]`)))
	b.click("main form button", "Samsung Email", alice, "Incoming server", fmt.Sprint(imapsPort+s.offset))
	b.open(site+"/setup?app=k9&address=alice@elsewhere.test", "There is no mail for “alice@elsewhere.test” on this server.")
	b.forgive("400") // as it answers

	link := strings.TrimSpace(s.command("account", "invite", alice))
	for range 2 { // programs look at links before people do
		b.open(link, "This invitation is for "+alice)
	}
	b.click("main form button", "You are signed in as "+alice, "There is none yet.")
	b.live("Nothing has reached us in the last hour.")
	b.do(chromedp.Click(chromedp.CSS(`input[value="k9"]`)), chromedp.SendKeys(chromedp.CSS("#name"), "Alice's phone"))
	b.click(`form[action="/setup/devices"] button`, "The password for “Alice's phone”")
	made := b.text(".password code")

	login := func(password string) error {
		c, err := imapclient.DialInsecure(s.at(imapPort), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Login(alice, password).Wait()
	}
	if err := login("wrong-" + made); err == nil {
		t.Fatal("a wrong password is right")
	}
	b.live("A device reached us", "Login: failed: the password is wrong")
	for port, words := range map[int]string{imapsPort: "IMAP (reading mail)", pop3sPort: "POP3 (reading mail)", submissionsPort: "SMTP (sending mail)"} {
		if c, err := tls.Dial("tcp", s.at(port), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}); err == nil {
			c.Close()
			t.Error("a client that trusts nobody trusts us")
		}
		b.live("A device at your own address reached us", "by "+words+". Encryption: failed: the device does not trust this server’s certificate")
	}
	if err := login(made); err != nil {
		t.Fatal(err)
	}
	b.live("by IMAP", "Login: ok, with the password of “Alice's phone”")

	b.open(site+"/setup/account", "Alice's phone")
	b.click(`form[action="/setup/devices/revoke"] button`, "There is none yet.")
	if err := login(made); err == nil {
		t.Error("the password works after its end")
	}
	b.click(`form[action="/setup/signout"] button`, "Set up your mail")
	b.open(site+"/setup/account", "With your mail address and the password of your account.")
	b.do(chromedp.SendKeys(chromedp.CSS("#address"), alice), chromedp.SendKeys(chromedp.CSS("#password"), "not this"))
	b.click("main form button", "The address or the password is not right.")
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), password))
	b.click("main form button", "You are signed in as "+alice)
	b.open(link, "This invitation does not work any more")
	b.forgive("403")
	b.forgive("404")
}

// command runs the program on the server's data and returns what it prints.
func (s *server) command(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(binary, append(args, "--data", s.dir)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v: %v %s", args, err, &complaint)
	}
	return string(out)
}

// devices are app passwords that nothing stands behind.
type devices struct{}

func (devices) List(context.Context, string) ([]web.Device, error) {
	return []web.Device{
		{Name: "Laptop", Created: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), Used: time.Now().Add(-4 * time.Minute)},
		{Name: "Alice’s old tablet", Created: time.Date(2025, 11, 12, 9, 0, 0, 0, time.UTC), Used: time.Date(2026, 1, 7, 9, 0, 0, 0, time.UTC)},
	}, nil
}
func (devices) Add(context.Context, string, string) (string, error) {
	return "hvk3m-rt9wc-pf2ne-x6dya", nil
}
func (devices) Revoke(context.Context, string, string) error            { return nil }
func (devices) Find(context.Context, string) (string, error)            { return "alice@example.org", nil }
func (d devices) Use(ctx context.Context, token string) (string, error) { return d.Find(ctx, token) }

// exampleSite is the pages as they are on mail.example.org.
func exampleSite() *web.Server {
	return &web.Server{Hostname: "mail.example.org", Pages: web.Pages{
		Services: []dnsutil.Service{{Name: "submissions", Port: 465}, {Name: "imaps", Port: 993}},
		Ours:     func(_ context.Context, domain string) (bool, error) { return domain == "example.org", nil },
		HTTPS:    "443", Sessions: &web.Sessions{}, Invites: devices{}, Devices: devices{},
		SignIn: func(context.Context, web.SignIn) (string, error) { return "alice@example.org", nil },
		Recent: func(context.Context, string, int) ([]web.Attempt, error) {
			return []web.Attempt{
				{Time: time.Now().Add(-8 * time.Second), Protocol: "IMAP (reading mail)", TLS: "TLS 1.3", Device: "Alice’s iPhone", Remote: "192.0.2.44", Count: 1},
				{Time: time.Now().Add(-42 * time.Second), Protocol: "IMAP (reading mail)", TLS: "TLS 1.3", Problem: "the password is wrong", Remote: "192.0.2.44", Count: 2},
			}, nil
		},
	}}
}

// TestSetupScreens looks at every page at the width of a phone and of a desk: nothing goes
// beyond it. KURIR_UPDATE_SCREENSHOTS=1 takes pictures for docs/phones.
func TestSetupScreens(t *testing.T) {
	t.Parallel()
	h := httptest.NewTLSServer(exampleSite().Public())
	defer h.Close()
	_, port, err := net.SplitHostPort(h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, "MAP mail.example.org:443 127.0.0.1:"+port)
	const site = "https://mail.example.org"
	address := "&address=" + url.QueryEscape("alice@example.org")
	b.look("setup", "390 1280", func() { b.open(site+"/setup", "Set up your mail") })
	for _, app := range web.Apps() {
		widths := "1280"
		if app.Phone {
			widths = "390"
		}
		b.look(app.Key, widths, func() { b.open(site+"/setup?app="+app.Key+address, app.Name, "alice@example.org") })
	}
	b.look("a wrong address", "", func() {
		b.open(site+"/setup?app=k9&address="+strings.Repeat("long.", 40)+"@example.net", "There is no mail for")
	})
	b.look("a long address", "", func() {
		b.open(site+"/setup?app=other&address="+strings.Repeat("x", 200)+"@example.org", "Another app")
	})
	b.forgive("400")
	b.look("signin", "", func() { b.open(site+"/setup/signin", "Sign in") })
	b.look("invitation", "", func() { b.open(site+"/setup/i/ABC", "Welcome") })
	b.click("main form button", "Your devices")
	b.look("account", "390 1280", func() { b.open(site+"/setup/account", "Laptop"); b.live("Login: ok") })
	b.look("password", "390 1280", func() {
		b.open(site+"/setup/account", "Laptop")
		b.do(chromedp.Click(chromedp.CSS(`input[value="iphone"]`)), chromedp.SetValue(chromedp.CSS("#name"), "Alice’s iPhone"))
		b.click(`form[action="/setup/devices"] button`, "The password for “Alice’s iPhone”")
	})
}

// look has a page shown at all widths, and pictures of it taken at some of them if wanted.
func (b *browser) look(name, widths string, show func()) {
	b.t.Helper()
	for _, width := range []int64{360, 390, 1280} {
		b.width(width)
		show()
		if b.width(width) {
			b.t.Errorf("%s goes beyond %d pixels", name, width)
		}
		if !strings.Contains(widths, fmt.Sprint(width)) || os.Getenv("KURIR_UPDATE_SCREENSHOTS") == "" {
			continue
		}
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "phones", "pictures", fmt.Sprintf("%s-%d.png", name, width))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path, smaller(b.t, picture), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// smaller makes a picture of at most 64 colours out of one: those that it has most of.
func smaller(t *testing.T, picture []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA {
		c := color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)
		coarse := func(v uint8) uint8 { return v&^15 | v>>4 }
		return color.RGBA{coarse(c.R), coarse(c.G), coarse(c.B), 255}
	}
	r := from.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var palette color.Palette
	for len(palette) < 64 && len(count) > 0 {
		var best color.RGBA
		for c, n := range count {
			if n > count[best] || n == count[best] && (c.R < best.R || c.R == best.R && c.G < best.G) {
				best = c
			}
		}
		palette = append(palette, best)
		delete(count, best)
	}
	to := image.NewPaletted(r, palette)
	known := map[color.RGBA]uint8{}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := at(x, y)
			i, ok := known[c]
			if !ok {
				i = uint8(palette.Index(c))
				known[c] = i
			}
			to.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
