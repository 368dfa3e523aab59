package files_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// What becomes of a file that was written again.
func TestChangedPolicies(t *testing.T) {
	e := newEngine(t)
	for policy, want := range map[string]string{
		"load":   "taken [b.csv c.csv], rows [[3] [4] [5]], bad 0",
		"ignore": "taken [b.csv c.csv], rows [[5]], bad 0",
	} {
		m := mem.New()
		land := func(key, text string) {
			must(t, m.Put(t.Context(), key, strings.NewReader(text), store.PutOptions{}))
		}
		land("a.csv", "a\n1\n")
		land("b.csv", "a\n2\n")
		src := source(t, m, stream("path", "*.csv", "format", "csv", "changed", policy))
		all := connector.Limit{Items: 9, Bytes: 1 << 20}
		seen := position(next(t, src, position(), all).Items...)
		old := seen.Items["b.csv"].SHA256
		land("b.csv", "a\n3\n4\n")
		land("c.csv", "a\n5\n")
		page := next(t, src, seen, all)
		got := read(t, e, page)
		if answer := fmt.Sprintf("taken %v, rows %v, bad %d", keys(page), got.rows, len(got.bad)+len(got.rejects)); answer != want {
			t.Errorf("%s: %s, want %s", policy, answer, want)
		}
		for _, it := range page.Items {
			seen.Items[it.Key] = it
		}
		if left, err := src.Pending(t.Context(), "s", seen); err != nil || left.Items != 0 || seen.Items["b.csv"].SHA256 == old {
			t.Errorf("%s: afterwards %+v are pending, %v", policy, left, err)
		}
	}
}

// With fail the files before the one that changed are taken, then the stream stops, and says what to do.
func TestChangedFails(t *testing.T) {
	m := mem.New()
	land := func(key, text string) {
		must(t, m.Put(t.Context(), key, strings.NewReader(text), store.PutOptions{}))
	}
	land("b.csv", "a\n2\n")
	src := source(t, m, stream("path", "*.csv", "format", "csv", "changed", "fail"))
	all := connector.Limit{Items: 9, Bytes: 1 << 20}
	first := next(t, src, position(), all)
	seen := position(first.Items...)
	land("b.csv", "a\n2\n") // only touched
	page := next(t, src, seen, all)
	if len(page.Items) != 1 || len(page.Parts) != 0 {
		t.Errorf("touched: %+v", page)
	}
	seen.Items["b.csv"] = page.Items[0]

	land("a.csv", "a\n1\n")
	land("b.csv", "a\n3\n")
	land("c.csv", "a\n4\n")
	if page = next(t, src, seen, all); fmt.Sprint(keys(page)) != "[a.csv]" || !page.More {
		t.Errorf("taken %v, more %v", keys(page), page.More)
	}
	seen.Items["a.csv"] = page.Items[0]
	_, err := src.Next(t.Context(), connector.Request{Stream: "s", Seen: seen, Dir: t.TempDir(), Limit: all})
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != fault.InvalidInput || f.Object != "b.csv" || !strings.Contains(err.Error(), first.Items[0].SHA256) || !strings.Contains(f.Hint, "changed: load") ||
		!strings.Contains(f.Hint, "pipeline.yaml:1:1") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	land("b.csv", "a\n2\n") // put back
	if page = next(t, src, seen, all); fmt.Sprint(keys(page)) != "[b.csv c.csv]" || len(page.Parts) != 1 || len(page.Parts[0].Files) != 1 {
		t.Errorf("put back: taken %v", keys(page))
	}
}

// A file that could not be read is loaded when it is corrected, whatever the policy: nothing of it was taken before.
func TestCorrectedFiles(t *testing.T) {
	e := newEngine(t)
	for _, policy := range []string{"load", "ignore", "fail"} {
		m := mem.New()
		land := func(text string) {
			must(t, m.Put(t.Context(), "a.csv", strings.NewReader(text), store.PutOptions{}))
		}
		whole := gz(t, "a\n1\n")
		src := source(t, m, stream("path", "*.csv", "format", "csv", "changed", policy))
		all := connector.Limit{Items: 9, Bytes: 1 << 20}
		land(whole[:len(whole)-3])
		page := next(t, src, position(), all)
		if len(page.Bad) != 1 || !page.Items[0].Refused {
			t.Errorf("%s: broken: %+v", policy, page)
		}
		seen := position(page.Items...)
		land(whole[:len(whole)-3]) // only touched
		page = next(t, src, seen, all)
		if len(page.Bad) != 0 || !page.Items[0].Refused {
			t.Errorf("%s: touched: %+v", policy, page)
		}
		seen = position(page.Items...)
		land(whole)
		page = next(t, src, seen, all)
		if got := read(t, e, page); fmt.Sprint(got.rows) != "[[1]]" || page.Items[0].Refused {
			t.Errorf("%s: corrected: rows %v, %+v", policy, got.rows, page.Items)
		}
	}
}

// listing is a store in which something happens in the middle of a listing, or at the first reading of a file.
type listing struct {
	store.Store
	at      string
	meet    func()
	opening func(r io.ReadCloser) io.ReadCloser
}

func (l *listing) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range l.Store.List(ctx, prefix, after) {
			if o.Key == l.at && l.meet != nil {
				l.meet()
				l.meet = nil
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (l *listing) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	in, err := l.Store.Open(ctx, key, r)
	if err == nil && l.opening != nil {
		in = l.opening(in)
	}
	return in, err
}

// Files that come while a page is listed are of it, or of a later one; none is lost, also one that sorts before those that were listed.
func TestFilesThatArriveWhileListing(t *testing.T) {
	for _, key := range []string{"a.csv", "c.csv", "e.csv"} {
		m := mem.New()
		land := func(key string) {
			must(t, m.Put(t.Context(), key, strings.NewReader("a\n"+key+"\n"), store.PutOptions{}))
		}
		land("b.csv")
		land("d.csv")
		src := source(t, &listing{Store: m, at: "d.csv", meet: func() { land(key) }}, csvStream())
		seen := position()
		times := map[string]int{}
		for more := true; more; {
			page := next(t, src, seen, connector.Limit{Items: 2, Bytes: 1 << 20})
			more = len(page.Items) > 0
			must(t, page.Verify(t.Context()))
			for _, it := range page.Items {
				seen.Items[it.Key] = it
				times[it.Key]++
			}
		}
		if len(times) != 3 || times["b.csv"] != 1 || times["d.csv"] != 1 || times[key] != 1 {
			t.Errorf("%s: taken %v", key, times)
		}
	}
}

// slowly calls then when the first piece of a file was read.
type slowly struct {
	io.ReadCloser
	then func()
}

func (s *slowly) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), 10)])
	if s.then != nil {
		s.then()
		s.then = nil
	}
	return n, err
}

// A file that grows, shrinks or is replaced while it is read is not taken half: the page fails, or what it read is still there at its end.
func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":   func(p string) error { return appendTo(p, strings.Repeat("9\n", 1000)) },
		"shrinks": func(p string) error { return os.Truncate(p, 8) },
		"empty":   func(p string) error { return os.Truncate(p, 0) },
		"replaced": func(p string) error {
			return os.Rename(filepath.Join(filepath.Dir(p), "_other"), p)
		},
		"overwritten": func(p string) error { return os.WriteFile(p, []byte("a\n"+strings.Repeat("7\n", 100)), 0o644) },
		"removed":     os.Remove,
	} {
		for _, packed := range []bool{false, true} {
			text := "a\n" + strings.Repeat("1\n", 100)
			if packed {
				text = gz(t, text)
			}
			dir := landing(t, "a.csv", text)
			write(t, filepath.Join(dir, "_other"), strings.Repeat("x", len(text)))
			s, err := file.New(dir)
			must(t, err)
			path := filepath.Join(dir, "a.csv")
			later := time.Now().Add(time.Hour) // not within one tick of the file system's clock
			src := source(t, &local{listing{Store: s, opening: func(r io.ReadCloser) io.ReadCloser {
				return &slowly{r, func() {
					must(t, change(path))
					_ = os.Chtimes(path, later, later)
				}}
			}}, s}, csvStream())
			page, err := src.Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir()})
			if err == nil {
				err = page.Verify(t.Context())
			}
			if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
				t.Errorf("%s (gzip %v): %v", name, packed, err)
			}
		}
	}
}

// local is a listing over a store of this machine.
type local struct {
	listing
	store.Local
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// A window of a cursor column is nothing that files have.
func TestNoWindows(t *testing.T) {
	_, err := source(t, mem.New(), csvStream()).Next(t.Context(), connector.Request{Stream: "s", Window: &connector.Window{From: "a", To: "b"}})
	if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
		t.Error(err)
	}
}
