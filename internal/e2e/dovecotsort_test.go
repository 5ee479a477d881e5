package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDovecotSort compares how kurir and a Dovecot sort messages, and which threads they see.
func TestDovecotSort(t *testing.T) {
	t.Parallel()
	messages := append(slices.Clone(sortMessages), threadMessages(300)...)
	b := besideDovecot(t, messages)
	for _, key := range []string{"SUBJECT", "REVERSE SUBJECT", "DATE", "REVERSE DATE", "ARRIVAL", "REVERSE ARRIVAL", "SIZE", "REVERSE SIZE", "FROM", "TO", "CC", "REVERSE CC",
		"DISPLAYFROM", "DISPLAYTO", "SUBJECT REVERSE DATE", "FROM SUBJECT SIZE"} {
		command := "SORT (" + key + ") UTF-8 ALL"
		kurir, dovecot := numbers(b.kurir.must("%s", command).all("SORT")), numbers(b.dovecot.must("%s", command).all("SORT"))
		if i := firstDifference(kurir, dovecot); i >= 0 {
			t.Errorf("%s differs from place %d of %d on:\n  kurir %s\nDovecot %s", command, i, len(kurir), near(kurir, i, messages), near(dovecot, i, messages))
		}
	}
	for _, algorithm := range []string{"REFERENCES", "ORDEREDSUBJECT"} {
		for _, keys := range []string{"ALL", "1:40", "SUBJECT Re", "NOT 2:20"} {
			command := fmt.Sprintf("THREAD %s UTF-8 %s", algorithm, keys)
			kurir, dovecot := threads(b.kurir, command), threads(b.dovecot, command)
			if i := firstDifference(kurir, dovecot); i >= 0 {
				t.Errorf("%s differs in thread %d of %d:\n  kurir %s\nDovecot %s", command, i, len(kurir), clip(strings.Join(kurir[i:], "")), clip(strings.Join(dovecot[i:], "")))
			}
		}
	}
}

// threads are the threads that a server answers with, each as it was written. Between them
// there is no space, unlike in any other response.
func threads(c *rawIMAP, command string) (all []string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.w, "thread %s\r\n", command); err != nil {
		c.t.Fatal(err)
	}
	for {
		line, err := c.line()
		if err != nil || strings.HasPrefix(line, "thread ") {
			if err != nil || !strings.HasPrefix(line, "thread OK") {
				c.t.Fatalf("%s says %q to %s: %v", c.name, line, command, err)
			}
			return all
		}
		depth := 0
		for _, r := range strings.TrimPrefix(strings.TrimPrefix(line, "* THREAD"), " ") {
			if depth == 0 {
				all = append(all, "")
			}
			all[len(all)-1] += string(r)
			depth += map[rune]int{'(': 1, ')': -1}[r]
		}
	}
}

func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// near shows what stands at a place.
func near(seqs []string, i int, messages []string) string {
	if i >= len(seqs) {
		return "nothing"
	}
	n, _ := strconv.Atoi(seqs[i])
	return clip(fmt.Sprintf("%d: %q", n, messages[n-1]))
}

// sortMessages have what base subjects, addresses and dates may look like.
var sortMessages = []string{
	"Subject: Re: b\nFrom: Zoe <alpha@x.example>\nTo: b@x.example, a@x.example\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\nx\n",
	"Subject: [list] a\nFrom: \"anna\" <Beta@x.example>\nTo: Group: z@x.example;\nDate: Tue, 2 Jan 2024 10:30:00 +0100\n\nx\n",
	"Subject: B (fwd)\nFrom: gamma@x.example\nCc: c@x.example\nDate: Mon, 1 Jan 2024 23:00:00 -0800\n\nlonger\n",
	"From: =?utf-8?q?=C3=84nne?= <delta@x.example>\nDate: never\n\nx\n",
	"Subject: [fwd: re: c]\nFrom: (comment) epsilon@x.example\nTo: undisclosed recipients:;\n\nx\n",
	"Subject: Re[2]: [x] fwd:\t =?utf-8?q?=C3=A9?=  end (fwd)\nFrom: <>\nCc: Some One <s@x.example>\nDate: 1 Jan 70 00:01 GMT\n\nx\n",
	"Subject: [only]\nFrom:\nTo:\nDate: Fri, 31 Dec 1999 23:59:59 +0000\n\nx\n",
	"Subject: =?utf-8?b?w6lhYmM=?=\nFrom: \"quoted local\"@x.example\nDate: Sun, 29 Feb 2032 10:00:00 +0000\n\nx\n",
	"Subject: Re: \nFrom: e@x.example, first@x.example\n\nx\n",
	"Subject: z (x) (fwd) (fwd)\nFrom: joe\nTo: \"b, c\" <q@x.example>\n\nx\n",
}

// threadMessages refer to each other, and to some that are not there, in many ways.
func threadMessages(n int) (all []string) {
	for i := range n {
		var refs []string
		for k, p := 0, i; k < i%4 && p > 0; k++ {
			p = p * (3 + i%5) / (4 + i%5) % max(i, 1)
			refs = append([]string{fmt.Sprintf("<m%d@x.example>", p)}, refs...)
		}
		if i%11 == 3 {
			refs = append(refs, fmt.Sprintf("<missing%d@x.example>", i%7))
		}
		field := []string{"References: ", "References: ", "In-Reply-To: "}[i%3]
		subject := fmt.Sprintf("%ssubject %d", []string{"", "Re: ", "", "Fwd: "}[i%4], i%40)
		text := fmt.Sprintf("Subject: %s\nMessage-ID: <m%d@x.example>\nDate: %d Mar 2023 %d:00:00 +0000\n", subject, i, 1+i*7%28, i%24)
		if i%17 == 5 { // the id of the one before once more
			text = strings.Replace(text, fmt.Sprintf("<m%d@", i), fmt.Sprintf("<m%d@", i-1), 1)
		}
		if i%19 == 4 {
			text = strings.Replace(text, "Message-ID", "X-No-ID", 1)
		}
		if len(refs) > 0 {
			text += field + strings.Join(refs, " ") + "\n"
		}
		all = append(all, text+"\nx\n")
	}
	return all
}
