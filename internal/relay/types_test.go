package relay

import "testing"

func TestReplyString(t *testing.T) {
	for want, r := range map[string]Reply{
		"550 5.1.1 no\nsuch user": {Code: 550, Status: "5.1.1", Text: "no\nsuch user"},
		"4.4.1 It is down.":       {Status: "4.4.1", Text: "It is down."},
		"":                        {},
	} {
		if got := r.String(); got != oneLine(want) {
			t.Errorf("%q", got)
		}
	}
	if s := (NotifySuccess | NotifyDelay).String(); s != "SUCCESS,DELAY" {
		t.Error(s)
	}
}

func oneLine(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}
