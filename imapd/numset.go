package imapd

import (
	"slices"
	"sort"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// span is a range of sequence numbers, both ends included.
type span struct{ from, to int }

// messageSet is a sequence-set of RFC 9051 section 9 as the client wrote it: sequence numbers
// or UIDs, and with saved the saved search result as well (RFC 5182).
type messageSet struct {
	ranges []imap.SeqRange // 0 is "*"
	saved  bool
}

// resolve puts last in the place of "*", and gives the ranges in order, without overlap.
func (m messageSet) resolve(last uint32) []imap.SeqRange {
	out := make([]imap.SeqRange, 0, len(m.ranges))
	sorted := true
	for _, r := range m.ranges {
		if r.Start == 0 {
			r.Start = last
		}
		if r.Stop == 0 {
			r.Stop = last
		}
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		sorted = sorted && (len(out) == 0 || out[len(out)-1].Stop < r.Start)
		out = append(out, r)
	}
	if sorted {
		return out
	}
	slices.SortFunc(out, func(a, b imap.SeqRange) int { return int(int64(a.Start) - int64(b.Start)) })
	merged := out[:1]
	for _, r := range out[1:] {
		if top := &merged[len(merged)-1]; r.Start <= top.Stop {
			top.Stop = max(top.Stop, r.Stop)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// seqSpans gives the messages that a set of sequence numbers names. A number beyond the
// last message is an error (RFC 9051 section 6.4.4.4 wants BAD); a range to "*" is not.
func (m messageSet) seqSpans(count int) ([]span, error) {
	for _, r := range m.ranges {
		open := r.Start == 0 || r.Stop == 0
		if !open && max(r.Start, r.Stop) > uint32(count) {
			return nil, badf("No message has that sequence number")
		}
	}
	if count == 0 {
		return nil, nil
	}
	var out []span
	for _, r := range m.resolve(uint32(count)) {
		// n:* with n beyond the last message is the last message
		out = appendSpan(out, min(int(r.Start), count), min(int(r.Stop), count))
	}
	return out, nil
}

// uidSpans gives the messages of uids, which ascend, that a set of UIDs names. UIDs that
// do not exist are left out (RFC 9051 section 6.4.9).
func (m messageSet) uidSpans(uids []store.UID) []span {
	if len(uids) == 0 {
		return nil
	}
	var out []span
	for _, r := range m.resolve(uint32(uids[len(uids)-1])) {
		from := sort.Search(len(uids), func(i int) bool { return uint32(uids[i]) >= r.Start })
		to := sort.Search(len(uids), func(i int) bool { return uint32(uids[i]) > r.Stop })
		out = appendSpan(out, from+1, to)
	}
	return out
}

// unionSpans gives the messages of two lists of spans, each in order.
func unionSpans(a, b []span) []span {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	var out []span
	for len(a) > 0 || len(b) > 0 {
		next := &a
		if len(a) == 0 || len(b) > 0 && b[0].from < a[0].from {
			next = &b
		}
		out = appendSpan(out, (*next)[0].from, (*next)[0].to)
		*next = (*next)[1:]
	}
	return out
}

// listSpans gives the messages of uids that the ascending list names.
func listSpans(uids, list []store.UID) []span {
	var out []span
	i := 0
	for _, u := range list {
		n, ok := slices.BinarySearch(uids[i:], u)
		if i += n; ok {
			out = appendSpan(out, i+1, i+1)
		}
	}
	return out
}

// appendSpan appends from to to, joined with the last span if they touch.
func appendSpan(out []span, from, to int) []span {
	if from > to {
		return out
	}
	if n := len(out); n > 0 && out[n-1].to+1 >= from {
		out[n-1].to = max(out[n-1].to, to)
		return out
	}
	return append(out, span{from, to})
}

// spanUIDs lists the UIDs of spans of sequence numbers.
func spanUIDs(uids []store.UID, spans []span) []store.UID {
	n := 0
	for _, s := range spans {
		n += s.to - s.from + 1
	}
	out := make([]store.UID, 0, n)
	for _, s := range spans {
		out = append(out, uids[s.from-1:s.to]...)
	}
	return out
}

// appendUIDList appends nums as a set in the order given, runs of following numbers as a
// range, so that two parallel lists stay parallel (RFC 4315 section 3, COPYUID).
func appendUIDList[T ~uint32](b []byte, nums []T) []byte {
	for i := 0; i < len(nums); {
		j := i
		for j+1 < len(nums) && nums[j+1] == nums[j]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, uint32(nums[i]))
		if j > i {
			b = append(b, ':')
			b = appendNumber(b, uint32(nums[j]))
		}
		i = j + 1
	}
	return b
}
