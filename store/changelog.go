package store

import "slices"

// changeLog remembers which messages recent changes touched, so that a session that asks
// often is answered without a look at all messages.
type changeLog struct {
	list  []change
	total int    // UIDs in list
	since ModSeq // the log is complete after this one
}

type change struct {
	modseq ModSeq
	uids   []UID // ascending; added, changed or expunged
}

// maxLogged bounds the UIDs that a log holds.
const maxLogged = 1 << 14

func (l *changeLog) add(cs *changeSet) {
	if cs.fresh {
		*l = changeLog{since: cs.modseq}
		return
	}
	uids := make([]UID, 0, len(cs.put)+len(cs.del))
	for i := range cs.put {
		uids = append(uids, cs.put[i].uid)
	}
	uids = append(uids, cs.del...)
	if len(cs.put) > 0 && len(cs.del) > 0 {
		slices.Sort(uids)
	}
	l.list = append(l.list, change{cs.modseq, uids})
	l.total += len(uids)
	for l.total > maxLogged && len(l.list) > 0 {
		l.total -= len(l.list[0].uids)
		l.since = l.list[0].modseq
		l.list[0].uids = nil
		l.list = l.list[1:]
	}
}

// after lists the UIDs touched after since, ascending; false if the log does not reach
// back that far.
func (l *changeLog) after(since ModSeq) ([]UID, bool) {
	if since < l.since {
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(l.list, since, func(c change, s ModSeq) int {
		if c.modseq <= s {
			return -1
		}
		return 1
	})
	switch rest := l.list[i:]; len(rest) {
	case 0:
		return nil, true
	case 1:
		return rest[0].uids, true
	default:
		var all []UID
		for _, c := range rest {
			all = append(all, c.uids...)
		}
		slices.Sort(all)
		return slices.Compact(all), true
	}
}
