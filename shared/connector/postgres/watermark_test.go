package postgres

import (
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// table takes pages in as the bronze step does: rows that it has are left out of a page that overlaps.
type table1 struct {
	*loader
	have map[string]int
	all  []row
	last connector.Page
}

func byWatermark(d *db, more settings) *table1 {
	s := settings{"table": "s", "mode": "watermark", "cursor_column": "at"}
	for k, v := range more {
		s[k] = v
	}
	return &table1{loader: d.loader(s), have: map[string]int{}}
}

// ids are those of the new rows that a page brought, in its order; "-" when it was empty.
func (b *table1) ids() string {
	b.t.Helper()
	page, err := b.next(b.t.Context())
	must(b.t, err)
	return b.put(page)
}

func (b *table1) put(page connector.Page) string {
	b.t.Helper()
	b.last = page
	if page.Empty() {
		return "-"
	}
	var out []string
	met := map[string]int{}
	for _, r := range rowsOf(b.t, page) {
		d := r.String()
		if met[d]++; page.Overlap != nil && met[d] <= b.have[d] {
			continue
		}
		out = append(out, r["id"])
		b.all = append(b.all, r)
	}
	for d, n := range met {
		b.have[d] = max(b.have[d], n)
	}
	if page.Cursor != nil {
		b.seen = connector.Position{Cursor: page.Cursor}
	}
	return strings.Join(out, " ")
}

func (b *table1) expect(what, want string) {
	b.t.Helper()
	pending := b.pending()
	if got := b.ids(); got != want {
		b.t.Errorf("%s: rows %q, want %q", what, got, want)
	}
	if (pending.Items > 0) != (want != "-") {
		b.t.Errorf("%s: Pending said %+v, the page had %q", what, pending, want)
	}
}

func TestWatermark(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql(`CREATE TABLE s (id int, at timestamptz, v text); INSERT INTO s VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-02'), (4, '2024-01-02'), (5, '2024-01-03'), (6, NULL), (7, 'infinity')`)
	b := byWatermark(d, nil)
	b.limit = connector.Limit{Rows: 2}
	b.expect("rows of one value stay together", "1 2 3 4")
	if !b.last.More {
		t.Error("there is more")
	}
	b.expect("the rest", "5")
	if b.last.More {
		t.Error("there is no more")
	}
	b.expect("nothing", "-")
	d.sql("INSERT INTO s VALUES (8, '2024-01-03')")
	b.expect("another row of the last value", "8")
	d.sql("INSERT INTO s VALUES (9, '2024-01-02 12:00')")
	b.expect("a late row, without lag", "-")
	d.sql("UPDATE s SET v = 'x', at = '2024-01-04' WHERE id = 1; DELETE FROM s WHERE id = 5")
	b.expect("a changed row, a deleted one", "1")
	d.sql("INSERT INTO s VALUES (1, '2024-01-04', 'x')")
	b.expect("the same row twice", "1")
	b.expect("nothing", "-")
}

func TestWatermarkLag(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql(`CREATE TABLE s (id int, at timestamp); INSERT INTO s SELECT g, timestamp '2024-01-01' + g * interval '1 hour' FROM generate_series(1, 10) g`)
	b := byWatermark(d, settings{"lag": "2h30m"})
	b.expect("first", "1 2 3 4 5 6 7 8 9 10")
	b.expect("nothing", "-")
	d.sql("INSERT INTO s VALUES (100, '2024-01-01 07:30')")
	b.expect("a late row at the window's beginning", "100")
	if b.last.Overlap == nil || b.last.Overlap.From != "2024-01-01 07:30:00+00" || b.last.Overlap.Column != "at" {
		t.Errorf("overlap %+v", b.last.Overlap)
	}
	d.sql("INSERT INTO s VALUES (101, '2024-01-01 07:29'), (102, '2024-01-01 12:00')")
	b.expect("one too late, one new", "102")
	d.sql("INSERT INTO s VALUES (103, '2024-01-01 11:00'), (104, '2024-01-01 13:00'), (105, '2024-01-01 14:00')")
	b.limit = connector.Limit{Rows: 1}
	b.expect("late and new ones, a page of one", "103 104")
	b.expect("the rest", "105")
	b.expect("nothing", "-")
}

func TestWatermarkBounds(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql(`CREATE TABLE s (id int, at date); INSERT INTO s SELECT g, date '2024-01-01' + g FROM generate_series(0, 9) g`)
	b := byWatermark(d, settings{"initial_value": "2024-01-03", "end_value": "2024-01-06"})
	b.expect("both ends are of the range", "2 3 4 5")
	b.expect("nothing", "-")
	page, err := b.src.Next(t.Context(), connector.Request{Stream: "s", Seen: b.seen, Dir: t.TempDir(), Window: &connector.Window{From: "2024-01-04", To: "2024-01-05"}})
	must(t, err)
	if page.Cursor != nil || page.Overlap == nil || page.Overlap.From != "2024-01-04" {
		t.Errorf("page of a range: cursor %s, overlap %+v", page.Cursor, page.Overlap)
	}
	if got := b.put(page); got != "" {
		t.Errorf("rows that are known: %q", got)
	}
	d.sql("INSERT INTO s VALUES (100, '2024-01-04')")
	page, err = b.src.Next(t.Context(), connector.Request{Stream: "s", Seen: b.seen, Dir: t.TempDir(), Window: &connector.Window{From: "2024-01-04", To: "2024-01-05"}})
	must(t, err)
	if got := b.put(page); got != "100" {
		t.Errorf("rows of the range: %q, want 100", got)
	}
	_, err = b.src.Next(t.Context(), connector.Request{Stream: "s", Seen: b.seen, Dir: t.TempDir(), Window: &connector.Window{From: "soon", To: "2024-01-05"}})
	isFault(t, "a range that is none", err, fault.InvalidInput)
}

// Every type that can be a cursor column, page by page.
func TestWatermarkTypes(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	for i, c := range []struct{ typ, values string }{
		{"int2", "(1, 1), (2, 5), (3, 7)"}, {"int4", "(1, 1), (2, 5), (3, 7)"}, {"int8", "(1, -1), (2, 5), (3, 9223372036854775807)"},
		{"float8", "(1, 0.1), (2, 0.3), (3, 1e300), (9, 'NaN'), (9, 'Infinity')"}, {"float4", "(1, 0.1), (2, 0.3), (3, 1e30)"},
		{"numeric(10,2)", "(1, 0.1), (2, 2), (3, 10), (9, 'NaN')"}, {"numeric", "(1, 0.1), (2, 2), (3, 10), (9, 'Infinity')"},
		{"date", "(1, '2024-01-01'), (2, '2024-01-02'), (3, '2025-01-01'), (9, 'infinity'), (9, '0001-01-01 BC'), (9, '10000-01-01')"},
		{"timestamp", "(1, '2024-01-01'), (2, '2024-01-01 00:00:00.000001'), (3, '2025-01-01')"},
		{"text", "(1, 'A'), (2, 'a'), (3, 'a''\\b')"}, {`text COLLATE "und-x-icu"`, "(1, 'a'), (2, 'A'), (3, 'b')"}, {"varchar(5)", "(1, 'A'), (2, 'B'), (3, 'C')"},
		{"uuid", "(1, '00000000-0000-0000-0000-000000000001'), (2, '00000000-0000-0000-0000-00000000000a'), (3, '10000000-0000-0000-0000-000000000000')"},
	} {
		name := "t" + itoa(i)
		d.sql("CREATE TABLE " + name + " (id int, at " + c.typ + "); INSERT INTO " + name + " VALUES " + c.values)
		b := byWatermark(d, settings{"table": name})
		b.limit = connector.Limit{Rows: 1}
		for _, want := range []string{"1", "2", "3", "-"} {
			b.expect(c.typ, want)
		}
	}
	for typ, hint := range map[string]string{"json": "cannot be the cursor_column", "int[]": "cannot be"} {
		d.sql(`DROP TABLE IF EXISTS s; CREATE TABLE s (id int, at ` + typ + `)`)
		_, err := byWatermark(d, nil).next(t.Context())
		isFault(t, typ, err, fault.InvalidInput, hint)
	}
	d.sql("DROP TABLE s; CREATE TABLE s (id int, at int)")
	_, err := byWatermark(d, settings{"lag": "1h"}).next(t.Context())
	isFault(t, "a lag of numbers", err, fault.InvalidInput, "lag is a span of time")
	_, err = byWatermark(d, settings{"cursor_column": "At"}).next(t.Context())
	isFault(t, "no such column", err, fault.InvalidInput, "no column At", "case-sensitive")
	_, err = byWatermark(d, settings{"columns": "id"}).next(t.Context())
	isFault(t, "a column that is left out", err, fault.InvalidInput, "not among the columns")
	d.sql("INSERT INTO s VALUES (1, 1)")
	b := byWatermark(d, nil)
	b.expect("first", "1")
	b.src = byWatermark(d, settings{"cursor_column": "id"}).src
	_, err = b.next(t.Context())
	isFault(t, "another column", err, fault.InvalidInput, "by another column")
	b.src = d.source(settings{"table": "s", "mode": "full"})
	_, err = b.next(t.Context())
	isFault(t, "another mode", err, fault.InvalidInput, "of mode watermark")
	b.seen.Cursor = []byte(`{"v":2,"mode":"watermark"}`)
	_, err = byWatermark(d, nil).src.Next(t.Context(), connector.Request{Stream: "s", Seen: b.seen})
	isFault(t, "a newer position", err, fault.InvalidInput, "newer lakestep")
}

// A limit in bytes: the first portion tells how wide rows are.
func TestWatermarkBytes(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int, at int, v text); INSERT INTO s SELECT g, g, repeat('x', 1000) FROM generate_series(1, 5000) g")
	b := byWatermark(d, nil)
	b.limit = connector.Limit{Bytes: 2_000_000}
	n := 0
	for b.ids() != "-" {
		n++
	}
	if n < 2 || n > 4 || len(b.all) != 5000 {
		t.Errorf("%d pages of %d rows, want 3 of 5000", n, len(b.all))
	}
}

// Views and tables without rights beyond SELECT can be read, and Check counts what never will be.
func TestWatermarkView(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql(`CREATE TABLE x (id int, at timestamptz); INSERT INTO x VALUES (1, '2024-01-01'), (2, NULL), (3, 'infinity'); CREATE VIEW s AS SELECT * FROM x;
		CREATE ROLE only_` + d.name + ` LOGIN PASSWORD 'p'; GRANT SELECT ON s TO only_` + d.name)
	d.url = d.server.URLOf("only_"+d.name, "p", d.name)
	b := byWatermark(d, nil)
	b.expect("a view", "1")
	b.expect("nothing", "-")
	var found string
	for _, f := range b.src.Check(t.Context()) {
		if !f.OK {
			found += f.What + ": " + f.Detail + " " + f.Hint
		}
	}
	if !strings.Contains(found, "2 rows have NULL, infinity or a year beyond 9999 in at") || strings.Count(found, "stream") != 1 {
		t.Errorf("findings: %s", found)
	}
}
