package inject_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestPlansAreCarriedOut(t *testing.T) {
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
		{"fail read", inject.Plan{How: inject.Fail, At: 2, Err: own}, own, "d/a", "put d/a\nopen d/a (fail)\n"},
		{"fail write", inject.Plan{How: inject.Fail, At: 2, Err: own, Counts: writes}, own, "d/a", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (fail)\n"},
		{"crash before write", inject.Plan{How: inject.Crash, At: 4}, inject.ErrCrashed, "d/a", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (crash)\n"},
		{"crash after write", inject.Plan{How: inject.CrashApplied, At: 4}, inject.ErrCrashed, "d/a d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (crash applied)\n"},
		{"crash in list", inject.Plan{How: inject.Crash, At: 3}, inject.ErrCrashed, "d/a", "put d/a\nopen d/a\nlist d/ (crash)\n"},
		{"crash after delete", inject.Plan{How: inject.CrashApplied, At: 3, Counts: writes}, inject.ErrCrashed, "d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b\ndelete d/a (crash applied)\n"},
		{"timeout", inject.Plan{How: inject.TimeOut, At: 4}, inject.ErrTimeout, "d/a d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (time out)\n"},
		{"twice", inject.Plan{How: inject.Twice, At: 4}, store.ErrExists, "d/a d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (twice)\n"},
		{"overwritten twice", inject.Plan{How: inject.Twice, At: 1}, nil, "d/b", "put d/a (twice)\nopen d/a\nlist d/\nput-if-absent d/b\ndelete d/a\nstat d/b\n"},
		{"torn in memory", inject.Plan{How: inject.Tear, At: 4}, inject.ErrCrashed, "d/a", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b (tear)\n"},
		{"a way that does not break the operation", inject.Plan{How: inject.Tear, At: 3}, nil, "d/b", "put d/a\nopen d/a\nlist d/\nput-if-absent d/b\ndelete d/a\nstat d/b\n"},
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
	s := inject.New(inject.Plan{How: inject.TimeOut, At: 1}).Wrap(mem.New())
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
	s := inject.New(inject.Plan{How: inject.Crash, At: 3}).Wrap(mem.New())
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

// Listings and bodies break off, or lie.
func TestReadsThatLie(t *testing.T) {
	inner := mem.New()
	clock := time.Unix(0, 0)
	inner.Now = func() time.Time { clock = clock.Add(time.Second); return clock }
	for _, k := range []string{"a", "c", "d", "b"} {
		if err := inner.Put(t.Context(), k, strings.NewReader("0123456789"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for how, want := range map[inject.How]string{inject.Stale: "a c d", inject.Backwards: "d c b a", inject.Cut: "a b Unavailable"} {
		var got []string
		for o, err := range inject.New(inject.Plan{How: how, At: 1}).Wrap(inner).List(t.Context(), "", "") {
			if err != nil {
				o.Key = string(fault.KindOf(err))
			}
			got = append(got, o.Key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", how, got, want)
		}
	}
	r, err := inject.New(inject.Plan{How: inject.Cut, At: 1}).Wrap(inner).Open(t.Context(), "a", store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); string(b) != "01234" || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("cut: %q, %v", b, err)
	}
}

// A torn write leaves half a body on the disk, which no listing shows.
func TestTornWrite(t *testing.T) {
	root := t.TempDir()
	inner, err := file.New(root)
	if err != nil {
		t.Fatal(err)
	}
	in := inject.New(inject.Plan{How: inject.Tear, At: 1})
	err = in.Wrap(inner).Put(t.Context(), "d/a", strings.NewReader("0123456789"), store.PutOptions{IfAbsent: true})
	if !errors.Is(err, inject.ErrCrashed) || content(t, inner) != "" {
		t.Errorf("left %q, %v", content(t, inner), err)
	}
	names, err := filepath.Glob(filepath.Join(root, "d", store.TempPrefix+"*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if b, err := os.ReadFile(names[0]); string(b) != "01234" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestPlans(t *testing.T) {
	in := inject.New(inject.Plan{})
	if err := work(t.Context(), in.Wrap(mem.New())); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range inject.Plans(in.Ops()) {
		got = append(got, p.String())
	}
	want := "fail at 1, time out at 1, crash at 1, crash applied at 1, tear at 1, twice at 1, " + // put
		"fail at 2, crash at 2, cut at 2, fail at 3, crash at 3, cut at 3, stale at 3, backwards at 3, " + // open, list
		"fail at 4, time out at 4, crash at 4, crash applied at 4, tear at 4, twice at 4, " + // put-if-absent
		"fail at 5, time out at 5, crash at 5, crash applied at 5, twice at 5, fail at 6, crash at 6" // delete, stat
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Error(diff)
	}
}
