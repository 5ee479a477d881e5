package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxRequest bounds a request's body; an alias with its targets is the largest.
const maxRequest = 1 << 20

// Server answers calls on a control socket.
type Server struct {
	Operations Operations
	Log        *slog.Logger  // nil: slog.Default()
	Grace      time.Duration // how long running calls may still take after the stop; zero means 5 seconds
}

// handler decodes one request, carries it out and returns what to encode, and for a
// change whom it was about.
type handler func(ctx context.Context, o Operations, body *json.Decoder) (answer any, subject string, err error)

// operations is the protocol: each call's name and the method behind it. Send has a form
// of its own (send.go).
func operations() map[string]handler {
	return map[string]handler{
		"domain.add":         act(Operations.AddDomain),
		"domain.alias":       act(Operations.AddDomainAlias),
		"domain.unalias":     act(Operations.RemoveDomainAlias),
		"domain.remove":      act(Operations.RemoveDomain),
		"domain.disable":     act(Operations.DisableDomain),
		"domain.list":        ask(Operations.ListDomains),
		"account.add":        call(Operations.AddAccount),
		"account.bulk":       call(Operations.AddAccounts),
		"account.verifier":   act(Operations.SetVerifier),
		"account.verifiers":  ask(Operations.ListVerifiers),
		"account.list":       ask(Operations.ListAccounts),
		"account.passwd":     act(Operations.SetPassword),
		"account.quota":      act(Operations.SetQuota),
		"account.rename":     act(Operations.RenameAccount),
		"account.disable":    act(Operations.DisableAccount),
		"account.remove":     call(Operations.RemoveAccount),
		"account.app.add":    call(Operations.AddAppPassword),
		"account.app.list":   call(Operations.ListAppPasswords),
		"account.app.revoke": act(Operations.RevokeAppPassword),
		"logins.list":        call(Operations.ListLogins),
		"account.invite":     call(Operations.InviteAccount),
		"account.uninvite":   call(Operations.RevokeInvites),
		"alias.add":          act(Operations.AddAlias),
		"alias.set":          act(Operations.SetAlias),
		"alias.list":         ask(Operations.ListAliases),
		"alias.remove":       act(Operations.RemoveAlias),
		"mailbox.list":       call(Operations.ListMailboxes),
		"mailbox.fsck":       call(Operations.Fsck),
		"dkim.list":          call(Operations.ListDKIM),
		"dkim.records":       call(Operations.DKIMRecords),
		"dkim.rotate":        call(Operations.RotateDKIM),
		"queue.list":         call(Operations.ListQueue),
		"queue.show":         call(Operations.ShowQueue),
		"queue.change":       call(Operations.ChangeQueue),
		"certificate.list":   ask(Operations.ListCertificates),
		"certificate.renew":  call(Operations.RenewCertificates),
		"suppression.list":   ask(Operations.ListSuppressed),
		"suppression.remove": call(Operations.Unsuppress),
		"reload":             ask(Operations.Reload),
		"trace":              call(Operations.Trace),
		"health":             ask(Operations.Health),
		"version":            ask(Operations.Version),
	}
}

// call adapts a method with a request and an answer.
func call[Q, A any](f func(Operations, context.Context, Q) (A, error)) handler {
	return func(ctx context.Context, o Operations, body *json.Decoder) (any, string, error) {
		var q Q
		if err := body.Decode(&q); err != nil {
			return nil, "", &badRequest{err}
		}
		answer, err := f(o, ctx, q)
		return answer, subjectOf(q), err
	}
}

// act adapts a method with a request and no answer.
func act[Q any](f func(Operations, context.Context, Q) error) handler {
	return call(func(o Operations, ctx context.Context, q Q) (struct{}, error) {
		return struct{}{}, f(o, ctx, q)
	})
}

// ask adapts a method with an answer and no request.
func ask[A any](f func(Operations, context.Context) (A, error)) handler {
	return func(ctx context.Context, o Operations, _ *json.Decoder) (any, string, error) {
		answer, err := f(o, ctx)
		return answer, "", err
	}
}

// subjectOf is the domain or address that a request is about, for the log: requests hold
// passwords too.
func subjectOf(q any) string {
	switch q := q.(type) {
	case string:
		return q
	case Domain:
		return q.Name
	case NewAccount:
		return q.Address
	case Password:
		return q.Address
	case Verifier:
		return q.Address
	case []BulkAccount:
		return bulkSubject(q)
	case Quota:
		return q.Address
	case Rename:
		return q.Old + " to " + q.New
	case Disable:
		return q.Address
	case Remove:
		return q.Address
	case NewAppPassword:
		return q.Address + " " + q.Name
	case RevokeAppPassword:
		return q.Address + " " + q.Name
	case Alias:
		return q.Address
	case Fsck:
		return q.Address
	case RotateDKIM:
		return q.String()
	case QueueChange:
		return q.String()
	case RenewCertificates:
		return q.String()
	}
	return ""
}

// badRequest is a call whose body does not fit its operation.
type badRequest struct{ error }

// Serve answers calls on l until ctx is done, lets running calls end within Grace and
// closes l. It returns nil after a stop that was asked for.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	grace := s.Grace
	if grace == 0 {
		grace = 5 * time.Second
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	hs := &http.Server{
		Handler:           s.handler(log),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16<<10 + maxEnvelope,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, done := context.WithTimeout(base, grace)
		defer done()
		if hs.Shutdown(late) != nil {
			cancel()
			hs.Close()
		}
	})()
	err := hs.Serve(l)
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

// handler routes requests to operations.
func (s *Server) handler(log *slog.Logger) http.Handler {
	table := operations()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/send", func(w http.ResponseWriter, r *http.Request) { s.send(w, r, log) })
	mux.HandleFunc("POST /v1/debug", func(w http.ResponseWriter, r *http.Request) { s.debug(w, r, log) })
	mux.HandleFunc("POST /v1/{operation}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("operation")
		h, ok := table[name]
		if !ok {
			reply(w, http.StatusNotFound, wireError{Kind: kindUnknownOperation, Error: "unknown operation " + name})
			return
		}
		body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		body.DisallowUnknownFields()
		answer, subject, err := h(r.Context(), s.Operations, body)
		if err != nil {
			s.refuse(w, r, log, name, err)
			return
		}
		if subject != "" && !strings.HasSuffix(name, ".list") && !strings.HasSuffix(name, ".show") {
			log.Info("control socket: done", "operation", name, "subject", subject)
		}
		reply(w, http.StatusOK, answer)
	})
	return mux
}

// refuse answers with the error of an operation.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, name string, err error) {
	status, e := toWire(err)
	if status >= 500 && r.Context().Err() == nil {
		log.Error("control socket: operation failed", "operation", name, "error", err)
	}
	reply(w, status, e)
}

// reply sends v as JSON. A peer that went away is of no interest here.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
