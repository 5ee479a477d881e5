package store

import (
	"errors"
	"testing"
)

// TestCheckRoom: what the disk's keeper says is ErrDiskFull, with its words.
func TestCheckRoom(t *testing.T) {
	little := errors.New("little is left")
	s := &Store{o: Options{Room: func(add int64) error {
		if add > 10 {
			return little
		}
		return nil
	}}}
	if err := s.CheckRoom(10); err != nil {
		t.Error(err)
	}
	if err := s.CheckRoom(11); !errors.Is(err, ErrDiskFull) || !errors.Is(err, little) {
		t.Error(err)
	}
	if err := new(Store).CheckRoom(1 << 62); err != nil {
		t.Error(err)
	}
}
