package message

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// ThreadID returns the THREADID (RFC 8474 section 5.2) of a message: the same for all
// messages whose first reference, or else the one they reply to, or else whose own
// Message-ID is the same. A message with none of these is a thread of its own, named
// after emailID. The result is "T" and 32 hexadecimal digits.
func ThreadID(env *Envelope, emailID string) string {
	key := ""
	if env != nil {
		for _, id := range []string{env.FirstRef, firstID(env.InReplyTo), firstID(env.MessageID)} {
			if key = id; key != "" {
				break
			}
		}
	}
	if key == "" {
		key = "email " + emailID // no id has a space
	}
	sum := sha256.Sum256([]byte(key))
	return "T" + hex.EncodeToString(sum[:16])
}

// firstID returns the first message id in s without brackets and white space, "" if
// there is none. An id without brackets counts if nothing better is there.
func firstID(s string) string {
	for rest := s; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		id, more, ok := strings.Cut(after, ">")
		if !ok {
			break
		}
		if id = strings.Join(strings.Fields(id), ""); id != "" {
			return id
		}
		rest = more
	}
	for f := range strings.FieldsSeq(s) {
		if strings.Contains(f, "@") {
			return strings.Trim(f, "<>,")
		}
	}
	return ""
}
