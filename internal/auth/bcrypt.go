package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Passwords that come from another server may be kept by bcrypt; new ones never are.

// bcryptForm is a hash of bcrypt: its version, its cost, salt and key.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// maxBcryptCost bounds what a login may cost: about a second.
const maxBcryptCost = 14

// parseBcrypt reads a hash of bcrypt.
func parseBcrypt(s string) (v verifier, err error) {
	m := bcryptForm.FindStringSubmatch(s)
	if m == nil {
		return v, errors.New("the hash of bcrypt is malformed")
	}
	if cost, _ := strconv.Atoi(m[1]); cost < bcrypt.MinCost || cost > maxBcryptCost {
		return v, fmt.Errorf("the cost %d of the hash of bcrypt is not within %d and %d", cost, bcrypt.MinCost, maxBcryptCost)
	}
	return verifier{bcrypt: s}, nil
}

// ReadVerifier gives the verifier that a password hash from elsewhere is: argon2id in PHC
// form or bcrypt, each also with the scheme in front that Dovecot writes
// ("{ARGON2ID}$argon2id$…", "{BLF-CRYPT}$2y$…"). The error is ErrPassword, and says what is
// wrong, never the hash.
func ReadVerifier(hash string) (string, error) {
	s := strings.TrimSpace(hash)
	scheme := ""
	if strings.HasPrefix(s, "{") {
		if end := strings.IndexByte(s, '}'); end > 0 {
			scheme, s = strings.ToUpper(s[1:end]), s[end+1:]
		}
	}
	switch scheme {
	case "", "ARGON2ID", "BLF-CRYPT", "CRYPT":
	default:
		if len(scheme) > 20 {
			scheme = scheme[:20]
		}
		return "", fmt.Errorf("%w: hashes of the scheme {%s} cannot be checked here, those of argon2id and bcrypt can", ErrPassword, scheme)
	}
	v, err := parseVerifier(s)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPassword, describeHash(s, err))
	}
	return v.String(), nil
}

// Matches tells whether a password is the one that a verifier stands for. It costs as much
// as a login. Of a verifier that cannot be read it is false.
func Matches(verifier, password string) bool {
	v, err := parseVerifier(verifier)
	return err == nil && v.matches(prepared(password), argon2id)
}

// describeHash says what a hash is that cannot be checked here.
func describeHash(s string, err error) error {
	for prefix, name := range map[string]string{
		"$1$": "MD5-crypt", "$5$": "SHA256-crypt", "$6$": "SHA512-crypt", "$y$": "yescrypt", "$7$": "scrypt",
		"$argon2i$": "argon2i", "$argon2d$": "argon2d",
	} {
		if strings.HasPrefix(s, prefix) {
			return fmt.Errorf("a hash of %s cannot be checked here, those of argon2id and bcrypt can: give the password, or have a new one made", name)
		}
	}
	if !strings.HasPrefix(s, "$") {
		return errors.New("this is no hash of argon2id ($argon2id$…) or bcrypt ($2y$…)")
	}
	return err
}
