package maildir

import (
	"strconv"
	"strings"
	"sync"
)

// Packed is a base of kurir's own form, sec.M<us>P<pid>Q<seq>.<host>, in 20 bytes.
type Packed struct {
	Sec   uint32
	Micro uint32
	Pid   uint32
	Seq   uint32
	Host  uint16 // index in a HostTable
}

// HostTable numbers the hosts of packed bases. The zero value is empty and ready; its
// methods may be called from any goroutine. It holds at most 65,536 hosts.
type HostTable struct {
	mu    sync.RWMutex
	hosts []string
	index map[string]uint16
}

func (t *HostTable) put(host string) (uint16, bool) {
	t.mu.RLock()
	i, ok := t.index[host]
	t.mu.RUnlock()
	if ok {
		return i, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.index[host]; ok {
		return i, true
	}
	if len(t.hosts) > 1<<16-1 {
		return 0, false
	}
	if t.index == nil {
		t.index = make(map[string]uint16)
	}
	i = uint16(len(t.hosts))
	host = strings.Clone(host)
	t.hosts = append(t.hosts, host)
	t.index[host] = i
	return i, true
}

func (t *HostTable) get(i uint16) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if int(i) >= len(t.hosts) {
		return ""
	}
	return t.hosts[i]
}

// Pack packs a base. It succeeds only for bases that Unpack gives back byte for byte:
// others (of other programs, with leading zeros, out of range) have to be kept as text.
func Pack(base string, hosts *HostTable) (Packed, bool) {
	var p Packed
	s := base
	if !number(&s, &p.Sec) || !literal(&s, ".M") || !number(&s, &p.Micro) ||
		!literal(&s, "P") || !number(&s, &p.Pid) || !literal(&s, "Q") ||
		!number(&s, &p.Seq) || !literal(&s, ".") || s == "" || len(s) > maxHost {
		return Packed{}, false
	}
	var ok bool
	p.Host, ok = hosts.put(s)
	return p, ok
}

// Unpack gives the base that was packed with the same table.
func (p Packed) Unpack(hosts *HostTable) string {
	return string(p.AppendTo(make([]byte, 0, 80), hosts))
}

// AppendTo appends the base that was packed with the same table.
func (p Packed) AppendTo(b []byte, hosts *HostTable) []byte {
	b = strconv.AppendUint(b, uint64(p.Sec), 10)
	b = strconv.AppendUint(append(b, ".M"...), uint64(p.Micro), 10)
	b = strconv.AppendUint(append(b, 'P'), uint64(p.Pid), 10)
	b = strconv.AppendUint(append(b, 'Q'), uint64(p.Seq), 10)
	return append(append(b, '.'), hosts.get(p.Host)...)
}

// number takes a canonical decimal number of 32 bits off the front of s.
func number(s *string, v *uint32) bool {
	i := 0
	for i < len(*s) && (*s)[i]-'0' <= 9 {
		i++
	}
	n, ok := parseDecimal((*s)[:i], 1<<32-1)
	*v, *s = uint32(n), (*s)[i:]
	return ok
}

// literal takes a fixed text off the front of s.
func literal(s *string, text string) bool {
	rest, ok := strings.CutPrefix(*s, text)
	*s = rest
	return ok
}
