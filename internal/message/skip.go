package message

// QuotedEnd is the index of the quotation mark that ends the quoted string which begins at
// s[i]; ok is false, and end past it all, if there is none (RFC 5322 section 3.2.4).
func QuotedEnd(s string, i int) (end int, ok bool) {
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i, i < len(s)
}

// CommentEnd is the index of the bracket that ends the comment which begins at s[i],
// comments in it included; ok is false, and end past it all, if there is none (RFC 5322
// section 3.2.2).
func CommentEnd(s string, i int) (end int, ok bool) {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i, true
			}
		}
	}
	return i, false
}
