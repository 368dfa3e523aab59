// Package storetest is the conformance suite of store.Store: what every adapter must pass, whatever it
// stands on. An adapter's own test calls Run.
package storetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Cannot says what a service that a test runs against does not do, for reasons of its own and not of the adapter.
type Cannot struct {
	Keys      []string // odd keys that it refuses or garbles
	LargeRace bool     // its conditional write of an object in parts is not atomic
}

// Run runs the suite. open gives a new, empty store for each test.
func Run(t *testing.T, open func(t *testing.T) store.Store) { RunExcept(t, open, Cannot{}) }

// RunExcept runs the suite without what the service cannot do.
func RunExcept(t *testing.T, open func(t *testing.T) store.Store, cannot Cannot) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"round trip", roundTrip},
		{"not found", notFound},
		{"ranges", ranges},
		{"overwrite", overwrite},
		{"put if absent", putIfAbsent},
		{"put if absent race", race},
		{"large race", func(t *testing.T, s store.Store) { largeRace(t, s, cannot.LargeRace) }},
		{"no partial reads", partialReads},
		{"failing body", failingBody},
		{"list order", listOrder},
		{"list random", listRandom},
		{"list many", listMany},
		{"list stop and errors", listEnds},
		{"odd keys", func(t *testing.T, s store.Store) { oddKeys(t, s, cannot.Keys) }},
		{"bad keys", badKeys},
		{"cancelled", cancelled},
		{"delete", deletes},
		{"put file", putFile},
		{"read all", readAll},
		{"sub", sub},
		{"large object", func(t *testing.T, s store.Store) { Large(t, s, 64<<20) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func put(t *testing.T, s store.Store, key, body string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(body), store.PutOptions{}); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func get(t *testing.T, s store.Store, key string, r store.Range) string {
	t.Helper()
	body, err := s.Open(t.Context(), key, r)
	if err != nil {
		t.Fatalf("Open(%q, %v): %v", key, r, err)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read of %q: %v", key, err)
	}
	if err := body.Close(); err != nil {
		t.Fatalf("Close of %q: %v", key, err)
	}
	return string(b)
}

func list(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("List(%q, %q): %v", prefix, after, err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func wantKeys(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, fault.KindOf(err), want)
	}
}

func roundTrip(t *testing.T, s store.Store) {
	before := time.Now().Add(-time.Minute)
	for _, body := range []string{"", "x", strings.Repeat("0123456789", 10_000)} {
		put(t, s, "a/b/c.txt", body)
		if got := get(t, s, "a/b/c.txt", store.Range{}); got != body {
			t.Errorf("read %d bytes, wrote %d", len(got), len(body))
		}
		o, err := s.Stat(t.Context(), "a/b/c.txt")
		if err != nil {
			t.Fatal(err)
		}
		if o.Key != "a/b/c.txt" || o.Size != int64(len(body)) || o.ETag == "" || o.ModTime.Before(before) {
			t.Errorf("Stat = %+v", o)
		}
		for l, err := range s.List(t.Context(), "", "") {
			if err != nil || l.Key != o.Key || l.Size != o.Size || l.ETag != o.ETag || !l.ModTime.Equal(o.ModTime) {
				t.Errorf("List gives %+v, %v; Stat %+v", l, err, o)
			}
		}
	}
}

func notFound(t *testing.T, s store.Store) {
	put(t, s, "folder/object", "x")
	for _, key := range []string{"none", "folder", "folder/none", "folder/object/below", "fold"} {
		_, err := s.Open(t.Context(), key, store.Range{})
		wantErr(t, "Open "+key, err, store.ErrNotFound)
		_, err = s.Stat(t.Context(), key)
		wantErr(t, "Stat "+key, err, store.ErrNotFound)
	}
}

func ranges(t *testing.T, s store.Store) {
	put(t, s, "k", "0123456789")
	for _, tt := range []struct {
		offset, length int64
		want           string
	}{
		{0, 0, "0123456789"}, {0, 1, "0"}, {3, 4, "3456"}, {3, 0, "3456789"}, {9, 1, "9"},
		{8, 100, "89"}, {10, 0, ""}, {10, 5, ""}, {11, 0, ""}, {1 << 40, 1 << 40, ""},
	} {
		if got := get(t, s, "k", store.Range{Offset: tt.offset, Length: tt.length}); got != tt.want {
			t.Errorf("range %d+%d reads %q, want %q", tt.offset, tt.length, got, tt.want)
		}
	}
	for _, r := range []store.Range{{Offset: -1}, {Length: -1}} {
		_, err := s.Open(t.Context(), "k", r)
		wantKind(t, "negative range", err, fault.InvalidInput)
	}
}

func overwrite(t *testing.T, s store.Store) {
	put(t, s, "k", "one")
	one, _ := s.Stat(t.Context(), "k")
	old, err := s.Open(t.Context(), "k", store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	put(t, s, "k", "two")
	two, _ := s.Stat(t.Context(), "k")
	if one.ETag == two.ETag {
		t.Errorf("the ETag %s is the same after an overwrite", one.ETag)
	}
	if got := get(t, s, "k", store.Range{}); got != "two" {
		t.Errorf("read %q after the overwrite", got)
	}
	if b, err := io.ReadAll(old); err == nil && string(b) != "one" {
		t.Errorf("the reader from before the overwrite gives %q", b)
	}
}

func putIfAbsent(t *testing.T, s store.Store) {
	o := store.PutOptions{IfAbsent: true}
	if err := s.Put(t.Context(), "log/1.json", strings.NewReader("first"), o); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), "log/1.json", strings.NewReader("second"), o)
	wantErr(t, "second Put", err, store.ErrExists)
	if got := get(t, s, "log/1.json", store.Range{}); got != "first" {
		t.Errorf("the loser wrote: %q", got)
	}
	if err := s.Delete(t.Context(), "log/1.json"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "log/1.json", strings.NewReader("third"), o); err != nil {
		t.Errorf("Put after Delete: %v", err)
	}
}

// failingBody: a Put whose body breaks off writes nothing, leaves what was there, and gives the body's error.
func failingBody(t *testing.T, s store.Store) {
	broken := errors.New("line cut")
	body := func(size int64) io.Reader {
		return io.MultiReader(io.LimitReader(repeated('x'), size), errReader{broken})
	}
	for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
		for _, size := range []int64{0, 100_000, 20 << 20} {
			wantErr(t, "Put", s.Put(t.Context(), "new", body(size), o), broken)
		}
	}
	_, err := s.Stat(t.Context(), "new")
	wantErr(t, "Stat after the broken Put", err, store.ErrNotFound)
	put(t, s, "old", "content")
	wantErr(t, "Put", s.Put(t.Context(), "old", body(20<<20), store.PutOptions{}), broken)
	if got := get(t, s, "old", store.Range{}); got != "content" {
		t.Errorf("a broken overwrite left %d bytes", len(got))
	}
	wantKeys(t, "List", list(t, s, "", ""), []string{"old"})
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func deletes(t *testing.T, s store.Store) {
	put(t, s, "a/b", "x")
	put(t, s, "a/bc", "x")
	for range 2 {
		for _, key := range []string{"a/b", "none", "none/below", "a", "a/bc/below"} {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("Delete(%q): %v", key, err)
			}
		}
	}
	wantKeys(t, "List", list(t, s, "", ""), []string{"a/bc"})
}

func cancelled(t *testing.T, s store.Store) {
	put(t, s, "k", "content")
	ctx, cancel := context.WithCancel(t.Context())
	body, err := s.Open(ctx, "k", store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	_, err = body.Read(make([]byte, 4))
	wantErr(t, "Read", err, context.Canceled)
	_, err = s.Open(ctx, "k", store.Range{})
	wantErr(t, "Open", err, context.Canceled)
	_, err = s.Stat(ctx, "k")
	wantErr(t, "Stat", err, context.Canceled)
	wantErr(t, "Put", s.Put(ctx, "new", strings.NewReader("x"), store.PutOptions{}), context.Canceled)
	wantErr(t, "Delete", s.Delete(ctx, "k"), context.Canceled)
	err = nil
	for _, err = range s.List(ctx, "", "") {
	}
	wantErr(t, "List", err, context.Canceled)
	wantKeys(t, "List afterwards", list(t, s, "", ""), []string{"k"})

	// In the middle of a Put.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	midway := io.MultiReader(strings.NewReader("begin"), cancelReader{cancel}, strings.NewReader("end"))
	wantErr(t, "Put cancelled midway", s.Put(ctx, "new", midway, store.PutOptions{}), context.Canceled)
	wantKeys(t, "List at the end", list(t, s, "", ""), []string{"k"})
}

// cancelReader cancels when it is read, and is then at its end.
type cancelReader struct{ cancel context.CancelFunc }

func (c cancelReader) Read([]byte) (int, error) {
	c.cancel()
	return 0, io.EOF
}
