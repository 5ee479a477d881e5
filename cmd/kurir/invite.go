package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"rsc.io/qr"

	"kurir/internal/admin"
	"kurir/internal/config"
)

func accountInvite(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "invite ADDRESS",
		Short: "Print a link by which someone sets up phone and mail apps",
		Long: `Print a link by which the owner of an account signs in to the setup pages, without a
password: there are the settings of each mail app, passwords for single devices, and a
line that shows live whether a device connects. The link works once, within seven days;
on a terminal it comes with a QR code for a phone's camera. Whoever has the link can
sign in, so send it as you would a password.`,
		Example: `  kurir account invite alice@example.org
  kurir account invite alice@example.org --json
  kurir account invite alice@example.org --revoke`,
		Args: exactly("ADDRESS"),
	}
	revoke := c.Flags().Bool("revoke", false, "make the account's links of before stop working, and print none")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			if *revoke {
				r, err := o.RevokeInvites(ctx, args[0])
				switch {
				case err != nil:
					return err
				case *asJSON:
					return e.printJSON(r)
				}
				e.printf("%s of %s stopped working.\n", count(r.Revoked, "invitation"), plain(args[0]))
				return nil
			}
			i, err := o.InviteAccount(ctx, args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return e.printJSON(i)
			}
			e.printInvitation(i)
			return nil
		})
	}
	return c
}

// printInvitation prints the link: alone on stdout, so that a script can take it.
func (e *env) printInvitation(i admin.Invited) {
	fmt.Fprintf(e.stderr, "An invitation for %s. It works once, until %s:\n", plain(i.Address), i.Expires.Local().Format("2 January 15:04"))
	e.printf("%s\n", i.URL)
	if f, ok := e.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		e.printf("\n%s", blocks(i.URL))
	}
	if cfg, err := e.settings(); err == nil && len(cfg.Web.HTTPS) == 0 && !isLocal(e.files, cfg.Data) {
		fmt.Fprintf(e.stderr, "[web] https is off: the link works only if a proxy passes %s on to http.address.\n", pagesURL(cfg, false))
	}
}

// pagesURL is where browsers find the public pages, without a path.
func pagesURL(cfg *config.Config, local bool) string {
	if local && len(cfg.HTTP.Address) > 0 {
		return "http://" + cfg.HTTP.Address[0]
	}
	if len(cfg.Web.HTTPS) > 0 {
		if _, port, err := net.SplitHostPort(cfg.Web.HTTPS[0]); err == nil && port != "443" && port != "0" {
			return "https://" + net.JoinHostPort(cfg.Hostname, port)
		}
	}
	return "https://" + cfg.Hostname
}

// blocks is a QR code in half blocks, dark on light whatever the terminal's colours;
// "" if the text is too long for one.
func blocks(text string) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return ""
	}
	const quiet = 2 // modules around it; readers are content with fewer than the four of the standard
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("  \x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			switch up, down := code.Black(x, y), code.Black(x, y+1); {
			case up && down:
				b.WriteRune('█')
			case up:
				b.WriteRune('▀')
			case down:
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}

// inviteHint is said of an account that was just added.
func inviteHint(address string) string {
	return "To set up its phone and mail apps: kurir account invite " + plain(address)
}
