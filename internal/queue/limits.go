package queue

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	hour = 60      // minutes
	day  = 24 * 60 // minutes
)

// limiter knows what each account has sent to other hosts within the last day, by the
// minute. What is held does not count.
type limiter struct {
	mu       sync.Mutex
	loaded   bool
	accounts map[string]*usage
}

// usage is what an account has sent.
type usage struct {
	minutes []bucket // in order of time
	told    int64    // when the administrator heard of it last, in ms since 1970
}

type bucket struct {
	minute               int64 // since 1970
	messages, recipients int
}

// count counts a message towards its account's limits, or finds that it is over them.
func (q *Queue) count(ctx context.Context, a *arrival) error {
	l := &q.limits
	if a.mail.account == "" || q.o().Limits == (Limits{}) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := q.loadUsage(ctx); err != nil {
		return err
	}
	minute := a.mail.created / 60_000
	u := l.of(a.mail.account)
	u.trim(minute)
	if reason := u.over(q.o().Limits, minute, a.remote); reason != "" {
		a.held, a.reason = holdLimit, reason
		return nil
	}
	a.counted, a.minute = a.remote, minute
	u.add(minute, 1, a.remote)
	return nil
}

// giveBack takes back what count has counted.
func (l *limiter) giveBack(a *arrival) {
	if a.counted == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(a.mail.account).add(a.minute, -1, -a.counted)
}

func (l *limiter) of(account string) *usage {
	u := l.accounts[account]
	if u == nil {
		u = &usage{}
		l.accounts[account] = u
	}
	return u
}

func (u *usage) add(minute int64, messages, recipients int) {
	i := len(u.minutes)
	for i > 0 && u.minutes[i-1].minute > minute { // another was quicker
		i--
	}
	if i == 0 || u.minutes[i-1].minute != minute {
		u.minutes = append(u.minutes, bucket{})
		copy(u.minutes[i+1:], u.minutes[i:])
		u.minutes[i] = bucket{minute: minute}
		i++
	}
	b := &u.minutes[i-1]
	b.messages += messages
	b.recipients += recipients
}

// trim forgets what is older than a day. What lies ahead, as the clock was set back, is of
// the present.
func (u *usage) trim(minute int64) {
	ahead := bucket{minute: minute}
	n := len(u.minutes)
	for n > 0 && u.minutes[n-1].minute > minute {
		n--
		ahead.messages += u.minutes[n].messages
		ahead.recipients += u.minutes[n].recipients
	}
	if u.minutes = u.minutes[:n]; ahead.messages > 0 {
		u.add(minute, ahead.messages, ahead.recipients)
	}
	i := 0
	for i < len(u.minutes) && u.minutes[i].minute <= minute-day {
		i++
	}
	u.minutes = u.minutes[i:]
}

// over says which limit one message more to so many recipients would break, "" for none.
func (u *usage) over(l Limits, minute int64, recipients int) string {
	var inHour, inDay bucket
	for _, b := range u.minutes {
		inDay.messages += b.messages
		inDay.recipients += b.recipients
		if b.minute > minute-hour {
			inHour.messages += b.messages
			inHour.recipients += b.recipients
		}
	}
	for _, c := range []struct {
		have, limit int
		what, in    string
	}{
		{inHour.messages + 1, l.MessagesHour, "message", "an hour"},
		{inHour.recipients + recipients, l.RecipientsHour, "recipient", "an hour"},
		{inDay.messages + 1, l.MessagesDay, "message", "a day"},
		{inDay.recipients + recipients, l.RecipientsDay, "recipient", "a day"},
	} {
		if c.limit > 0 && c.have > c.limit {
			return fmt.Sprintf("limit: more than %s %s", count(c.limit, c.what), c.in)
		}
	}
	return ""
}

// loadUsage reads the last day at first use, so that a restart forgets nothing.
func (q *Queue) loadUsage(ctx context.Context) error {
	l := &q.limits
	if l.loaded {
		return nil
	}
	rs, err := q.o().DB.QueryContext(ctx, `SELECT m.account, e.recipient, e.kind, e.at, m.counted
		FROM queue_event e JOIN queue_message m ON m.id = e.message
		WHERE e.at > $1 AND (e.kind = $2 AND m.counted > 0 OR e.kind = $3) ORDER BY e.at`,
		q.now()-day*60_000, EventAccepted, EventLimit)
	if err != nil {
		return err
	}
	defer rs.Close()
	l.accounts = map[string]*usage{}
	for rs.Next() {
		var account, about, kind string
		var at int64
		var counted int
		if err := rs.Scan(&account, &about, &kind, &at, &counted); err != nil {
			return err
		}
		if kind == EventLimit {
			l.of(about).told = at
		} else {
			l.of(account).add(at/60_000, 1, counted)
		}
	}
	l.loaded = rs.Err() == nil
	return rs.Err()
}

// overLimit tells the administrator that an account is over its limits, once a day.
func (q *Queue) overLimit(ctx context.Context, a *arrival) {
	account := a.mail.account
	log := q.o().Log.With("account", account, "id", a.mail.id)
	log.Warn("account is over its limit, its mail is held", "reason", a.reason, "recipients", a.remote)
	now := q.now()
	l := &q.limits
	l.mu.Lock()
	u := l.of(account)
	u.told = min(u.told, now)
	before := u.told
	due := before == 0 || now-before >= day*60_000
	if due {
		u.told = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	if err := q.tellAdmin(ctx, a); err != nil {
		log.Error("the administrator could not be told of an account over its limit", "error", err)
		l.mu.Lock()
		u.told = before
		l.mu.Unlock()
	}
}

// tellAdmin makes the notice about an account over its limits.
func (q *Queue) tellAdmin(ctx context.Context, a *arrival) error {
	to := q.o().Admin
	if to == "" {
		to = "postmaster@" + domainOf(a.mail.account)
	}
	n, err := q.notice(ctx, to, "notice of a limit")
	if err != nil {
		return err
	}
	n.mail.utf8 = !isASCII(to + a.mail.account)
	if err := q.fill(ctx, n, func(w io.Writer) error { return q.limitNotice(w, to, a, n.rows[0].account != "") }); err != nil {
		return err
	}
	err = q.group(ctx, func(c *change) {
		q.write(c, n)
		c.event(&q.sql, n.mail.id, n.mail.created, Event{Recipient: a.mail.account, Kind: EventLimit, Reply: a.reason})
	})
	if err != nil {
		q.forsakeAll(err, n)
		return err
	}
	q.took(n)
	return nil
}

// limitNotice writes the message to the administrator, lines ending in LF.
func (q *Queue) limitNotice(w io.Writer, to string, a *arrival, local bool) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	account := a.mail.account
	b.WriteString(q.heading(to, "Mail of "+account+" is held: over the limit", local))
	p("The account\n\n    %s\n\nwants to send more mail to other servers than it may:\n%s.\n\n", account, strings.TrimPrefix(a.reason, "limit: "))
	p("What goes beyond is held, so that you can look at it. It began with\n\n    a message to %s,\n    %s\n\n", count(a.remote, "recipient"), cmp.Or(a.client, "from this server"))
	p("Mail to addresses on this server goes on.\n\n")
	p("If the account's owner did not send this, somebody else may know the\npassword, or a device that sends as this account does more than it should.\nChange the password first:\n\n    kurir account passwd %s\n\n", account)
	p("See what is held:\n\n    kurir queue list --account %s --held\n\n", account)
	p("Send it after all:\n\n    kurir queue release --account %s\n\n", account)
	p("Remove it without a word to anybody:\n\n    kurir queue drop --account %s --held\n\n", account)
	p("The sender is told after %s that a held message is late, and after %s\nthat it was given up.\n\n", days(q.o().DelayNotice), days(q.o().Expire))
	p("You get this message once a day and account.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// days is a duration in the words of people.
func days(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return count(int(d/time.Minute), "minute")
	}
	return d.String()
}
