package imapd

import "strings"

// matchPattern reports whether a name matches a pattern of LIST: "*" stands for anything,
// "%" for anything without the separator. INBOX is matched in any case (RFC 3501 section
// 5.1). Its time is at most pattern times name.
func matchPattern(pattern, name string) bool {
	anyCase := 0 // how much of name is in any case
	if name == "INBOX" || strings.HasPrefix(name, "INBOX/") {
		anyCase = len("INBOX")
	}
	at := make([]bool, len(name)+1) // at[i]: the pattern so far matches name[:i]
	at[0] = true
	for i, alive := 0, true; i < len(pattern) && alive; i++ {
		c := pattern[i]
		if c == '*' || c == '%' {
			for j := 1; j <= len(name); j++ {
				at[j] = at[j] || at[j-1] && (c == '*' || name[j-1] != '/')
			}
			continue
		}
		alive = false
		for j := len(name); j > 0; j-- {
			at[j] = at[j-1] && (name[j-1] == c || j <= anyCase && c >= 'a' && name[j-1] == c&^0x20)
			alive = alive || at[j]
		}
		at[0] = false
	}
	return at[len(name)]
}
