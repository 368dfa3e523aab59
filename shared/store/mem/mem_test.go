package mem_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return mem.New() })
}

func TestModTimeIsGivenIn(t *testing.T) {
	s := mem.New()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.Now = func() time.Time { return at }
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Stat(t.Context(), "k"); err != nil || !o.ModTime.Equal(at) {
		t.Errorf("Stat = %+v, %v", o, err)
	}
}

// Object storage has no folders: a key may also be another one's prefix.
func TestKeyAndFolder(t *testing.T) {
	s := mem.New()
	for _, k := range []string{"a", "a/b"} {
		if err := s.Put(t.Context(), k, strings.NewReader(k), store.PutOptions{IfAbsent: true}); err != nil {
			t.Error(err)
		}
	}
}
