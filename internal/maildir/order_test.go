package maildir

import (
	"slices"
	"testing"
)

// SortBy is Sort of whatever has a name; what has the same name keeps its order.
func TestSortBy(t *testing.T) {
	type file struct{ sub, name string }
	files := []file{{"new", "2.M1P1.h"}, {"cur", "1.M1P1.h"}, {"cur", "2.M1P1.h"}, {"new", "x"}, {"cur", "1.M0P1.h"}, {"new", "1.M1P1.h"}}
	SortBy(files, func(f *file) string { return f.name })
	want := []file{{"cur", "1.M0P1.h"}, {"cur", "1.M1P1.h"}, {"new", "1.M1P1.h"}, {"new", "2.M1P1.h"}, {"cur", "2.M1P1.h"}, {"new", "x"}}
	if !slices.Equal(files, want) {
		t.Errorf("%v, want %v", files, want)
	}
}
