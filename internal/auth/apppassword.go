package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// App passwords are made here (GeneratePassword), never chosen, and kept as verifiers of
// SCRAM-SHA-256. With 100 random bits there is nothing to guess, so they take the least
// number of iterations that RFC 7677 allows: each login of a client that sends its
// password costs one PBKDF2 with it.
const (
	scramIterations = 4096
	scramPrefix     = "SCRAM-SHA-256$"
	// maxIterations bounds what one row of the database may cost.
	maxIterations = 1 << 20
)

// appSalt is a salt and a number of iterations: what SCRAM tells a client before it
// knows which app password will be used. All app passwords of an account share one.
type appSalt struct {
	salt       string // octets
	iterations int
}

// appVerifier is a verifier of SCRAM-SHA-256 taken apart, written as RFC 5803 has it:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// with the last three in base64.
type appVerifier struct {
	appSalt
	stored, server []byte
}

// AppSalt is the salt of an account's app passwords while there is none: it depends on
// the server's secret and the address alone, so that an account without app passwords, and
// a name that nobody has, look in SCRAM like any other.
func AppSalt(secret []byte, address string) []byte {
	h := hmac.New(sha256.New, secret)
	writeString(h, "salt of app passwords")
	writeString(h, address)
	return h.Sum(nil)[:saltBytes]
}

// SaltOf is the salt in an app password's verifier, for the next one of the account; ok
// is false for a verifier of another kind.
func SaltOf(verifier string) (salt []byte, ok bool) {
	v, err := parseAppVerifier(verifier)
	if err != nil || v.iterations != scramIterations {
		return nil, false
	}
	return []byte(v.salt), true
}

// HashAppPassword makes the verifier of a password that GeneratePassword made.
func HashAppPassword(password string, salt []byte) (string, error) {
	if canonical, ok := typedApp(password); !ok || canonical != password {
		return "", fmt.Errorf("%w: an app password is made by the server, not chosen", ErrPassword)
	}
	v, err := deriveApp(password, appSalt{string(salt), scramIterations})
	return v.String(), err
}

// deriveApp computes what an app password would be kept as.
func deriveApp(password string, s appSalt) (appVerifier, error) {
	c, err := scram.SHA256.NewClientUnprepped("", password, "") // ASCII: there is nothing to prepare
	if err != nil {
		return appVerifier{}, err
	}
	k, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: s.salt, Iters: s.iterations})
	return appVerifier{s, k.StoredKey, k.ServerKey}, err
}

func (v appVerifier) String() string {
	b64 := base64.StdEncoding
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, v.iterations, b64.EncodeToString([]byte(v.salt)),
		b64.EncodeToString(v.stored), b64.EncodeToString(v.server))
}

// isAppVerifier tells the two kinds of verifiers apart.
func isAppVerifier(s string) bool { return strings.HasPrefix(s, scramPrefix) }

// parseAppVerifier reads a verifier, and refuses costs that would tie down the server.
func parseAppVerifier(s string) (v appVerifier, err error) {
	rest, ok := strings.CutPrefix(s, scramPrefix)
	first, keys, ok2 := strings.Cut(rest, "$")
	count, salt, ok3 := strings.Cut(first, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return v, errors.New("the verifier is not of SCRAM-SHA-256")
	}
	v.iterations, err = strconv.Atoi(count)
	if err != nil || v.iterations < scramIterations || v.iterations > maxIterations || strconv.Itoa(v.iterations) != count {
		return v, fmt.Errorf("the verifier's number of iterations, %q, is out of bounds", count)
	}
	b64 := base64.StdEncoding.Strict()
	octets, err := b64.DecodeString(salt)
	if err != nil || len(octets) < 8 || len(octets) > 64 {
		return v, errors.New("the verifier's salt is malformed")
	}
	v.salt = string(octets)
	var err2 error
	v.stored, err = b64.DecodeString(stored)
	v.server, err2 = b64.DecodeString(server)
	if err != nil || err2 != nil || len(v.stored) != sha256.Size || len(v.server) != sha256.Size {
		return v, errors.New("the verifier's keys are malformed")
	}
	return v, nil
}

// typedApp is a password in the form that GeneratePassword gives, if it can be one: phones
// begin with a capital letter, and people leave out the dashes or type blanks. ok is false
// if it can't.
func typedApp(typed string) (password string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	var b strings.Builder
	n := 0
	for _, r := range strings.ToLower(typed) {
		switch {
		case r == '-' || r == ' ' || r == '\t':
			continue
		case !strings.ContainsRune(appAlphabet, r):
			return "", false
		}
		if n > 0 && n%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
		n++
	}
	return b.String(), n == appLetters
}
