package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/secure/precis"
)

// params are the costs of argon2id, RFC 9106.
type params struct {
	memory uint32 // KiB
	time   uint32 // passes
	lanes  uint8
}

// current is OWASP's advice for servers: 19 MiB, two passes, one lane. Each verifier
// says its own, so these can be raised without losing a password.
var current = params{memory: 19456, time: 2, lanes: 1}

const (
	saltBytes = 16
	keyBytes  = 32

	// MaxPassword is the most a password may have, in bytes.
	MaxPassword = 1024
)

// ErrPassword: a password that can't be set, and why.
var ErrPassword = errors.New("unusable password")

// hashFunc derives n bytes from a password.
type hashFunc func(password, salt []byte, p params, n int) []byte

func argon2id(password, salt []byte, p params, n int) []byte {
	return argon2.IDKey(password, salt, p.time, p.memory, p.lanes, uint32(n))
}

// verifier is a PHC string taken apart:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// salt and key in base64 without padding.
type verifier struct {
	params
	salt, key []byte
	bcrypt    string // the whole hash, if it is one of bcrypt; then nothing else is set
}

// HashPassword makes the verifier of a new password, with a fresh salt. The error is
// ErrPassword for one that is empty, too long, or has characters that can't be typed
// (RFC 8265 section 4.2).
func HashPassword(password string) (string, error) {
	if password == "" {
		return "", fmt.Errorf("%w: it is empty", ErrPassword)
	}
	if len(password) > MaxPassword {
		return "", fmt.Errorf("%w: it has more than %d bytes", ErrPassword, MaxPassword)
	}
	p, err := precis.OpaqueString.String(password)
	if err != nil || !utf8.ValidString(password) {
		return "", fmt.Errorf("%w: it has control characters or is no UTF-8", ErrPassword)
	}
	v := verifier{params: current, salt: make([]byte, saltBytes)}
	rand.Read(v.salt)
	v.key = argon2id([]byte(p), v.salt, v.params, keyBytes)
	return v.String(), nil
}

// What passwords made here consist of.
const (
	appAlphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32: no l, o, 0, 1
	appLetters  = 20
)

// GeneratePassword makes a password of 100 random bits in the form
// abcde-fghij-kmnpq-rstuv, without the characters that are easily mistaken.
func GeneratePassword() string {
	random := make([]byte, appLetters)
	rand.Read(random)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(appAlphabet[r%32])
	}
	return b.String()
}

// prepared is a password in the form it was hashed in, so that one typed on another
// system (composed or decomposed letters, odd spaces) is the same. One that could
// never have been set is returned as it is, or cut: it will match nothing.
func prepared(password string) string {
	if len(password) > MaxPassword {
		return password[:MaxPassword] + "\x00"
	}
	for i := range len(password) {
		if password[i] < ' ' || password[i] > '~' {
			if p, err := precis.OpaqueString.String(password); err == nil && utf8.ValidString(password) {
				return p
			}
			return password
		}
	}
	return password
}

func (v verifier) String() string {
	if v.bcrypt != "" {
		return v.bcrypt
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, v.memory, v.time, v.lanes,
		b64.EncodeToString(v.salt), b64.EncodeToString(v.key))
}

func (v verifier) matches(password string, hash hashFunc) bool {
	if v.bcrypt != "" {
		return bcrypt.CompareHashAndPassword([]byte(v.bcrypt), []byte(password)) == nil
	}
	return subtle.ConstantTimeCompare(hash([]byte(password), v.salt, v.params, len(v.key)), v.key) == 1
}

// parseVerifier reads a PHC string, or a hash of bcrypt, and refuses costs that would let one row of the
// database tie down the server: more than 256 MiB, 10 passes or 8 lanes.
func parseVerifier(s string) (v verifier, err error) {
	if strings.HasPrefix(s, "$2") {
		return parseBcrypt(s)
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return v, errors.New("the verifier is not of argon2id, version 19")
	}
	cost := strings.Split(f[3], ",")
	if len(cost) != 3 {
		return v, errors.New("the verifier's costs are not m, t, p")
	}
	var n [3]uint64
	for i, c := range []struct {
		name     string
		min, max uint64
	}{{"m=", 8, 256 << 10}, {"t=", 1, 10}, {"p=", 1, 8}} {
		digits, ok := strings.CutPrefix(cost[i], c.name)
		if n[i], err = strconv.ParseUint(digits, 10, 32); err != nil || !ok || n[i] < c.min || n[i] > c.max {
			return v, fmt.Errorf("the verifier's cost %q is out of bounds", cost[i])
		}
	}
	if n[0] < 8*n[2] {
		return v, errors.New("the verifier has too little memory for its lanes")
	}
	v.params = params{memory: uint32(n[0]), time: uint32(n[1]), lanes: uint8(n[2])}
	var err2 error
	v.salt, err = base64.RawStdEncoding.Strict().DecodeString(f[4])
	v.key, err2 = base64.RawStdEncoding.Strict().DecodeString(f[5])
	if err != nil || err2 != nil || len(v.salt) < 8 || len(v.salt) > 64 || len(v.key) < 16 || len(v.key) > 64 {
		return v, errors.New("the verifier's salt or key is malformed")
	}
	return v, nil
}
