package maildir

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxHost is how many bytes of a host name go into a base.
const maxHost = 32

// BaseMaker makes the bases of new messages. Its methods may be called from any goroutine.
type BaseMaker struct {
	now    func() time.Time
	middle string // P<pid>Q
	host   string // .<host>
	seq    atomic.Uint64
}

// NewBaseMaker makes bases for one process. The host name is made safe and cut to 32 bytes;
// now is asked once a base (nil means time.Now).
func NewBaseMaker(host string, pid int, now func() time.Time) *BaseMaker {
	if now == nil {
		now = time.Now
	}
	return &BaseMaker{now: now, middle: "P" + strconv.Itoa(pid) + "Q", host: "." + SafeHost(host)}
}

// Next gives a base that this maker has never given before.
func (m *BaseMaker) Next() string {
	t := m.now()
	b := make([]byte, 0, 80)
	b = strconv.AppendInt(b, max(t.Unix(), 0), 10)
	b = strconv.AppendInt(append(b, ".M"...), int64(t.Nanosecond()/1000), 10)
	b = append(b, m.middle...)
	b = strconv.AppendUint(b, m.seq.Add(1), 10)
	return string(append(b, m.host...))
}

// Seq gives the sequence number of a base that this maker made; false for any other base.
// Later bases have higher numbers.
func (m *BaseMaker) Seq(base string) (uint64, bool) {
	rest, ok := strings.CutSuffix(base, m.host)
	if !ok {
		return 0, false
	}
	i := strings.Index(rest, m.middle)
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[i+len(m.middle):], 10, 64)
	return n, err == nil && n <= m.seq.Load()
}

// SafeHost makes a host name fit for a base: letters, digits, `.`, `-` and `_` stay,
// every other byte becomes a backslash and three octal digits (`/` is \057, `:` is \072),
// and the result is cut to 32 bytes, never inside an escape. An empty name becomes "localhost".
func SafeHost(host string) string {
	b := make([]byte, 0, maxHost)
	for i := 0; i < len(host); i++ {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			if len(b)+1 > maxHost {
				return string(b)
			}
			b = append(b, c)
		default:
			if len(b)+4 > maxHost {
				return string(b)
			}
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		}
	}
	if len(b) == 0 {
		return "localhost"
	}
	return string(b)
}
