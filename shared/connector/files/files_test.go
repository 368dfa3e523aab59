package files_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, prefix, key string
		batch                string
		ok                   bool
	}{
		{"{batch}/orders/*.csv", "", "b1/orders/x.csv", "b1", true},
		{"{batch}/orders/*.csv", "", "b1/orders/x.csv.gz", "", false},
		{"{batch}/orders/*.csv", "", "b1/orders/deep/x.csv", "", false},
		{"{batch}/orders/*.csv", "", "orders/x.csv", "", false},
		{"{batch}/orders/*.csv", "", "b1/orders/.csv", "", false},
		{"{batch}/orders/*.csv", "", "b1/orders/_x.csv", "", false},
		{"{batch}/orders/*.csv", "", ".b1/orders/x.csv", "", false},
		{"{batch}/orders/*.csv", "", "_b1/orders/x.csv", "", false},
		{"in/2026-?/x*.csv", "in/", "in/2026-1/x.csv", "", true},
		{"in/2026-?/x*.csv", "in/", "in/2026-10/x.csv", "", false},
		{"in/a/x.csv", "in/a/", "in/a/x.csv", "", true},
		{"*.csv", "", "x.csv", "", true},
		{"*.csv", "", "a/x.csv", "", false},
		{"*.csv", "", "X.CSV", "", false},
		{"in/*", "in/", "in/", "", false},
	} {
		p, err := files.PatternOf(tt.pattern)
		must(t, err)
		if batch, ok := p.Match(tt.key); ok != tt.ok || batch != tt.batch || p.Prefix() != tt.prefix {
			t.Errorf("%s on %s: %q, %v, prefix %q", tt.pattern, tt.key, batch, ok, p.Prefix())
		}
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", "**/x", "{batch}/{batch}/x", "x{batch}/y", "[a/x"} {
		if _, err := files.PatternOf(bad); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}

func source(t *testing.T, s store.Store, st connector.Settings) *files.Source {
	t.Helper()
	src, err := files.New(s, config(st))
	must(t, err)
	return src
}

func next(t *testing.T, src *files.Source, seen connector.Position, l connector.Limit) connector.Page {
	t.Helper()
	page, err := src.Next(t.Context(), connector.Request{Stream: "s", Seen: seen, Dir: t.TempDir(), Limit: l})
	must(t, err)
	return page
}

func keys(page connector.Page) (out []string) {
	for _, it := range page.Items {
		out = append(out, it.Key)
	}
	return out
}

// The limits of a page hold, and its pages are all files, each once.
func TestPages(t *testing.T) {
	for _, tt := range []struct {
		limit connector.Limit
		pages string
	}{
		{connector.Limit{Items: 2, Bytes: 1 << 30}, "[[0.csv 1.csv] [2.csv 3.csv] [4.csv]]"},
		{connector.Limit{Items: 5, Bytes: 1 << 30}, "[[0.csv 1.csv 2.csv 3.csv 4.csv]]"},
		{connector.Limit{Items: 9, Bytes: 25}, "[[0.csv 1.csv] [2.csv] [3.csv 4.csv]]"}, // 10, 10, 40, 10, 10 bytes
		{connector.Limit{Items: 9, Bytes: 1}, "[[0.csv] [1.csv] [2.csv] [3.csv] [4.csv]]"},
	} {
		dir := t.TempDir()
		for i := range 5 {
			write(t, filepath.Join(dir, fmt.Sprintf("%d.csv", i)), "a\n"+strings.Repeat("1", map[bool]int{false: 8, true: 38}[i == 2]))
		}
		write(t, filepath.Join(dir, "0.txt"), "not of the stream")
		s, err := file.New(dir)
		must(t, err)
		src := source(t, s, csvStream())
		seen := position()
		var pages [][]string
		for more := true; more; {
			page := next(t, src, seen, tt.limit)
			more = page.More
			pages = append(pages, keys(page))
			for _, it := range page.Items {
				seen.Items[it.Key] = it
			}
		}
		if fmt.Sprint(pages) != tt.pages {
			t.Errorf("%+v: pages %v, want %s", tt.limit, pages, tt.pages)
		}
		if page := next(t, src, seen, tt.limit); len(page.Items) > 0 || page.More {
			t.Errorf("%+v: after the end %v", tt.limit, keys(page))
		}
		if left, err := src.Pending(t.Context(), "s", seen); err != nil || left.Items != 0 {
			t.Errorf("pending after the end: %+v, %v", left, err)
		}
	}
}

func TestTouchedAndChanged(t *testing.T) {
	dir := landing(t, "a.csv", "a\n1\n")
	path := filepath.Join(dir, "a.csv")
	s, err := file.New(dir)
	must(t, err)
	src := source(t, s, csvStream())
	all := connector.Limit{Items: 9, Bytes: 1 << 30}
	first := next(t, src, position(), all)
	seen := position(first.Items...)

	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(path, later, later))
	touched := next(t, src, seen, all)
	if len(touched.Items) != 1 || len(touched.Parts) != 0 || touched.Items[0].SHA256 != first.Items[0].SHA256 || touched.Items[0].ETag == first.Items[0].ETag {
		t.Errorf("touched: %+v", touched)
	}
	seen.Items["a.csv"] = touched.Items[0]
	if page := next(t, src, seen, all); len(page.Items) != 0 {
		t.Errorf("after touching: %v", keys(page))
	}

	write(t, path, "a\n2\n") // of the same size
	must(t, os.Chtimes(path, later.Add(time.Hour), later.Add(time.Hour)))
	if page := next(t, src, seen, all); len(page.Items) != 1 || len(page.Parts) != 1 || page.Parts[0].Files[0].Rows != 1 {
		t.Errorf("changed: %+v", page)
	}
}

func TestVerify(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grown":    func(p string) error { return os.WriteFile(p, []byte("a\n1\n2\n"), 0o644) },
		"replaced": func(p string) error { return os.Rename(filepath.Join(filepath.Dir(p), "_other"), p) },
		"removed":  os.Remove,
	} {
		dir := landing(t, "a.csv", "a\n1\n")
		write(t, filepath.Join(dir, "_other"), "a\n2\n")
		s, err := file.New(dir)
		must(t, err)
		page := next(t, source(t, s, csvStream()), position(), connector.Limit{Items: 9, Bytes: 9})
		must(t, page.Verify(t.Context()))
		must(t, change(filepath.Join(dir, "a.csv")))
		if page.Verify(t.Context()) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// growing is a store whose objects are longer when they are opened than when they were listed.
type growing struct{ store.Store }

func (g growing) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range g.Store.List(ctx, prefix, after) {
			o.Size--
			if !yield(o, err) {
				return
			}
		}
	}
}

func TestChangedBetweenListAndRead(t *testing.T) {
	m := mem.New()
	must(t, m.Put(t.Context(), "a.csv", strings.NewReader("a\n1\n"), store.PutOptions{}))
	_, err := source(t, growing{m}, csvStream()).Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir(), Limit: connector.Limit{Items: 9, Bytes: 9}})
	if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
}

// A store that is not on this machine: files are fetched, the rows are the same.
func TestRemoteStore(t *testing.T) {
	e := newEngine(t)
	m := mem.New()
	for key, text := range map[string]string{"b1/a.csv": "a,b\n1,2\n", "b2/a.csv": "a,b\n3\n4,5\n", "b2/_a.csv": "a,b\n9,9\n"} {
		must(t, m.Put(t.Context(), key, strings.NewReader(text), store.PutOptions{}))
	}
	page := next(t, source(t, m, stream("path", "{batch}/*.csv", "format", "csv")), position(), connector.Limit{Items: 9, Bytes: 99})
	if got := keys(page); !slices.Equal(got, []string{"b1/a.csv", "b2/a.csv"}) || page.Items[1].Batch != "b2" {
		t.Fatalf("items %+v", page.Items)
	}
	got := read(t, e, page)
	if fmt.Sprint(got.rows) != "[[1 2] [4 5]]" || len(got.rejects) != 1 || got.rejects[0].text != "3" {
		t.Errorf("rows %v, rejects %v", got.rows, got.rejects)
	}
	must(t, page.Verify(t.Context()))
	must(t, m.Put(t.Context(), "b1/a.csv", strings.NewReader("a,b\n1,2\n"), store.PutOptions{}))
	if page.Verify(t.Context()) == nil {
		t.Error("an overwritten object is not noticed")
	}
}

func TestStreamsThatMakeNoSense(t *testing.T) {
	for _, st := range []connector.Settings{stream("path", "*.csv", "format", "xml"), stream("path", "a//b", "format", "csv")} {
		if _, err := files.New(mem.New(), config(st)); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%+v: %v", st, err)
		}
	}
	if _, err := source(t, mem.New(), csvStream()).Pending(t.Context(), "other", position()); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("another stream: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	dir := landing(t, "a.csv", "a\n1\n")
	write(t, filepath.Join(dir, "a.jsonl"), strings.Repeat("{\"a\":1}\n", 5000))
	s, err := file.New(dir)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, st := range []connector.Settings{csvStream(), jsonStream()} {
		if _, err := source(t, s, st).Next(ctx, connector.Request{Stream: "s", Dir: t.TempDir(), Limit: connector.Limit{Items: 9, Bytes: 9}}); err == nil {
			t.Errorf("%s: read to the end", st.Text("format", ""))
		}
	}
}

// elsewhere is a store that is not on this machine.
type elsewhere struct{ store.Store }
