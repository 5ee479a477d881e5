// Command mailprobe is a mail program for tests in which no real one fits, such as in an
// image made from nothing: it sends one message, or waits for one and prints its header.
// Certificates are verified, by the authorities in -ca alone.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// wish is what the command line asks for.
type wish struct {
	server   string // host:port
	name     string // in the certificate
	ca       string // PEM file
	mode     string // "tls", "starttls" or "none"
	user     string
	password string
	from, to string
	subject  string
	wait     time.Duration
}

func main() {
	w := wish{}
	f := flag.NewFlagSet("mailprobe send|read", flag.ExitOnError)
	f.StringVar(&w.server, "server", "", "host:port")
	f.StringVar(&w.name, "name", "", "name in the certificate")
	f.StringVar(&w.ca, "ca", "", "PEM file of the authorities to trust")
	f.StringVar(&w.mode, "mode", "tls", "tls, starttls or none")
	f.StringVar(&w.user, "user", "", "user name; empty: no login")
	f.StringVar(&w.password, "password", "", "its password")
	f.StringVar(&w.from, "from", "", "sender")
	f.StringVar(&w.to, "to", "", "recipient")
	f.StringVar(&w.subject, "subject", "", "subject to send, or to wait for")
	f.DurationVar(&w.wait, "wait", 20*time.Second, "how long read waits for the message, or send for the server")
	do := map[string]func(context.Context, wish) error{"send": send, "read": read}
	if len(os.Args) < 2 || do[os.Args[1]] == nil {
		f.Usage()
		os.Exit(2)
	}
	_ = f.Parse(os.Args[2:]) // it exits
	ctx, cancel := context.WithTimeout(context.Background(), w.wait)
	defer cancel()
	if err := do[os.Args[1]](ctx, w); err != nil {
		fmt.Fprintln(os.Stderr, "mailprobe:", err)
		os.Exit(1)
	}
}

// tls trusts the authorities of -ca for the name of -name.
func (w wish) tls() (*tls.Config, error) {
	pem, err := os.ReadFile(w.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", w.ca)
	}
	return &tls.Config{RootCAs: roots, ServerName: w.name}, nil
}

// dial connects, with TLS from the start if that is the mode.
func (w wish) dial(ctx context.Context) (net.Conn, error) {
	if w.mode != "tls" {
		return new(net.Dialer).DialContext(ctx, "tcp", w.server)
	}
	conf, err := w.tls()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", w.server)
}

// send has the server take one message.
func send(ctx context.Context, w wish) error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, err := smtp.NewClient(conn, w.name)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("client.example.net"); err != nil {
		return err
	}
	if w.mode == "starttls" {
		conf, err := w.tls()
		if err == nil {
			err = c.StartTLS(conf)
		}
		if err != nil {
			return err
		}
	}
	if w.user != "" {
		if err := c.Auth(smtp.PlainAuth("", w.user, w.password, w.name)); err != nil {
			return err
		}
	}
	if err := c.Mail(w.from); err != nil {
		return err
	}
	if err := c.Rcpt(w.to); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(body, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d@client.example.net>\r\n\r\nHello.\r\n",
		w.from, w.to, w.subject, time.Now().Format(time.RFC1123Z), time.Now().UnixNano())
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	return c.Quit()
}

// read logs in to IMAP, waits for a message of the subject in INBOX and prints its header.
func read(ctx context.Context, w wish) error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login(w.user, w.password).Wait(); err != nil {
		return err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	wanted := &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: w.subject}}}
	for {
		found, err := c.Search(wanted, nil).Wait()
		if err != nil {
			return err
		}
		if nums := found.AllSeqNums(); len(nums) > 0 {
			return printHeader(c, nums[0])
		}
		if err := c.Noop().Wait(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no message %q has come to %s", w.subject, w.user)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// printHeader prints the header of a message.
func printHeader(c *imapclient.Client, num uint32) error {
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}
	all, err := c.Fetch(imap.SeqSetNum(num), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return err
	}
	for _, m := range all {
		if _, err := os.Stdout.Write(m.FindBodySection(section)); err != nil {
			return err
		}
	}
	return c.Logout().Wait()
}
