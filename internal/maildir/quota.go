package maildir

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// QuotaFile is the name of the Maildir++ quota file.
const QuotaFile = "maildirsize"

// A maildirsize file of this many bytes or more is to be recomputed (Maildir++ specification).
const maxQuotaFile = 5120

// quotaAge is how old a maildirsize file that says "over quota" may be before it is recomputed.
const quotaAge = 15 * time.Minute

// Quota is the content of maildirsize: the limits of its first line ("1000S,10C"; 0 is no
// limit) and the sum of all other lines ("<bytes> <messages>", negative for what was removed).
type Quota struct {
	MaxBytes, MaxCount int64
	Bytes, Count       int64
	Lines              int // lines after the first
}

// ParseQuota reads a maildirsize file. It fails (ok false: recompute) if a line makes no
// sense, the last line is cut short, or a sum is negative or too large.
func ParseQuota(data []byte) (q Quota, ok bool) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok || !q.limits(string(first)) {
		return Quota{}, false
	}
	for line := range bytes.Lines(rest) {
		f := strings.Fields(string(line))
		if len(f) != 2 || line[len(line)-1] != '\n' {
			return Quota{}, false
		}
		size, err1 := strconv.ParseInt(f[0], 10, 62)
		count, err2 := strconv.ParseInt(f[1], 10, 62)
		q.Bytes, q.Count, q.Lines = q.Bytes+size, q.Count+count, q.Lines+1
		if err1 != nil || err2 != nil || outOfRange(q.Bytes) || outOfRange(q.Count) {
			return Quota{}, false
		}
	}
	return q, q.Bytes >= 0 && q.Count >= 0
}

func outOfRange(v int64) bool { return v >= 1<<62 || v <= -1<<62 }

// limits reads the first line. Limits of kinds that are not known are passed over.
func (q *Quota) limits(line string) bool {
	for part := range strings.SplitSeq(strings.TrimSpace(line), ",") {
		if part == "" {
			continue
		}
		v, ok := parseDecimal(part[:len(part)-1], 1<<62)
		if !ok {
			return false
		}
		switch part[len(part)-1] {
		case 'S':
			q.MaxBytes = int64(v)
		case 'C':
			q.MaxCount = int64(v)
		}
	}
	return true
}

// Format gives the content of a new file: the limits and one line with the sums.
func (q Quota) Format() []byte {
	var limits []string
	if q.MaxBytes > 0 {
		limits = append(limits, strconv.FormatInt(q.MaxBytes, 10)+"S")
	}
	if q.MaxCount > 0 {
		limits = append(limits, strconv.FormatInt(q.MaxCount, 10)+"C")
	}
	return AppendQuota([]byte(strings.Join(limits, ",")+"\n"), q.Bytes, q.Count)
}

// AppendQuota appends one line, to be written with a single call to a file that was opened
// with O_APPEND. Both numbers are negative for messages removed.
func AppendQuota(b []byte, bytes, count int64) []byte {
	b = strconv.AppendInt(b, bytes, 10)
	b = strconv.AppendInt(append(b, ' '), count, 10)
	return append(b, '\n')
}

// Over reports whether more bytes and messages would exceed a limit.
func (q Quota) Over(bytes, count int64) bool {
	return q.MaxBytes > 0 && q.Bytes+bytes > q.MaxBytes || q.MaxCount > 0 && q.Count+count > q.MaxCount
}

// NeedsRecompute reports whether the file, of fileSize bytes and last written age ago, is to
// be made anew from the names of all messages: it is 5120 bytes or longer, or it says over quota
// and is more than 15 minutes old or more than one line long (Maildir++ specification).
func (q Quota) NeedsRecompute(fileSize int64, age time.Duration) bool {
	return fileSize >= maxQuotaFile || q.Over(0, 0) && (q.Lines > 1 || age > quotaAge)
}
