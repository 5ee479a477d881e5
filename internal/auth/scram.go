package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"

	"kurir/internal/directory"
)

// SCRAM (RFC 5802, RFC 7677) proves that a client knows an app password without sending it,
// and that the server knows it too. Before the client says anything of the password it is
// told salt and iterations, so all app passwords of an account have the same, and a name
// that has none is told some that look like it. A conversation of the library knows one
// verifier; it depends on nothing but its messages and the nonce. So the messages
// are gone through again with each of the account's verifiers, until one fits: at once, and
// once more when the session begins, with the verifiers as they are then.

// maxScram bounds a message of a client, in octets.
const maxScram = 4096

// proof is what a client has said in SCRAM: enough to judge it by any verifier.
type proof struct {
	first, final string // the client's messages
	nonce        string // our part
	challenge    string // what we said in between
	binding      scram.ChannelBinding
	signature    string // what the client is told when its password fits
	plus         bool   // binding is required; else it says that one could have been
}

// conversation is the server's half with one verifier.
func (p *proof) conversation(lookup scram.CredentialLookup) (*scram.ServerConversation, error) {
	server, err := scram.SHA256.NewServer(lookup)
	if err != nil {
		return nil, err
	}
	server = server.WithNonceGenerator(func() string { return p.nonce })
	if p.plus {
		return server.NewConversationWithChannelBindingRequired(p.binding), nil
	}
	return server.NewConversationWithChannelBinding(p.binding), nil
}

// fits reports whether the client knows the password of a verifier, and notes the
// signature then. After ErrSyntax or a *refusal there is no use in trying others.
func (p *proof) fits(v appVerifier) (ok bool, err error) {
	c, err := p.conversation(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: v.salt, Iters: v.iterations}, StoredKey: v.stored, ServerKey: v.server,
		}, nil
	})
	if err != nil {
		return false, err
	}
	challenge, err := c.Step(p.first)
	if err != nil || challenge != p.challenge {
		return false, nil // a verifier with a salt of its own
	}
	answer, err := c.Step(p.final)
	switch {
	case err == nil:
		p.signature = answer
		return true, nil
	case answer == scram.ErrInvalidProof:
		return false, nil
	case answer == scram.ErrChannelBindingsDontMatch:
		return false, &refusal{reason: "the client has another TLS connection than the one that arrived here: somebody may be in between"}
	}
	return false, ErrSyntax
}

// prove finds the app password that a client knows. For nobody there is one verifier to try
// too, that nothing fits.
func (a *Authenticator) prove(at Attempt, acc directory.Account, creds []directory.Credential) (*directory.Credential, error) {
	tried := false
	for i := range creds {
		c := &creds[i]
		if !isAppVerifier(c.Verifier) {
			continue
		}
		v, err := parseAppVerifier(c.Verifier)
		if err != nil {
			a.unusable(acc, c, err)
			continue
		}
		tried = true
		ok, err := at.proof.fits(v)
		switch {
		case err != nil:
			return nil, err
		case !ok:
		case !a.allows(c, at.Protocol):
			return c, otherDoor(c, at.Protocol)
		default:
			return c, nil
		}
	}
	if !tried {
		zero := make([]byte, sha256.Size)
		if _, err := at.proof.fits(appVerifier{a.saltOf(acc, nil, at.Username), zero, zero}); err != nil {
			return nil, err
		}
	}
	return nil, &refusal{reason: "no app password of the account is the one that the client has; with SCRAM, app passwords alone work"}
}

// scramExchange is SCRAM-SHA-256 or SCRAM-SHA-256-PLUS.
type scramExchange struct {
	a     *Authenticator
	ctx   context.Context
	at    Attempt
	login func(Attempt) error
	p     proof
	asked bool // for the first message
	began bool // it has come
}

func (x *scramExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil && !x.asked && !x.began:
		x.asked = true
		return []byte{}, false, nil
	case len(response) > maxScram || !validText(response) || bytes.Contains(response, []byte(",m=")):
		return nil, true, ErrSyntax // m: an extension that must be understood, RFC 5802 section 5.1
	case !x.began:
		x.began = true
		challenge, err := x.begin(string(response))
		return challenge, err != nil, err
	case x.at.proof == nil:
		x.p.final = string(response)
		x.at.proof = &x.p
		// Nobody is told of a success: the session begins with the client's next answer.
		if _, err := x.a.authenticate(x.ctx, x.at, false); err != nil {
			return nil, true, err
		}
		return []byte(x.p.signature), false, nil
	case len(response) > 0: // the answer to our signature is empty
		return nil, true, ErrSyntax
	}
	return nil, true, x.login(x.at)
}

// begin reads the client's first message and answers with nonce, salt and iterations.
func (x *scramExchange) begin(first string) ([]byte, error) {
	flag, _, _ := strings.Cut(first, ",")
	wanted, binds := strings.CutPrefix(flag, "p=")
	if binds != x.p.plus { // RFC 5802 section 6: the mechanism's name says whether it binds
		return nil, ErrSyntax
	}
	x.p.first, x.p.nonce, x.p.binding = first, newNonce(), channelBinding(x.at.TLS, wanted)
	if !x.p.plus {
		// What the client must not believe to be missing, if it was offered.
		x.p.binding = scram.ChannelBinding{}
		if x.a.offersPlus(x.at) {
			x.p.binding = channelBinding(x.at.TLS, "")
		}
	}
	var unavailable error
	c, err := x.p.conversation(func(name string) (scram.StoredCredentials, error) {
		acc, creds, err := x.a.dir.Login(x.ctx, name)
		if err != nil && !unknown(err) {
			unavailable = fmt.Errorf("%w: %w", ErrUnavailable, err)
			return scram.StoredCredentials{}, unavailable
		}
		s := x.a.saltOf(acc, creds, name)
		return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: s.salt, Iters: s.iterations}}, nil
	})
	if err != nil {
		return nil, err
	}
	challenge, err := c.Step(first)
	x.at.Username, x.at.Identity = c.Username(), c.AuthzID()
	switch {
	case unavailable != nil:
		return nil, x.a.refuse(x.ctx, x.at, unavailable)
	case err != nil && challenge == scram.ErrServerDoesSupportChannelBinding:
		return nil, x.a.refuse(x.ctx, x.at, &refusal{reason: "the client was not told that SCRAM-SHA-256-PLUS is offered here: somebody may be in between"})
	case err != nil && challenge == scram.ErrUnsupportedChannelBindingType || err != nil && challenge == scram.ErrChannelBindingNotSupported:
		return nil, x.a.refuse(x.ctx, x.at, &refusal{reason: fmt.Sprintf("the client wants the channel binding %q, which this connection does not have", wanted)})
	case err != nil, x.at.Username == "", len(x.at.Username) > maxField, len(x.at.Identity) > maxField:
		return nil, ErrSyntax
	}
	x.p.challenge = challenge
	return []byte(challenge), nil
}

// newNonce is our part of a nonce, without commas.
func newNonce() string {
	random := make([]byte, 18)
	rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)
}

// channelBinding is what ties an exchange to a TLS connection: of the wanted type, or of
// the one that this version of TLS is best bound by if wanted is empty; none if there is no
// such. tls-exporter (RFC 9266) is for TLS 1.3, and for 1.2 where its extended master secret allows
// it; tls-unique (RFC 5929) for 1.2 alone.
func channelBinding(state *tls.ConnectionState, wanted string) scram.ChannelBinding {
	if state == nil || !state.HandshakeComplete {
		return scram.ChannelBinding{}
	}
	unique := state.Version < tls.VersionTLS13 && len(state.TLSUnique) > 0
	if wanted == string(scram.ChannelBindingTLSUnique) && unique {
		return scram.NewTLSUniqueBinding(state.TLSUnique)
	}
	if b, err := scram.NewTLSExporterBinding(state); err == nil {
		return b
	}
	if unique {
		return scram.NewTLSUniqueBinding(state.TLSUnique)
	}
	return scram.ChannelBinding{}
}

// refuse ends an exchange that comes to no password.
func (a *Authenticator) refuse(ctx context.Context, at Attempt, why error) error {
	at.refused = why
	_, err := a.Authenticate(ctx, at)
	return err
}
