package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// db is a database of a test, and the way into it.
type db struct {
	t      testing.TB
	server *servicetest.PostgresServer
	name   string
	url    string
	tries  uint // to connect; 0: as usual
}

func newDB(t testing.TB) *db { return newDBOn(t, servicetest.Postgres(t)) }

func newDBOn(t testing.TB, p *servicetest.PostgresServer) *db {
	t.Helper()
	name := p.Database(t)
	return &db{t: t, server: p, name: name, url: p.URL(name)}
}

func (d *db) sql(statements string) string {
	d.t.Helper()
	return d.server.SQL(d.t, d.name, statements)
}

// slot is the name of the slot of a stream.
func (d *db) slot() string { return "slot_of_" + d.name }

// trySQL runs a statement that may fail.
func (d *db) trySQL(statement string) (rows int64, err error) {
	c, err := pgx.Connect(context.Background(), d.server.URL(d.name))
	if err != nil {
		return 0, err
	}
	defer c.Close(context.Background())
	tag, err := c.Exec(context.Background(), statement)
	return tag.RowsAffected(), err
}

// settings are those of a source or stream.
type settings map[string]string

func (s settings) of() connector.Settings {
	out := connector.Settings{}
	for k, v := range s {
		set := connector.Setting{Text: v, At: "pipeline.yaml:1:1"}
		if k == "columns" || k == "primary_key" {
			set.List = strings.Split(v, ",")
		}
		out[k] = set
	}
	return out
}

// source makes a source with one stream, s.
func (d *db) source(stream settings) *source { return d.sourceWith(nil, stream) }

func (d *db) sourceWith(more, stream settings) *source {
	d.t.Helper()
	all := settings{"url": "env:URL"}
	maps.Copy(all, more)
	if stream = maps.Clone(stream); stream["mode"] == "cdc" && stream["slot"] == "" {
		stream["slot"] = d.slot() // names of slots are the server's, not the database's
	}
	src, err := New(d.t.Context(), connector.Config{Pipeline: "p", Name: "pg", At: "pipeline.yaml:1:1", Settings: all.of(), Streams: map[string]connector.Settings{"s": stream.of()},
		Secret: func(context.Context, string) (string, error) { return d.url, nil }})
	must(d.t, err)
	d.t.Cleanup(func() { src.Close() })
	if d.tries > 0 {
		src.(*source).tries = d.tries
	}
	return src.(*source)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, fault.HintOf(err))
	}
}

// isFault checks an error's kind, and that it and its hint hold some words.
func isFault(t testing.TB, what string, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("%s: %v (%s), want a fault of kind %s", what, err, fault.KindOf(err), kind)
	}
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Errorf("%s: %v is no fault", what, err)
	}
	text := err.Error() + "\n" + fault.HintOf(err)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: no %q in:\n%s", what, w, text)
		}
	}
}

const null = "NULL"

// row is a row's values as text, by column; those that are not there are not in it, NULL is "NULL".
type row map[string]string

func (r row) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r)) {
		out = append(out, k+"="+r[k])
	}
	return strings.Join(out, " ")
}

// rowsOf reads a page's files.
func rowsOf(t testing.TB, page connector.Page) (out []row) {
	t.Helper()
	for _, part := range page.Parts {
		for _, f := range part.Files {
			before := len(out)
			out = append(out, readParquet(t, f.Path, part.Columns)...)
			if int64(len(out)-before) != f.Rows {
				t.Fatalf("%s holds %d rows, the page says %d", f.Path, len(out)-before, f.Rows)
			}
		}
	}
	return out
}

func readParquet(t testing.TB, path string, columns []string) (out []row) {
	t.Helper()
	pf, err := file.OpenParquetFile(path, false)
	must(t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4 << 10}, memory.DefaultAllocator)
	must(t, err)
	rr, err := fr.GetRecordReader(context.Background(), nil, nil)
	must(t, err)
	defer rr.Release()
	for {
		batch, err := rr.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		for i := range int(batch.NumRows()) {
			r := row{}
			for c, name := range columns {
				r[name] = null
				if a := batch.Column(c); a.IsValid(i) {
					r[name] = a.ValueStr(i)
				}
			}
			out = append(out, r)
		}
	}
}

// loader takes a stream in page by page, and keeps the position.
type loader struct {
	t      testing.TB
	src    *source
	seen   connector.Position
	limit  connector.Limit
	rows   []row
	pages  int
	parts  []int // of each page
	silent bool  // nothing is acknowledged
}

func (d *db) loader(stream settings) *loader { return &loader{t: d.t, src: d.source(stream)} }

func (l *loader) next(ctx context.Context) (connector.Page, error) {
	return l.src.Next(ctx, connector.Request{Stream: "s", Seen: l.seen, Dir: l.t.TempDir(), Limit: l.limit})
}

// step takes one page in; false is the end.
func (l *loader) step() bool {
	l.t.Helper()
	page, err := l.next(l.t.Context())
	must(l.t, err)
	return l.take(page)
}

func (l *loader) take(page connector.Page) bool {
	l.t.Helper()
	if page.Empty() {
		return false
	}
	l.rows = append(l.rows, rowsOf(l.t, page)...)
	l.pages++
	l.parts = append(l.parts, len(page.Parts))
	if page.Cursor != nil {
		l.seen = connector.Position{Cursor: page.Cursor}
		if !l.silent {
			must(l.t, l.src.Acknowledge(l.t.Context(), "s", l.seen))
		}
	}
	return true
}

// drain takes all pages in, and gives their rows.
func (l *loader) drain() []row {
	l.t.Helper()
	l.rows = nil
	for l.step() {
	}
	return l.rows
}

func (l *loader) pending() connector.Backlog {
	l.t.Helper()
	b, err := l.src.Pending(l.t.Context(), "s", l.seen)
	must(l.t, err)
	return b
}

// all reads a table whole, as it is now.
func (d *db) all(table string, more settings) []row {
	d.t.Helper()
	s := settings{"table": table, "mode": "full"}
	maps.Copy(s, more)
	l := d.loader(s)
	defer l.src.Close()
	for l.step() {
		var c cursor
		must(d.t, decode(l.seen.Cursor, &c))
		if c.Snapshot.Done {
			break
		}
	}
	return l.rows
}

// own leaves out the columns that tell of changes.
func (r row) own() row {
	out := row{}
	for k, v := range r {
		if !strings.HasPrefix(k, "_") {
			out[k] = v
		}
	}
	return out
}

// sorted gives rows as lines, in order.
func sorted(rows []row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.own().String())
	}
	slices.Sort(out)
	return out
}

func sameRows(t testing.TB, what string, got, want []row) {
	t.Helper()
	a, b := sorted(got), sorted(want)
	if slices.Equal(a, b) {
		return
	}
	n := 0
	for _, x := range a {
		if !slices.Contains(b, x) && n < 5 {
			t.Errorf("%s: not wanted: %s", what, x)
			n++
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) && n < 10 {
			t.Errorf("%s: missing:    %s", what, x)
			n++
		}
	}
	t.Fatalf("%s: %d rows, want %d", what, len(a), len(b))
}

// oracle is a table that changes are applied to, in the order of their sequence.
type oracle struct {
	key  []string
	rows map[string]row
}

func (o *oracle) keyOf(r row) string {
	var out []string
	for _, k := range o.key {
		out = append(out, r[k])
	}
	return strings.Join(out, "\x00")
}

// apply replays changes that may come in any order: it sorts them first. Unchanged values are those of the row that is there.
func apply(t testing.TB, key []string, changes []row) []row {
	t.Helper()
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b row) int { return strings.Compare(a["_seq"], b["_seq"]) })
	o := &oracle{key: key, rows: map[string]row{}}
	for i, c := range changes {
		if i > 0 && c["_seq"] == changes[i-1]["_seq"] && c["_op"] != opRead {
			t.Errorf("two changes with one sequence: %s and %s", changes[i-1], c)
		}
		k := o.keyOf(c)
		switch c["_op"] {
		case opTruncate:
			clear(o.rows)
		case opDelete:
			delete(o.rows, k)
		case opRead, opInsert, opUpdate:
			old := o.rows[k]
			for _, n := range unchangedOf(t, c) {
				if old != nil {
					c[n] = old[n]
				} else {
					c[n] = "UNKNOWN"
				}
			}
			o.rows[k] = c
		default:
			t.Fatalf("operation %q", c["_op"])
		}
	}
	return slices.Collect(maps.Values(o.rows))
}

func unchangedOf(t testing.TB, r row) (out []string) {
	t.Helper()
	if r["_unchanged"] == null {
		return nil
	}
	must(t, decode([]byte(r["_unchanged"]), &out))
	return out
}

func newTestSpool(t testing.TB) *spool.Spool { return spool.New(t.TempDir(), "test") }

func long() bool { return os.Getenv("LAKESTEP_LONG") != "" }

func decode(b []byte, v any) error { return json.Unmarshal(b, v) }

func itoa(n int) string { return strconv.Itoa(n) }
