package bronze_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions/bronze"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

const typedPipeline = `name: typed
lake: lake
sources:
  db:
    connector: postgres
    url: env:DATABASE_URL
    streams:
      orders: { table: orders, mode: watermark, cursor_column: ts%s }
bronze:
  orders: { stream: db.orders%s }
`

// typed is a lake with a source of pages that a test writes as SQL.
type typed struct {
	*rig
	pages    []string // SQL of the rows, one a page
	overlap  *connector.Overlap
	requests []connector.Request
	acked    []string
}

func newTyped(t *testing.T, stream, table string) *typed {
	t.Helper()
	y := &typed{rig: newRig(t, connector.Limit{})}
	var err error
	y.digest, err = y.lake.Pin(t.Context(), pipeline.Bundle{Root: "pipeline.yaml", Files: map[string]string{"pipeline.yaml": fmt.Sprintf(typedPipeline, stream, table)}})
	must(t, err)
	y.step = bronze.New(bronze.Options{Lake: y.lake, Engine: y.engine, Open: func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error) {
		return y, nil
	}})
	return y
}

func (y *typed) Pending(context.Context, string, connector.Position) (connector.Backlog, error) {
	return connector.Backlog{}, nil
}

func (y *typed) Close() error { return nil }

func (y *typed) Acknowledge(_ context.Context, _ string, p connector.Position) error {
	y.acked = append(y.acked, string(p.Cursor))
	return nil
}

// Next gives the page of the cursor's number.
func (y *typed) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	y.requests = append(y.requests, r)
	n := 0
	if r.Seen.Cursor != nil {
		must(y.t, json.Unmarshal(r.Seen.Cursor, &n))
	}
	if r.Window != nil {
		n = 0
	} else if n == len(y.pages) {
		return connector.Page{}, nil
	}
	session, err := y.engine.Session(ctx)
	must(y.t, err)
	defer session.Close()
	path := filepath.Join(r.Dir, "rows.parquet")
	must(y.t, session.Exec(ctx, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", y.pages[n], engine.Literal(path))))
	var rows int64
	must(y.t, session.Row(ctx, "SELECT count(*) FROM read_parquet("+engine.Literal(path)+")", &rows))
	page := connector.Page{Overlap: y.overlap, Cursor: json.RawMessage(fmt.Sprint(n + 1)),
		Parts: []connector.Part{{Parquet: true, Files: []connector.PartFile{{Path: path, Item: connector.Item{Key: "public.orders"}, Rows: rows}}}}}
	if r.Window != nil {
		page.Cursor = nil
	}
	return page, nil
}

// load takes in pages until there are no more.
func (y *typed) load(run string) (bronze.Output, error) {
	y.t.Helper()
	var sum bronze.Output
	for range 50 {
		in, err := json.Marshal(bronze.Input{Run: run, Bundle: y.digest, Table: "bronze.orders"})
		must(y.t, err)
		raw, err := y.step.Handle(y.t.Context(), in)
		if err != nil {
			return sum, err
		}
		var out bronze.Output
		must(y.t, json.Unmarshal(raw, &out))
		sum.Read, sum.Accepted, sum.Known, sum.Rejected = sum.Read+out.Read, sum.Accepted+out.Accepted, sum.Known+out.Known, sum.Rejected+out.Rejected
		if out.Status == bronze.Unchanged {
			return sum, nil
		}
	}
	y.t.Fatal("the source never ends")
	return sum, nil
}

// rows gives some columns of a table, ordered, a line a row.
func (y *typed) lines(table, columns string) string {
	y.t.Helper()
	opened, err := y.lake.Open(y.t.Context(), table)
	must(y.t, err)
	if !opened.Exists() {
		return "no table"
	}
	session, err := y.engine.Session(y.t.Context())
	must(y.t, err)
	defer session.Close()
	relation, err := session.Relation(y.t.Context(), opened.Live(opened.Snap))
	must(y.t, err)
	got, err := session.Strings(y.t.Context(), fmt.Sprintf("SELECT concat_ws('|', %s) FROM %s ORDER BY ALL", columns, relation))
	must(y.t, err)
	var out []string
	for _, r := range got {
		out = append(out, r[0])
	}
	return strings.Join(out, "\n")
}

func (y *typed) columns(table string) string {
	y.t.Helper()
	opened, err := y.lake.Open(y.t.Context(), table)
	must(y.t, err)
	var out []string
	for _, f := range opened.Snap.Schema().Fields {
		out = append(out, f.Name+" "+f.Type.String())
	}
	return strings.Join(out, ", ")
}

func same(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: want -, got +\n%s", what, diff)
	}
}

// Typed rows keep their types, the cursor is that of the last page, and the source hears of each commit.
func TestTypedRows(t *testing.T) {
	y := newTyped(t, "", "")
	y.pages = []string{
		"SELECT 1::INTEGER AS id, 12.50::DECIMAL(12,2) AS amount, TIMESTAMPTZ '2026-01-02 03:04:05.678901+00' AS ts, ['a', 'b'] AS tags, {'x': 1} AS deep, 7::UTINYINT AS tiny",
		"SELECT 2::INTEGER AS id, NULL::DECIMAL(12,2) AS amount, TIMESTAMPTZ '2026-01-03 00:00:00+00' AS ts, NULL::VARCHAR[] AS tags, NULL::STRUCT(x INTEGER) AS deep, NULL::UTINYINT AS tiny",
	}
	out, err := y.load("r1")
	must(t, err)
	if out.Accepted != 2 || out.Read != 2 {
		t.Errorf("%+v", out)
	}
	same(t, "schema", "id integer, amount decimal(12,2), ts timestamp, tags array<string>, deep string, tiny short, _source_file string, _ingested_at timestamp, _batch_id string", y.columns("bronze.orders"))
	same(t, "rows", "1|12.50|2026-01-02 03:04:05.678901+00|[a, b]|{\"x\":1}|7|public.orders|r1\n2|2026-01-03 00:00:00+00|public.orders|r1",
		y.lines("bronze.orders", "id, amount, ts, tags, deep, tiny, _source_file, _batch_id"))
	same(t, "acknowledged", "1,2", strings.Join(y.acked, ","))
	if again, err := y.load("r2"); err != nil || again.Read != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// What becomes of new columns and of values of another type, by each word of the contract.
func TestSchemaContract(t *testing.T) {
	first := "SELECT 1::INTEGER AS id, 'x' AS name, 10::BIGINT AS n"
	second := "SELECT * FROM (VALUES (2, 'y', '20', NULL), (3, 'z', 'many', NULL), (4, 'w', NULL, 'extra')) v(id, name, n, more)"
	for _, c := range []struct{ contract, rows, rejected, broken string }{
		{"evolve", "1|x|10|NULL|NULL\n2|y|20|NULL|NULL\n3|z|NULL|many|NULL\n4|w|NULL|NULL|extra", "no table", ""},
		{"discard_value", "1|x|10\n2|y|20\n3|z|NULL\n4|w|NULL", "no table", ""},
		{"discard_row", "1|x|10\n2|y|20", `{"id":3,"name":"z","n":"many","more":null}|schema_contract: the value of n is string and does not fit its type long
{"id":4,"name":"w","n":null,"more":"extra"}|schema_contract: the table has no column more`, ""},
		{"freeze", "1|x|10", "no table", "1 values of column n are string and do not fit its type long"},
	} {
		t.Run(c.contract, func(t *testing.T) {
			y := newTyped(t, ", schema_contract: "+c.contract, "")
			y.pages = []string{first, second}
			out, err := y.load("r1")
			if c.broken == "" {
				must(t, err)
				if out.Read != 4 || out.Read != out.Accepted+out.Rejected {
					t.Errorf("%+v", out)
				}
			} else if fault.KindOf(err) != fault.SchemaBroken || !strings.Contains(err.Error(), c.broken) {
				t.Errorf("%v", err)
			}
			columns := "coalesce(id::VARCHAR, 'NULL'), name, coalesce(n::VARCHAR, 'NULL')"
			if c.contract == "evolve" {
				columns += ", coalesce(n__v_text, 'NULL'), coalesce(more, 'NULL')"
			}
			same(t, "rows", c.rows, y.lines("bronze.orders", columns))
			same(t, "rejected", c.rejected, y.lines(lake.RejectedTable, "raw_text, error"))
		})
	}
}

// A narrower type is taken into a wider one without a word.
func TestTypesThatFit(t *testing.T) {
	y := newTyped(t, ", schema_contract: freeze", "")
	y.pages = []string{
		"SELECT 1::BIGINT AS a, 1.5::DOUBLE AS b, 1.25::DECIMAL(10,2) AS c, 'x' AS d",
		"SELECT 2::SMALLINT AS a, 2::INTEGER AS b, 3::TINYINT AS c, 4.50::DECIMAL(3,2) AS d",
	}
	_, err := y.load("r1")
	must(t, err)
	same(t, "rows", "1|1.5|1.25|x\n2|2.0|3.00|4.50", y.lines("bronze.orders", "a, b, c, d"))
}

// A page that begins before the position brings rows that the table has: they are left out as often as they are there.
func TestOverlap(t *testing.T) {
	y := newTyped(t, "", "")
	y.overlap = &connector.Overlap{Column: "ts", From: "2"}
	y.pages = []string{
		"SELECT * FROM (VALUES (1, 1, 'a'), (2, 2, 'twin'), (2, 2, 'twin'), (3, 3, 'old')) v(id, ts, name)",
		"SELECT * FROM (VALUES (2, 2, 'twin'), (2, 2, 'twin'), (2, 2, 'twin'), (3, 3, 'new'), (3, 3, 'old'), (4, 2, 'late'), (5, 5, NULL)) v(id, ts, name)",
		"SELECT id, ts, name, NULL::VARCHAR AS added FROM (VALUES (5, 5, NULL), (6, 6, 'b')) v(id, ts, name)",
	}
	out, err := y.load("r1")
	must(t, err)
	if out.Read != 13 || out.Known != 4 || out.Accepted != 9 {
		t.Errorf("%+v", out)
	}
	same(t, "rows", "1|1|a\n2|2|twin\n2|2|twin\n2|2|twin\n3|3|new\n3|3|old\n4|2|late\n5|5\n6|6|b", y.lines("bronze.orders", "id, ts, name"))
}

// A full refresh begins anew, a backfill reads its range once; both once in a run, and the position is what it must be behind them.
func TestReadAgain(t *testing.T) {
	y := newTyped(t, "", "")
	y.pages = []string{"SELECT 1 AS id, 1 AS ts", "SELECT 2 AS id, 2 AS ts"}
	_, err := y.load("r1")
	must(t, err)
	must(t, y.lake.PutOverrides(t.Context(), "r2", lake.Overrides{Refresh: []string{"bronze.orders"}}))
	y.requests = nil
	out, err := y.load("r2")
	must(t, err)
	if out.Accepted != 2 || !y.requests[0].Refresh || y.requests[0].Seen.Cursor != nil || y.requests[1].Refresh || string(y.requests[1].Seen.Cursor) != "1" {
		t.Errorf("refresh: %+v %+v", out, y.requests)
	}
	window := connector.Window{From: "1", To: "1"}
	must(t, y.lake.PutOverrides(t.Context(), "r3", lake.Overrides{Backfill: map[string]connector.Window{"bronze.orders": window}}))
	y.requests, y.overlap = nil, &connector.Overlap{Column: "ts", From: "1"}
	out, err = y.load("r3")
	must(t, err)
	if out.Read != 1 || out.Known != 1 || *y.requests[0].Window != window || len(y.requests) != 2 || string(y.requests[1].Seen.Cursor) != "2" {
		t.Errorf("backfill: %+v %+v", out, y.requests)
	}
	same(t, "rows", "1\n1\n2\n2", y.lines("bronze.orders", "id"))
}

// A Parquet file whose pages are damaged behind a good footer is an error that names it.
func TestDamagedParquet(t *testing.T) {
	r := newRig(t, connector.Limit{})
	session, err := r.engine.Session(t.Context())
	must(t, err)
	defer session.Close()
	path := filepath.Join(t.TempDir(), "x.parquet")
	must(t, session.Exec(t.Context(), fmt.Sprintf("COPY (SELECT md5(i::VARCHAR) AS text FROM range(10000) r(i)) TO %s (FORMAT parquet, COMPRESSION zstd)", engine.Literal(path))))
	raw, err := os.ReadFile(path)
	must(t, err)
	for i := 100; i < 5000; i++ {
		raw[i] ^= 0x5a
	}
	must(t, os.WriteFile(path, raw, 0o644))
	item := connector.Item{Key: "2026/x.parquet", Size: int64(len(raw)), ETag: "1", SHA256: "1"}
	s := bronze.New(bronze.Options{Lake: r.lake, Engine: r.engine, Open: func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error) {
		return fixed{connector.Page{Items: []connector.Item{item}, Parts: []connector.Part{{Parquet: true, Columns: []string{"text"}, Files: []connector.PartFile{{Path: path, Item: item, Rows: 10000}}}}}}, nil
	}})
	in, err := json.Marshal(bronze.Input{Run: "r", Bundle: r.digest, Table: "bronze.csv"})
	must(t, err)
	_, err = s.Handle(t.Context(), in)
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "2026/x.parquet") || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
