package snowflake

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// bronze takes pages in as the bronze step does: of a page that overlaps, rows that the table has from there on are left out, as often as it has them.
type bronze struct {
	t     *testing.T
	open  func() *source
	limit connector.Limit
	at    connector.Position
	rows  []map[string]string
	known int // rows that were left out
	pages int
}

func newBronze(t *testing.T, o *origin, limit int64, pairs ...string) *bronze {
	return &bronze{t: t, limit: connector.Limit{Rows: limit}, open: func() *source { return open(t, o.config(map[string]connector.Settings{"s": options(pairs...)})) }}
}

// step takes one page in, from a source of its own, and tells whether there was one.
func (b *bronze) step() bool {
	b.t.Helper()
	s := b.open()
	defer s.Close()
	r := request(b.t)
	r.Seen, r.Limit = b.at, b.limit
	page, err := s.Next(b.t.Context(), r)
	if err != nil {
		b.t.Fatalf("page %d: %v (%s)", b.pages+1, err, fault.HintOf(err))
	}
	if page.Empty() {
		return false
	}
	b.take(page)
	b.pages++
	if page.Cursor != nil {
		b.at.Cursor = page.Cursor
	}
	return true
}

func (b *bronze) take(page connector.Page) {
	have := map[string]int{}
	for _, r := range b.rows {
		if o := page.Overlap; o != nil && (o.From == "" || comparable(r[o.Column]) >= comparable(o.From)) {
			have[fmt.Sprint(r)]++
		}
	}
	for _, r := range rowsOf(b.t, page) {
		if key := fmt.Sprint(r); have[key] > 0 {
			have[key]--
			b.known++
			continue
		}
		b.rows = append(b.rows, r)
	}
}

// comparable makes texts of one instant the same, and numbers of one length.
func comparable(s string) string {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "+00"), "Z")
	if !strings.Contains(s, "-") {
		return fmt.Sprintf("%40s", s)
	}
	return s
}

func (b *bronze) drain() *bronze {
	b.t.Helper()
	for b.step() {
		if b.pages > 200 {
			b.t.Fatal("no end")
		}
	}
	return b
}

// holds checks the values of ID, each as often as it is named.
func (b *bronze) holds(ids ...int) {
	b.t.Helper()
	var got []string
	for _, r := range b.rows {
		got = append(got, r["ID"])
	}
	var want []string
	for _, id := range ids {
		want = append(want, fmt.Sprint(id))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Fatalf("the table holds %q, want %q", got, want)
	}
}

func (b *bronze) pending() connector.Backlog {
	b.t.Helper()
	s := b.open()
	defer s.Close()
	p, err := s.Pending(b.t.Context(), "s", b.at)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func upTo(n int) (ids []int) {
	for i := range n {
		ids = append(ids, i+1)
	}
	return ids
}

// orders makes a table with rows of these times of day.
func orders(t *testing.T, o *origin, times ...string) func(times ...string) {
	o.sql(t, "CREATE OR REPLACE TABLE ORDERS (ID INTEGER, TS TIMESTAMP_NTZ)")
	n := 0
	add := func(times ...string) {
		t.Helper()
		var rows []string
		for _, at := range times {
			n++
			v := "NULL"
			if at != "" {
				v = "'2024-01-01 " + at + "'"
			}
			rows = append(rows, fmt.Sprintf("(%d, %s)", n, v))
		}
		o.sql(t, "INSERT INTO ORDERS VALUES "+strings.Join(rows, ", "))
	}
	add(times...)
	return add
}

var incrementalStream = []string{"table", "orders", "mode", "watermark", "cursor_column", "ts"}

// Values are never cut in two: a page ends before one that does not fit, and takes one that fits no page as a whole.
func TestTies(t *testing.T) {
	o := newOrigin(t)
	orders(t, o, "10:00", "10:00", "10:01", "10:02", "10:02", "10:02", "10:02", "10:02", "10:03", "10:04", "10:04")
	b := newBronze(t, o, 3, incrementalStream...)
	var sizes []int
	for before := 0; b.step(); before = len(b.rows) {
		sizes = append(sizes, len(b.rows)-before)
	}
	b.holds(upTo(11)...)
	if want := []int{3, 5, 3}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %d rows, want %d", sizes, want)
	}
	var p map[string]any
	if err := json.Unmarshal(b.at.Cursor, &p); err != nil || p["v"] != 1.0 || p["type"] != "TIMESTAMP_NTZ" || p["value"] != "2024-01-01 10:04:00.000000000" {
		t.Errorf("%s", b.at.Cursor)
	}
}

// Rows that come late come in, within the lag, and rows of the last value however small the lag is; what is known does not come again.
func TestLateRows(t *testing.T) {
	o := newOrigin(t)
	add := orders(t, o, "10:00", "10:30", "11:00")
	b := newBronze(t, o, 2, append(slices.Clone(incrementalStream), "lag", "1h")...).drain()
	b.holds(1, 2, 3)
	if p := b.pending(); p.Items != 0 {
		t.Errorf("Pending: %+v", p)
	}
	add("10:15", "11:00") // late, and at the boundary
	if p := b.pending(); p.Items == 0 || p.Rows != 2 {
		t.Errorf("Pending: %+v", p)
	}
	b.drain().holds(1, 2, 3, 4, 5)
	add("11:45", "11:10", "09:59", "12:30") // the third is later than the lag allows
	b.drain().holds(1, 2, 3, 4, 5, 6, 7, 9)
	add("11:40")
	b.drain().holds(1, 2, 3, 4, 5, 6, 7, 9, 10)
	if b.known == 0 {
		t.Error("nothing was read twice")
	}
}

// Two rows that are the same in everything are two rows, also when they are read again.
func TestSameRows(t *testing.T) {
	o := newOrigin(t)
	o.sql(t, "CREATE OR REPLACE TABLE ORDERS (ID INTEGER, TS TIMESTAMP_NTZ)")
	o.sql(t, "INSERT INTO ORDERS VALUES (1, '2024-01-01'), (1, '2024-01-01'), (2, '2024-01-01')")
	b := newBronze(t, o, 5, incrementalStream...).drain()
	b.holds(1, 1, 2)
	o.sql(t, "INSERT INTO ORDERS VALUES (1, '2024-01-01'), (3, '2024-01-02')")
	b.drain().holds(1, 1, 1, 2, 3)
}

// A round has an end that is fixed when it begins: what arrives meanwhile is for the next one, before and behind the position.
func TestRowsThatArriveBetweenPages(t *testing.T) {
	o := newOrigin(t)
	add := orders(t, o, "10:00", "10:01", "10:02", "10:03", "10:04", "10:05")
	b := newBronze(t, o, 2, append(slices.Clone(incrementalStream), "lag", "10m")...)
	b.step()
	add("10:00", "10:04", "10:06") // behind the position, in the middle, beyond the end
	b.step()
	add("10:01", "10:05", "10:07")
	b.drain().holds(upTo(12)...)
	if p := b.pending(); p.Items != 0 {
		t.Errorf("Pending: %+v", p)
	}
}

// Rows that are deleted at the source disturb nothing.
func TestRowsThatGo(t *testing.T) {
	o := newOrigin(t)
	add := orders(t, o, "10:00", "10:01", "10:02", "10:03")
	b := newBronze(t, o, 2, append(slices.Clone(incrementalStream), "lag", "10m")...).drain()
	o.sql(t, "DELETE FROM ORDERS WHERE ID IN (2, 4)")
	b.drain().holds(1, 2, 3, 4)
	if p := b.pending(); p.Items != 0 {
		t.Errorf("Pending: %+v", p)
	}
	add("10:02")
	b.drain().holds(1, 2, 3, 4, 5)
	o.sql(t, "DELETE FROM ORDERS")
	b.drain().holds(1, 2, 3, 4, 5)
	add("10:09")
	b.drain().holds(1, 2, 3, 4, 5, 6)
}

// initial_value and end_value bound what is read, both included; rows without a value are never read, and Check counts them.
func TestBounds(t *testing.T) {
	o := newOrigin(t)
	orders(t, o, "09:59", "10:00", "", "10:30", "11:00", "11:01", "")
	b := newBronze(t, o, 2, append(slices.Clone(incrementalStream), "initial_value", "2024-01-01T10:00:00Z", "end_value", "2024-01-01 11:00")...).drain()
	b.holds(2, 4, 5)
	s := b.open()
	i := slices.IndexFunc(s.Check(t.Context()), func(f connector.Finding) bool { return !f.OK })
	if i < 0 {
		t.Fatal("Check finds all well")
	}
	if f := s.Check(t.Context())[i]; !strings.Contains(f.Detail, "2 rows have no TS") || !strings.Contains(f.Hint, "coalesce") {
		t.Errorf("%+v", f)
	}
}

// A window is read again as a whole, and the position stays where it is.
func TestWindow(t *testing.T) {
	o := newOrigin(t)
	orders(t, o, "10:00", "10:01", "10:02", "10:03", "10:04")
	b := newBronze(t, o, 2, incrementalStream...).drain()
	o.sql(t, "INSERT INTO ORDERS VALUES (6, '2024-01-01 10:01'), (7, '2024-01-01 10:03'), (8, '2024-01-01 10:04')")
	r := request(t)
	r.Seen, r.Limit, r.Window = b.at, b.limit, &connector.Window{From: "2024-01-01 10:01", To: "2024-01-01T10:03:00Z"}
	page, err := b.open().Next(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if page.Cursor != nil || page.More || page.Overlap == nil || page.Overlap.Column != "TS" {
		t.Errorf("%+v", page)
	}
	b.take(page)
	b.holds(1, 2, 3, 4, 5, 6, 7)
	r = request(t)
	r.Window = &connector.Window{From: "soon", To: "later"}
	_, err = b.open().Next(t.Context(), r)
	refusedWith(t, err, fault.InvalidInput, "soon")
}

// Cursor columns of every type, with values that differ in the last digit only.
func TestCursorTypes(t *testing.T) {
	for name, c := range map[string]struct {
		typ    string
		values []string // in order
	}{
		"NUMBER(38,0)":  {"NUMBER(38,0)", []string{"-5", "9223372036854775805", "9223372036854775806", "9223372036854775807"}},
		"NUMBER(12,2)":  {"NUMBER(12,2)", []string{"-0.01", "0.01", "9999999999.98", "9999999999.99"}},
		"DATE":          {"DATE", []string{"'0001-01-01'", "'2024-02-29'", "'2024-03-01'", "'9999-12-31'"}},
		"VARCHAR":       {"VARCHAR", []string{"''", "'a'", "'it''s'", "'it''t'"}},
		"TIMESTAMP_NTZ": {"TIMESTAMP_NTZ", []string{"'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'", "'2024-01-01 00:00:00.000003'", "'2024-01-01 00:00:01'"}},
		"TIMESTAMP_TZ":  {"TIMESTAMP_TZ", []string{"'2024-01-01 00:00:00.000001+00:00'::TIMESTAMP_TZ", "'2024-01-01 02:00:00.000002+02:00'::TIMESTAMP_TZ", "'2024-01-01 00:00:00.000003+00:00'::TIMESTAMP_TZ", "'2024-01-01 01:00:00+00:00'::TIMESTAMP_TZ"}},
		"TIMESTAMP_LTZ": {"TIMESTAMP_LTZ", []string{"'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'", "'2024-01-01 00:00:00.000003'", "'2024-01-01 01:00:00'"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.sql(t, "CREATE TABLE ORDERS (ID INTEGER, TS "+c.typ+")")
			b := newBronze(t, o, 1, incrementalStream...)
			o.sql(t, fmt.Sprintf("INSERT INTO ORDERS VALUES (1, %s), (2, %s), (3, %s)", c.values[0], c.values[1], c.values[2]))
			b.drain().holds(1, 2, 3)
			o.sql(t, fmt.Sprintf("INSERT INTO ORDERS VALUES (4, %s), (5, %s)", c.values[2], c.values[3]))
			b.drain().holds(1, 2, 3, 4, 5)
			if p := b.pending(); p.Items != 0 {
				t.Errorf("Pending behind %s: %+v", b.at.Cursor, p)
			}
		})
	}
}

// What cannot be a cursor column, and a position of another kind.
func TestCursorsThatAreRefused(t *testing.T) {
	o := newOrigin(t)
	o.sql(t, "CREATE TABLE ORDERS (ID INTEGER, TS TIMESTAMP_NTZ, F FLOAT, V VARIANT)")
	o.sql(t, "INSERT INTO ORDERS (ID, TS) VALUES (1, '2024-01-01')")
	next := func(seen string, pairs ...string) error {
		r := request(t)
		if seen != "" {
			r.Seen.Cursor = json.RawMessage(seen)
		}
		_, err := open(t, o.config(map[string]connector.Settings{"s": options(append([]string{"table", "orders"}, pairs...)...)})).Next(t.Context(), r)
		return err
	}
	refusedWith(t, next("", "mode", "watermark", "cursor_column", "nope"), fault.InvalidInput, "nope", "ID, TS, F, V")
	refusedWith(t, next("", "mode", "watermark", "cursor_column", "f"), fault.InvalidInput, "FLOAT")
	refusedWith(t, next("", "mode", "watermark", "cursor_column", "id", "lag", "1h"), fault.InvalidInput, "lag")
	refusedWith(t, next("", "mode", "watermark", "cursor_column", "ts", "initial_value", "soon"), fault.InvalidInput, "soon", "initial_value")
	refusedWith(t, next("", "mode", "full", "columns", "ID,X"), fault.InvalidInput, "X")
	refusedWith(t, next(`{"v":1,"type":"NUMBER","value":"1","until":"1"}`, "mode", "watermark", "cursor_column", "ts"), fault.SourceLost, "NUMBER", "TIMESTAMP_NTZ")
	refusedWith(t, next(`{"v":1,"query":"x","chunks":1,"taken":1}`, "mode", "watermark", "cursor_column", "ts"), fault.SourceLost, "refresh")
	refusedWith(t, next(`{"v":1,"type":"NUMBER","value":"1","until":"1"}`, "mode", "full"), fault.SourceLost, "refresh")
	refusedWith(t, next("", "mode", "full", "table", "gone"), fault.InvalidInput, `GRANT SELECT ON TABLE`, "GONE")
}

// Columns are chosen, a query stands for a table, and names that no table can have are changed.
func TestQueriesAndColumns(t *testing.T) {
	o := newOrigin(t)
	orders(t, o, "10:00", "10:01", "10:02")
	o.sql(t, `ALTER TABLE ORDERS ADD COLUMN "unit price" NUMBER(5,2)`)
	b := newBronze(t, o, 2, append(slices.Clone(incrementalStream), "columns", "id")...).drain()
	b.holds(1, 2, 3)
	if got := slices.Sorted(maps.Keys(b.rows[0])); !slices.Equal(got, []string{"ID", "TS"}) {
		t.Errorf("columns %q", got)
	}
	q := newBronze(t, o, 2, "query", "SELECT ID * 10 AS ID, TS, ID / 4 AS \"unit price\" FROM ORDERS -- all of them\n;", "mode", "watermark", "cursor_column", "ts").drain()
	q.holds(10, 20, 30)
	if _, ok := q.rows[0]["unit_price"]; !ok {
		t.Errorf("%v", q.rows[0])
	}
	full := newBronze(t, o, 0, "query", "SELECT ID FROM ORDERS", "mode", "full")
	full.step()
	full.holds(1, 2, 3)
	if p := full.pending(); p.Items != 1 {
		t.Errorf("nobody knows whether the result of a query has changed: %+v", p)
	}
}

func TestExplore(t *testing.T) {
	o := newOrigin(t)
	o.sql(t, "CREATE TABLE ORDERS (ID INTEGER PRIMARY KEY, TS TIMESTAMP_NTZ, PRICE NUMBER(12,2))")
	o.sql(t, "CREATE TABLE NAMES (NAME VARCHAR)")
	o.sql(t, "INSERT INTO NAMES VALUES ('a'), ('b')")
	s := open(t, o.config(map[string]connector.Settings{"s": options(incrementalStream...), "q": options("query", "SELECT ID, PRICE FROM ORDERS", "mode", "full"), "n": options("table", "names", "mode", "full", "primary_key", "NAME")}))
	all, err := s.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(all)
	want := `[{"name":"PUBLIC.NAMES","columns":[{"name":"NAME","type":"TEXT"}],"key":["NAME"],"rows":2,"modes":["full"],"stream":"n"},` +
		`{"name":"PUBLIC.ORDERS","columns":[{"name":"ID","type":"NUMBER(38,0)"},{"name":"TS","type":"TIMESTAMP_NTZ"},{"name":"PRICE","type":"NUMBER(12,2)"}],"key":["ID"],"modes":["watermark","full"],"stream":"s"},` +
		`{"name":"query q","columns":[{"name":"ID","type":"NUMBER(38,0)"},{"name":"PRICE","type":"NUMBER(12,2)"}],"modes":["full"],"stream":"q"}]`
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
	for _, f := range s.Check(t.Context()) {
		if !f.OK {
			t.Errorf("%+v", f)
		}
	}
	o.sql(t, "DROP TABLE ORDERS")
	found := s.Check(t.Context())
	i := slices.IndexFunc(found, func(f connector.Finding) bool { return f.What == "stream s" })
	if i < 0 || found[i].OK || !strings.Contains(found[i].Hint, "GRANT SELECT ON TABLE") {
		t.Errorf("%+v", found)
	}
}

// Nanoseconds count in the position, to the last digit. Where the column's values stand beside it, a page that overlaps is held against the
// whole table.
func TestNanoseconds(t *testing.T) {
	const sec = 1704164645 // 2024-01-02 03:04:05
	column := []fakeColumn{{Name: "TS", Type: "timestamp_ntz", Scale: 9, Nullable: true}}
	counts := func(n, old, greatest string) answer {
		return answerOf(t, []typed{{column: fakeColumn{Name: "N", Type: "fixed", Precision: 38}, array: build(t, arrow.PrimitiveTypes.Int64, "["+n+"]")},
			{column: fakeColumn{Name: "OLD", Type: "fixed", Precision: 38}, array: build(t, arrow.PrimitiveTypes.Int64, "["+old+"]")}, {column: column[0], array: build(t, ntz, "["+greatest+"]")}})
	}
	rows := fmt.Sprintf(`{"epoch":%d,"fraction":123456788}, {"epoch":%d,"fraction":123456789}`, sec, sec)
	script := func(sql string) answer {
		switch {
		case strings.HasPrefix(sql, "SELECT count(*), 0"):
			return counts("2", "0", fmt.Sprintf(`{"epoch":%d,"fraction":123456789}`, sec))
		case strings.HasPrefix(sql, "SELECT count(*), count_if"):
			return counts("2", "1", fmt.Sprintf(`{"epoch":%d,"fraction":123456790}`, sec))
		case strings.HasPrefix(sql, "SELECT count(*)"):
			return answerOf(t, []typed{{column: fakeColumn{Name: "N", Type: "fixed", Precision: 38}, array: build(t, arrow.PrimitiveTypes.Int64, "[1]")}})
		}
		return answerOf(t, []typed{{column: column[0], array: build(t, ntz, "["+rows+"]")}})
	}
	f := newFake(t, script)
	next := func(seen connector.Position) (connector.Page, string) {
		r := request(t)
		r.Seen = seen
		page, err := f.source(t, incrementalStream...).Next(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return page, f.queries[len(f.queries)-1]
	}
	page, sql := next(connector.Position{})
	if want := "\"TS\" <= '2024-01-02 03:04:05.123456789'::TIMESTAMP_NTZ(9)"; page.Overlap != nil || !strings.Contains(sql, want) {
		t.Errorf("%s lacks %s", sql, want)
	}
	if p := string(page.Cursor); !strings.Contains(p, `"value":"2024-01-02 03:04:05.123456789"`) || !strings.Contains(p, `"odd":true`) {
		t.Error(p)
	}
	page, sql = next(connector.Position{Cursor: page.Cursor})
	if want := "\"TS\" >= '2024-01-02 03:04:05.123456789'::TIMESTAMP_NTZ(9) AND \"TS\" <= '2024-01-02 03:04:05.123456790'::TIMESTAMP_NTZ(9)"; !strings.Contains(sql, want) {
		t.Errorf("%s lacks %s", sql, want)
	}
	if page.Overlap == nil || page.Overlap.From != "" {
		t.Errorf("%+v", page.Overlap)
	}
}

// A page whose limit is in bytes learns how wide the rows are; when they turn out far too wide, it is begun again, and smaller.
func TestPagesInBytes(t *testing.T) {
	columns := []fakeColumn{{Name: "ID", Type: "fixed", Precision: 10}, {Name: "T", Type: "text"}}
	wide := func(from, to int) answer {
		a := answer{columns: columns}
		for i := from; i <= to; i += 5 {
			var ids, texts []string
			for k := range 5 {
				ids, texts = append(ids, fmt.Sprint(i+k)), append(texts, `"`+strings.Repeat("x", 10_000)+`"`)
			}
			one := answerOf(t, []typed{{column: columns[0], array: build(t, arrow.PrimitiveTypes.Int64, "["+strings.Join(ids, ",")+"]")},
				{column: columns[1], array: build(t, arrow.BinaryTypes.String, "["+strings.Join(texts, ",")+"]")}})
			a.chunks, a.rows = append(a.chunks, one.chunks[0]), append(a.rows, one.rows[0])
		}
		return a
	}
	numbers := func(values ...int) answer {
		var all []typed
		for i, v := range values {
			all = append(all, typed{column: fakeColumn{Name: fmt.Sprint("N", i), Type: "fixed", Precision: 38}, array: build(t, arrow.PrimitiveTypes.Int64, fmt.Sprintf("[%d]", v))})
		}
		return answerOf(t, all)
	}
	f := newFake(t, func(sql string) answer {
		switch {
		case strings.HasPrefix(sql, "SELECT * FROM"):
			return answer{columns: columns}
		case strings.HasPrefix(sql, "SELECT count(*), 0"):
			return numbers(100, 0, 100)
		case strings.HasPrefix(sql, "SELECT count(*)"):
			return numbers(1)
		case strings.HasPrefix(sql, "WITH") && strings.Contains(sql, "LIMIT 10)"): // one more than fit
			return numbers(10, 10, 9)
		case strings.HasPrefix(sql, "WITH") && strings.Contains(sql, "LIMIT 11)"):
			return numbers(11, 11, 10)
		case strings.HasSuffix(sql, `"ID" <= 100`):
			return wide(1, 100)
		}
		return wide(1, 10)
	})
	r := request(t)
	r.Limit.Bytes = 100_000
	page, err := f.source(t, "table", "T", "mode", "watermark", "cursor_column", "id", "parallel", "2").Next(t.Context(), r)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(f.queries, "\n"))
	}
	if n := len(rowsOf(t, page)); n != 10 || !page.More {
		t.Errorf("%d rows, more %v", n, page.More)
	}
	var p position
	if err := json.Unmarshal(page.Cursor, &p); err != nil || p.Width < 10_000 || p.Width > 11_000 || p.Until != "100" {
		t.Errorf("%s\n%s", page.Cursor, strings.Join(f.queries, "\n"))
	}
}

// Whether there is something new is asked in the same words each time, so that Snowflake can answer from its cache while nothing changed; and
// with one statement, besides the one that describes.
func TestSameQuestion(t *testing.T) {
	o := newOrigin(t)
	orders(t, o, "10:00", "10:01")
	b := newBronze(t, o, 0, append(slices.Clone(incrementalStream), "lag", "1h")...).drain()
	o.asked()
	b.pending()
	first := o.asked()
	if b.step() {
		t.Error("a page without news")
	}
	if second := o.asked(); len(first) != 2 || !slices.Equal(first, second) {
		t.Errorf("%q\n%q", first, second)
	}
}
