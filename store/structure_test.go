package store

import "testing"

// The structures that wait for the index are bounded in bytes, not only in number.
func TestStructuresWaitBounded(t *testing.T) {
	m, _ := searchBox(t)
	ix := m.a.index()
	for uid := UID(1); uid <= 20; uid++ {
		if err := ix.keepStructure(structureKey{m.key, uid}, make([]byte, 300<<10)); err != nil {
			t.Fatal(err)
		}
		if n := len(ix.structures.todo); n*300<<10 > structureBytes {
			t.Fatalf("%d structures of 300 KiB wait", n)
		}
	}
	if data, err := ix.structure(structureKey{m.key, 1}); err != nil || len(data) != 300<<10 {
		t.Error("the first is not in the index:", len(data), err)
	}
}
