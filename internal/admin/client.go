package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"kurir/internal/listen"
)

// maxAnswer bounds what a client reads from a server.
const maxAnswer = 256 << 20

// ErrNoServer is returned by a client's calls if nobody listens on the control socket.
var ErrNoServer = errors.New("no kurir server answers on the control socket")

// Client makes the calls of Operations through a control socket.
type Client struct {
	http *http.Client
	path string
}

// NewClient returns a client of the server on the unix socket at path. It connects with the first call.
func NewClient(path string) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return listen.DialSocket(ctx, path)
		},
		MaxIdleConns: 1,
		// Long enough for the server to look at all recipients of a message.
		ExpectContinueTimeout: time.Minute,
	}
	return &Client{http: &http.Client{Transport: t}, path: path}
}

// Close lets go of the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// post makes one call; q nil sends no body.
func post[A any](ctx context.Context, c *Client, operation string, q any) (answer A, err error) {
	var body io.Reader = http.NoBody
	if q != nil {
		b, err := json.Marshal(q)
		if err != nil {
			return answer, err
		}
		body = bytes.NewReader(b)
	}
	req, err := c.request(ctx, operation, body)
	if err != nil {
		return answer, err
	}
	return answerTo[A](c, operation, req)
}

// request prepares one call.
func (c *Client) request(ctx context.Context, operation string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodPost, "http://kurir/v1/"+operation, body)
}

// answerTo makes the call and reads its answer.
func answerTo[A any](c *Client, operation string, req *http.Request) (answer A, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, c.explain(err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusOK {
		if err := dec.Decode(&answer); err != nil {
			return answer, fmt.Errorf("the server's answer to %s cannot be read: %w", operation, err)
		}
		return answer, nil
	}
	var e wireError
	if dec.Decode(&e) != nil || e.Error == "" {
		return answer, fmt.Errorf("the server answered %s with status %s", operation, resp.Status)
	}
	return answer, fromWire(e)
}

// explain turns an error of the connection into words.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (%s)", ErrNoServer, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the control socket %s may not be used by this user: run the command as the user that runs kurir, or as root: %w", c.path, fs.ErrPermission)
	}
	return err
}

func (c *Client) act(ctx context.Context, operation string, q any) error {
	_, err := post[struct{}](ctx, c, operation, q)
	return err
}

// AddDomain implements Operations.
func (c *Client) AddDomain(ctx context.Context, name string) error {
	return c.act(ctx, "domain.add", name)
}

// AddDomainAlias implements Operations.
func (c *Client) AddDomainAlias(ctx context.Context, d Domain) error {
	return c.act(ctx, "domain.alias", d)
}

// RemoveDomainAlias implements Operations.
func (c *Client) RemoveDomainAlias(ctx context.Context, name string) error {
	return c.act(ctx, "domain.unalias", name)
}

// RemoveDomain implements Operations.
func (c *Client) RemoveDomain(ctx context.Context, name string) error {
	return c.act(ctx, "domain.remove", name)
}

// ListDomains implements Operations.
func (c *Client) ListDomains(ctx context.Context) ([]Domain, error) {
	return post[[]Domain](ctx, c, "domain.list", nil)
}

// AddAccount implements Operations.
func (c *Client) AddAccount(ctx context.Context, a NewAccount) (Added, error) {
	return post[Added](ctx, c, "account.add", a)
}

// ListAccounts implements Operations.
func (c *Client) ListAccounts(ctx context.Context) ([]Account, error) {
	return post[[]Account](ctx, c, "account.list", nil)
}

// SetPassword implements Operations.
func (c *Client) SetPassword(ctx context.Context, p Password) error {
	return c.act(ctx, "account.passwd", p)
}

// SetQuota implements Operations.
func (c *Client) SetQuota(ctx context.Context, q Quota) error {
	return c.act(ctx, "account.quota", q)
}

// RenameAccount implements Operations.
func (c *Client) RenameAccount(ctx context.Context, r Rename) error {
	return c.act(ctx, "account.rename", r)
}

// DisableAccount implements Operations.
func (c *Client) DisableAccount(ctx context.Context, d Disable) error {
	return c.act(ctx, "account.disable", d)
}

// RemoveAccount implements Operations.
func (c *Client) RemoveAccount(ctx context.Context, r Remove) (Removed, error) {
	return post[Removed](ctx, c, "account.remove", r)
}

// AddAlias implements Operations.
func (c *Client) AddAlias(ctx context.Context, a Alias) error {
	return c.act(ctx, "alias.add", a)
}

// ListAliases implements Operations.
func (c *Client) ListAliases(ctx context.Context) ([]Alias, error) {
	return post[[]Alias](ctx, c, "alias.list", nil)
}

// RemoveAlias implements Operations.
func (c *Client) RemoveAlias(ctx context.Context, address string) error {
	return c.act(ctx, "alias.remove", address)
}

// ListMailboxes implements Operations.
func (c *Client) ListMailboxes(ctx context.Context, address string) ([]Mailbox, error) {
	return post[[]Mailbox](ctx, c, "mailbox.list", address)
}

// Fsck implements Operations.
func (c *Client) Fsck(ctx context.Context, f Fsck) (FsckReport, error) {
	return post[FsckReport](ctx, c, "mailbox.fsck", f)
}

// ListQueue implements Operations.
func (c *Client) ListQueue(ctx context.Context, f QueueFilter) ([]QueueEntry, error) {
	return post[[]QueueEntry](ctx, c, "queue.list", f)
}

// ShowQueue implements Operations.
func (c *Client) ShowQueue(ctx context.Context, id string) (QueueDetail, error) {
	return post[QueueDetail](ctx, c, "queue.show", id)
}

// ChangeQueue implements Operations.
func (c *Client) ChangeQueue(ctx context.Context, q QueueChange) (Changed, error) {
	return post[Changed](ctx, c, "queue.change", q)
}

// Health implements Operations.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return post[Health](ctx, c, "health", nil)
}

// Version implements Operations.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return post[Version](ctx, c, "version", nil)
}
