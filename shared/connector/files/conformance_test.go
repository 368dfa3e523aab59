package files_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// format writes files of one format.
type format struct {
	settings connector.Settings
	write    func(w io.Writer, rows []record)
	broken   string // a file that is malformed
	breaks   int    // in so many places
}

// record is a row as a test writes it.
type record struct {
	id    string
	extra string // in a column of its own, where it is not ""
	odd   string // JSON, of no simple type, where it is not ""
}

func TestConformanceCSV(t *testing.T) {
	conform(t, format{stream("path", "*.data", "format", "csv"), writeCSV, "id,name\n1\n2\n3\n", 3})
}

func TestConformanceJSONL(t *testing.T) {
	conform(t, format{stream("path", "*.data", "format", "jsonl"), writeJSONL, "1\n2\n3\n", 3})
}

func writeCSV(w io.Writer, rows []record) {
	if rows[0].extra != "" {
		fmt.Fprintln(w, "id,name,extra")
	} else {
		fmt.Fprintln(w, "id,name")
	}
	for _, r := range rows {
		if r.extra != "" {
			fmt.Fprintf(w, "%s,name of %s,%s\n", r.id, r.id, r.extra)
		} else {
			fmt.Fprintf(w, "%s,name of %s\n", r.id, r.id)
		}
	}
}

func writeJSONL(w io.Writer, rows []record) {
	for _, r := range rows {
		fmt.Fprintf(w, `{"id":%q,"name":"name of %s"`, r.id, r.id)
		if r.extra != "" {
			fmt.Fprintf(w, `,"extra":%q`, r.extra)
		}
		if r.odd != "" {
			fmt.Fprintf(w, `,"odd":%s`, r.odd)
		}
		fmt.Fprintln(w, "}")
	}
}

// conform runs the suite on a folder and on a store that is elsewhere.
func conform(t *testing.T, f format) {
	t.Run("folder", func(t *testing.T) {
		connectortest.Run(t, func(t *testing.T) connectortest.Rig {
			s, err := file.New(t.TempDir())
			must(t, err)
			return newRig(f, s)
		})
	})
	t.Run("remote", func(t *testing.T) {
		connectortest.Run(t, func(t *testing.T) connectortest.Rig { return newRig(f, mem.New()) })
	})
}

func newRig(f format, s store.Store) connectortest.Rig {
	g := &gate{Store: s}
	o := &origin{format: f, store: s}
	rig := connectortest.Rig{
		Open:   func(context.Context) (connector.Source, error) { return files.New(g.open(), config(f.settings)) },
		Stream: "s", Limit: connector.Limit{Items: 2}, Batch: fileRows,
		Append:       o.append,
		Bulk:         o.bulk,
		SchemaChange: o.schemaChange,
		Malformed:    o.malformed,
		Slow:         func(testing.TB) func() { return g.shut(hangs) },
		Break:        func(testing.TB) func() { return g.shut(broken) },
		ExpireAuth:   func(testing.TB) func() { return g.shut(refused) },
	}
	if f.settings.Text("format", "") == "jsonl" {
		rig.UnknownType = o.unknownType
	}
	return rig
}

// origin is a folder that files land in.
type origin struct {
	format format
	store  store.Store
	files  int
	rows   int
}

func (o *origin) land(t testing.TB, write func(w io.Writer)) {
	t.Helper()
	o.files++
	temp, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	write(temp)
	must(t, temp.Close())
	must(t, store.PutFile(t.Context(), o.store, fmt.Sprintf("%06d.data", o.files), temp.Name(), store.PutOptions{}))
}

// append lands files of five rows.
func (o *origin) append(t testing.TB, n int) (ids []string) { return o.rowsOf(t, n, 5, record{}) }

// fileRows is how many rows the files of many have.
const fileRows = 50_000

func (o *origin) bulk(t testing.TB, n int) { o.rowsOf(t, n, min(n/5, fileRows), record{}) }

func (o *origin) schemaChange(t testing.TB, n int) ([]string, string) {
	return o.rowsOf(t, n, 10, record{extra: "x"}), "extra"
}

func (o *origin) unknownType(t testing.TB, n int) (map[string]string, string) {
	odd := `{"a": [1.50, {"b":null}]}`
	texts := map[string]string{}
	for _, id := range o.rowsOf(t, n, 10, record{odd: odd}) {
		texts[id] = odd
	}
	return texts, "odd"
}

func (o *origin) rowsOf(t testing.TB, n, each int, like record) (ids []string) {
	t.Helper()
	for len(ids) < n {
		var rows []record
		for range min(each, n-len(ids)) {
			o.rows++
			like.id = fmt.Sprint(o.rows)
			rows, ids = append(rows, like), append(ids, like.id)
		}
		o.land(t, func(w io.Writer) { o.format.write(w, rows) })
	}
	return ids
}

func (o *origin) malformed(t testing.TB, n int) {
	for range n / o.format.breaks {
		o.land(t, func(w io.Writer) { io.Copy(w, strings.NewReader(o.format.broken)) })
	}
}

// gate is a store that can be made to hang or to fail.
type gate struct {
	store.Store
	state atomic.Int32
	gone  chan struct{}
}

const (
	open = iota
	hangs
	broken
	refused
)

func (g *gate) shut(state int32) (restore func()) {
	g.state.Store(state)
	return func() { g.state.Store(open) }
}

// open gives the store as the source sees it: a local one where it is.
func (g *gate) open() store.Store {
	if l, ok := g.Store.(store.Local); ok {
		return struct {
			*gate
			store.Local
		}{g, l}
	}
	return g
}

func (g *gate) pass(ctx context.Context, key string) error {
	switch g.state.Load() {
	case hangs:
		<-ctx.Done()
		return fault.New(fault.Unavailable, "open", key, "%w", ctx.Err())
	case broken:
		return fault.New(fault.Unavailable, "open", key, "connection refused")
	case refused:
		return fault.New(fault.InvalidInput, "open", key, "access denied").WithHint("check the credentials")
	}
	return nil
}

func (g *gate) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if err := g.pass(ctx, key); err != nil {
		return nil, err
	}
	return g.Store.Open(ctx, key, r)
}

func (g *gate) Stat(ctx context.Context, key string) (store.Object, error) {
	if err := g.pass(ctx, key); err != nil {
		return store.Object{}, err
	}
	return g.Store.Stat(ctx, key)
}

func (g *gate) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	if err := g.pass(ctx, prefix); err != nil {
		return func(yield func(store.Object, error) bool) { yield(store.Object{}, err) }
	}
	return g.Store.List(ctx, prefix, after)
}
