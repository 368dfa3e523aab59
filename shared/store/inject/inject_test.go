package inject_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// Without a plan the wrapper is the store it wraps.
func TestConformance(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return inject.New(inject.Plan{}).Wrap(mem.New()) })
	})
	t.Run("file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			s, err := file.New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return inject.New(inject.Plan{}).Wrap(s)
		})
	})
}

// work writes a, reads it, lists, writes b if absent, deletes a, stats b; it stops at the first error.
func work(ctx context.Context, s store.Store) error {
	if err := s.Put(ctx, "d/a", strings.NewReader("A"), store.PutOptions{}); err != nil {
		return err
	}
	if _, err := store.ReadAll(ctx, s, "d/a", 10); err != nil {
		return err
	}
	for _, err := range s.List(ctx, "d/", "") {
		if err != nil {
			return err
		}
	}
	if err := s.Put(ctx, "d/b", strings.NewReader("B"), store.PutOptions{IfAbsent: true}); err != nil {
		return err
	}
	if err := s.Delete(ctx, "d/a"); err != nil {
		return err
	}
	_, err := s.Stat(ctx, "d/b")
	return err
}

func content(t *testing.T, s store.Store) string {
	var keys []string
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return strings.Join(keys, " ")
}

func TestPlans(t *testing.T) {
	own := errors.New("own")
	writes := func(o inject.Op) bool { return o.Writes() }
	tests := []struct {
		name string
		plan inject.Plan
		err  error  // nil: the work succeeds
		left string // keys afterwards
		log  string
	}{
		{"no plan", inject.Plan{}, nil, "d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b\ndelete d/a\nstat d/b\n"},
		{"fail read", inject.Plan{FailAt: 2, Err: own}, own, "d/a", "put d/a\nopen d/a (fails)\n"},
		{"fail write", inject.Plan{FailAt: 2, Err: own, Counts: writes}, own, "d/a", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (fails)\n"},
		{"crash before write", inject.Plan{CrashAt: 4}, inject.ErrCrashed, "d/a", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (crashes)\n"},
		{"crash after write", inject.Plan{CrashAt: 4, Applied: true}, inject.ErrCrashed, "d/a d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (crashes, applied)\n"},
		{"crash in list", inject.Plan{CrashAt: 3, Applied: true}, inject.ErrCrashed, "d/a", "put d/a\nopen d/a\nlist d/ (crashes)\n"},
		{"crash after delete", inject.Plan{CrashAt: 3, Applied: true, Counts: writes}, inject.ErrCrashed, "d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b\ndelete d/a (crashes, applied)\n"},
		{"timeout", inject.Plan{TimeoutAt: 4}, inject.ErrTimeout, "d/a d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (times out)\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inner, in := mem.New(), inject.New(tt.plan)
			s := in.Wrap(inner)
			if err := work(t.Context(), s); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if got := content(t, inner); got != tt.left {
				t.Errorf("left %q, want %q", got, tt.left)
			}
			if diff := cmp.Diff(tt.log, in.Log()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if !errors.Is(tt.err, inject.ErrCrashed) {
				return
			}
			if err := work(t.Context(), s); !errors.Is(err, inject.ErrCrashed) {
				t.Errorf("after the crash: %v", err)
			}
			if got := content(t, inner); got != tt.left {
				t.Errorf("left %q after the crash, want %q", got, tt.left)
			}
		})
	}
}

func TestTimeoutIsRetryable(t *testing.T) {
	s := inject.New(inject.Plan{TimeoutAt: 1}).Wrap(mem.New())
	o := store.PutOptions{IfAbsent: true}
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), o); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("first Put: %v", err)
	}
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), o); !errors.Is(err, store.ErrExists) {
		t.Errorf("second Put: %v", err)
	}
}

// A reader that was open at the crash gives no more.
func TestCrashStopsReaders(t *testing.T) {
	s := inject.New(inject.Plan{CrashAt: 3}).Wrap(mem.New())
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "k", store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Stat(t.Context(), "k")
	if _, err := io.ReadAll(r); !errors.Is(err, inject.ErrCrashed) {
		t.Errorf("read after the crash: %v", err)
	}
}
