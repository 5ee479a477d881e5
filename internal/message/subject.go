package message

import "strings"

// BaseSubject returns the base subject of a subject (RFC 5256 section 2.1): what is left
// without the marks of replies, forwards and lists at its ends, with a single space for
// each run of white space. reply reports whether it had a mark of a reply or a forward
// (section 3, REFERENCES). The subject is one as [DecodeHeader] gives it. The time taken is
// linear in its length.
func BaseSubject(subject string) (base string, reply bool) {
	s := strings.Trim(squeeze(subject), " ") // step 1
	for {
		s, reply = cutTrailers(s, reply) // step 2
		s, reply = cutLeaders(s, reply)  // steps 3 to 5
		if len(s) < len(fwdHeader)+1 || !strings.EqualFold(s[:len(fwdHeader)], fwdHeader) || s[len(s)-1] != ']' {
			return s, reply // step 7
		}
		s, reply = s[len(fwdHeader):len(s)-1], true // step 6
	}
}

const (
	fwdHeader  = "[fwd:" // subj-fwd-hdr
	fwdTrailer = "(fwd)" // of subj-trailer
)

// cutTrailers removes all of subj-trailer.
func cutTrailers(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimRight(s, " ")
		n := len(s) - len(fwdTrailer)
		if n < 0 || !strings.EqualFold(s[n:], fwdTrailer) {
			return s, reply
		}
		s, reply = s[:n], true
	}
}

// cutLeaders removes all of subj-leader, and each subj-blob that does not leave nothing.
// Blobs that stand in front of no mark of a reply are removed in one go, as step 5 would
// remove them one by one.
func cutLeaders(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimLeft(s, " ")
		rest, last := s, s // behind the blobs, and what begins with the last of them
		for {
			n := blob(rest)
			if n == 0 {
				break
			}
			last, rest = rest, rest[n:]
		}
		if n := refwd(rest); n > 0 {
			s, reply = rest[n:], true
			continue
		}
		if rest == "" {
			return last, reply
		}
		return rest, reply
	}
}

// blob is the length of the subj-blob that s begins with, 0 if there is none.
func blob(s string) int {
	if s == "" || s[0] != '[' {
		return 0
	}
	n := strings.IndexAny(s[1:], "[]")
	if n < 0 || s[1+n] == '[' {
		return 0
	}
	n += 2
	for n < len(s) && s[n] == ' ' {
		n++
	}
	return n
}

// refwd is the length of the subj-refwd that s begins with, 0 if there is none.
func refwd(s string) int {
	n := 0
	for _, w := range [...]string{"re", "fwd", "fw"} {
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
			n = len(w)
			break
		}
	}
	if n == 0 {
		return 0
	}
	for n < len(s) && s[n] == ' ' {
		n++
	}
	n += blob(s[n:])
	if n < len(s) && s[n] == ':' {
		return n + 1
	}
	return 0
}
