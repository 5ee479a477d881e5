package suppression

import "testing"

// A bound that changes holds for the addresses that are known, too.
func TestSetKeep(t *testing.T) {
	c := newClock()
	l, _ := testList(t, c, Options{Keep: 30 * day})
	for range 2 {
		l.Returned(t.Context(), gone("bob@example.net"))
		c.now = c.now.Add(day)
	}
	c.now = c.now.Add(5 * day)
	if _, is := l.Refuses("bob@example.net"); !is {
		t.Fatal("not refused")
	}
	l.SetKeep(3 * day)
	if _, is := l.Refuses("bob@example.net"); is {
		t.Error("refused for longer than the new bound")
	}
	l.SetKeep(60 * day)
	if e, is := l.Refuses("bob@example.net"); !is || !e.Expires.Equal(e.Last.Add(60*day)) {
		t.Errorf("%v until %v", is, e.Expires)
	}
	l.SetKeep(0)
	l.Returned(t.Context(), gone("carol@example.net"))
	if _, known := l.find("carol@example.net"); known {
		t.Error("remembered although nothing is to be")
	}
}
