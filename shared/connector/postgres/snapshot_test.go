package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// The tables of snapshots: how each is cut into pieces.
var snapshotTables = map[string]string{
	"number":                   "CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s SELECT g * 3, 'v' || g FROM generate_series(1, 47) g",
	"text":                     `CREATE TABLE s (id text PRIMARY KEY, v text); INSERT INTO s SELECT chr(96 + g % 26) || '''\' || E'\t' || g, 'v' || g FROM generate_series(1, 47) g`,
	"collation":                `CREATE TABLE s (id text COLLATE "und-x-icu" PRIMARY KEY, v text); INSERT INTO s SELECT chr(64 + g % 60) || g, 'v' || g FROM generate_series(1, 47) g`,
	"composite":                "CREATE TABLE s (a int, b text, v text, PRIMARY KEY (b, a)); INSERT INTO s SELECT g % 5, 'b' || g / 5, 'v' FROM generate_series(1, 47) g",
	"timestamp":                "CREATE TABLE s (id timestamptz PRIMARY KEY, v text); INSERT INTO s SELECT timestamptz '2024-01-01' + g * interval '1.5 us', 'v' FROM generate_series(1, 46) g; INSERT INTO s VALUES ('infinity', 'v')",
	"float":                    "CREATE TABLE s (id float8 PRIMARY KEY, v text); INSERT INTO s SELECT g / 3.0, 'v' FROM generate_series(1, 46) g; INSERT INTO s VALUES ('NaN', 'v')",
	"domain":                   "CREATE DOMAIN key AS numeric(10,2); CREATE TABLE s (id key PRIMARY KEY, v text); INSERT INTO s SELECT g / 4.0, 'v' FROM generate_series(1, 47) g",
	"enum":                     "CREATE TYPE mood AS ENUM ('b', 'a', 'c'); CREATE TABLE s (m mood, id int, PRIMARY KEY (m, id)); INSERT INTO s SELECT (ARRAY['a','b','c'])[1 + g % 3]::mood, g FROM generate_series(1, 47) g",
	"unique":                   "CREATE TABLE s (id uuid NOT NULL UNIQUE, v text); INSERT INTO s SELECT md5(g::text)::uuid, 'v' FROM generate_series(1, 47) g; ALTER TABLE s REPLICA IDENTITY FULL",
	"no key":                   "CREATE TABLE s (id int, v text) WITH (fillfactor = 10); INSERT INTO s SELECT g, repeat('v', 100) FROM generate_series(1, 47) g; ALTER TABLE s REPLICA IDENTITY FULL",
	"partitions":               "CREATE TABLE s (id int PRIMARY KEY, v text) PARTITION BY HASH (id); CREATE TABLE s0 PARTITION OF s FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE s1 PARTITION OF s FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO s SELECT g, 'v' FROM generate_series(1, 47) g",
	"partitions without a key": "CREATE TABLE s (id int, v text) PARTITION BY HASH (id); CREATE TABLE s0 PARTITION OF s FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE s1 PARTITION OF s FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO s SELECT g, 'v' FROM generate_series(1, 47) g; ALTER TABLE s0 REPLICA IDENTITY FULL; ALTER TABLE s1 REPLICA IDENTITY FULL",
	"inherited":                "CREATE TABLE s (id int PRIMARY KEY, v text); CREATE TABLE child () INHERITS (s); INSERT INTO s SELECT g, 'v' FROM generate_series(1, 47) g; INSERT INTO child VALUES (1, 'not ours')",
	"wide":                     `CREATE TABLE s (id int PRIMARY KEY, "_op" text, "a,b" text, "A,B" text, "order" text, "quo""te" text); INSERT INTO s SELECT g, 'x', 'y', 'z', 'o', 'q' FROM generate_series(1, 47) g`,
	"generated":                "CREATE TABLE s (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO s SELECT g FROM generate_series(1, 47) g",
}

// Whatever the pieces and pages are, each row comes once; also when every page is read twice before it counts.
func TestSnapshotPieces(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	for name, create := range snapshotTables {
		t.Run(name, func(t *testing.T) {
			schema := "in_" + strings.ReplaceAll(name, " ", "_")
			d.sql("CREATE SCHEMA " + schema + "; SET search_path = " + schema + ";" + create + "; ANALYZE s")
			want := d.all(schema+".s", nil)
			if len(want) != 47 {
				t.Fatalf("%d rows, want 47", len(want))
			}
			if name == "generated" { // changes do not have them
				for _, r := range want {
					delete(r, "twice")
				}
			}
			for i, limit := range []connector.Limit{{Rows: 18}, {Rows: 1000}, {Bytes: 200}} {
				if i > 0 && name != "number" { // one is enough
					continue
				}
				own := fmt.Sprintf("slot_%s_%s_%d", d.name, schema, i)
				l := d.loader(settings{"table": schema + ".s", "mode": "cdc", "chunk_rows": "4", "parallel": "3", "slot": own, "publication": own})
				l.limit = limit
				for more := true; more; more = l.step() {
					if l.pages == 1 {
						_, err := l.next(t.Context()) // is thrown away
						must(t, err)
					}
				}
				sameRows(t, fmt.Sprintf("limit %+v", limit), present(l.rows), present(want))
				if limit.Rows == 18 && l.pages != 3 && name != "no key" && name != "partitions without a key" {
					t.Errorf("%d pages of 18 rows", l.pages)
				}
				for _, r := range l.rows {
					if r["_op"] != opRead || r["_seq"] != sequence("", lsn(parsed(t, r["_lsn"])), 0) || r["_xid"] != null || r["_committed_at"] != null {
						t.Fatalf("a row %s", r)
					}
				}
				l.src.Close()
				d.sql("SELECT pg_drop_replication_slot('" + own + "')")
			}
		})
	}
}

// A table without a key is read by blocks: when it was rewritten meanwhile, they are others, and all are read again.
func TestBlocksAreOthers(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int, v text); INSERT INTO s SELECT g, repeat('v', 1000) FROM generate_series(1, 100) g; ALTER TABLE s REPLICA IDENTITY FULL; ANALYZE s")
	l := d.loader(settings{"table": "s", "mode": "cdc", "chunk_rows": "10"})
	l.limit = connector.Limit{Rows: 30}
	l.step()
	if n := len(l.rows); n == 0 || n > 50 {
		t.Fatalf("the first page has %d rows", n)
	}
	d.sql("DELETE FROM s WHERE id <= 60; VACUUM FULL s")
	for l.step() {
	}
	sameRows(t, "rows", apply(t, []string{"id"}, l.rows), d.all("s", nil))
}

// A full load: each run all rows; the position tells which load it is, and how far it has come.
func TestFullLoads(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); CREATE VIEW v AS SELECT * FROM s; CREATE MATERIALIZED VIEW m AS SELECT * FROM s")
	l := d.loader(settings{"table": "s", "mode": "full", "chunk_rows": "5"})
	l.limit = connector.Limit{Rows: 10}
	for load := 1; load <= 3; load++ {
		if b := l.pending(); b.Items < 1 {
			t.Errorf("load %d: Pending %+v", load, b)
		}
		l.rows, l.pages = nil, 0
		for more := true; more; {
			page, err := l.next(t.Context())
			must(t, err)
			l.take(page)
			more = page.More
		}
		if c := l.cursor(); !c.Snapshot.Done || c.Snapshot.Load != int64(load) || c.Snapshot.Rows != int64(len(l.rows)) {
			t.Errorf("load %d: position %s", load, l.seen.Cursor)
		}
		if want := []int{1, 3, 3}[load-1]; l.pages != want {
			t.Errorf("load %d has %d pages, want %d", load, l.pages, want)
		}
		if want := []int{0, 25, 30}[load-1]; len(l.rows) != want {
			t.Errorf("load %d has %d rows, want %d", load, len(l.rows), want)
		}
		d.sql("INSERT INTO s SELECT g, 'x' FROM generate_series(" + itoa(load*25-24) + ", " + itoa([]int{0, 25, 30, 31}[load]) + ") g")
	}
	d.sql("REFRESH MATERIALIZED VIEW m; CREATE TABLE k (id int, v text); INSERT INTO k SELECT g, 'x' FROM generate_series(1, 2000) g; ANALYZE k")
	for _, table := range []string{"v", "m", "k"} { // one page each: its rows are of one moment
		l := d.loader(settings{"table": table, "mode": "full", "chunk_rows": "100"})
		l.limit = connector.Limit{Rows: 10}
		l.step()
		if n := parsed(t, d.sql("SELECT count(*) FROM "+table)); !l.cursor().Snapshot.Done || int64(len(l.rows)) != n {
			t.Errorf("%s: %d rows of %d, position %s", table, len(l.rows), n, l.seen.Cursor)
		}
	}
}

// A publication may leave rows and columns out; what is read first leaves them out as well.
func TestPublicationOfParts(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	if d.server.Version < 15 {
		t.Skip("SKIPPED: publications of columns and rows need PostgreSQL 15")
	}
	d.sql(`CREATE TABLE s (id int PRIMARY KEY, v text, secret text); INSERT INTO s SELECT g, 'v', 's' FROM generate_series(1, 20) g;
		CREATE PUBLICATION part FOR TABLE s (id, v) WHERE (id % 2 = 0)`)
	l := d.loader(settings{"table": "s", "mode": "cdc", "publication": "part"})
	l.drain()
	first := l.rows
	if len(first) != 10 {
		t.Errorf("%d rows, want 10", len(first))
	}
	d.sql("INSERT INTO s VALUES (30, 'v', 's'), (31, 'v', 's')")
	for _, r := range append(first, l.drain()...) {
		if _, ok := r["secret"]; ok || parsed(t, r["id"])%2 != 0 {
			t.Errorf("a row %s", r)
		}
	}
	if len(l.rows) != 1 {
		t.Errorf("changes %s", l.rows)
	}
	d.sql("CREATE PUBLICATION nokey FOR TABLE s (v)")
	_, err := d.loader(settings{"table": "s", "mode": "cdc", "publication": "nokey"}).next(t.Context())
	isFault(t, "a publication without the key", err, fault.InvalidInput, "leaves out the key column id")
}

// Some columns of a table.
func TestColumns(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, a text, b text, c text); INSERT INTO s VALUES (1, 'a', 'b', 'c')")
	l := d.loader(settings{"table": "s", "mode": "cdc", "columns": "b,id"})
	l.drain()
	d.sql("INSERT INTO s VALUES (2, 'a', 'b', 'c')")
	l.rows = append(l.rows, l.drain()...)
	for _, r := range l.rows {
		if s := r.own().String(); !strings.HasPrefix(s, "b=b id=") {
			t.Errorf("a row %s", s)
		}
	}
	for columns, words := range map[string][]string{"id,x": {"no column x"}, "a": {"the key id is not among the columns"}} {
		_, err := d.loader(settings{"table": "s", "mode": "cdc", "columns": columns, "slot": "other"}).next(t.Context())
		isFault(t, columns, err, fault.InvalidInput, words...)
	}
}

// The list of parts in a position stays small; of two that become one the older place counts.
func TestReachedStaysSmall(t *testing.T) {
	at := &snapshot{Key: []string{"id"}}
	for i := range 1000 {
		at.advance(&cutter{next: []string{itoa(i)}}, progress{1, 1}, exported{at: lsn(i)}, true)
		if n := len(at.Reached); n > maxReached {
			t.Fatalf("%d parts", n)
		}
	}
	if last := at.Reached[len(at.Reached)-1]; last.To[0] != "999" || last.LSN != 999 || at.Rows != 1000 {
		t.Errorf("the last part is %+v", last)
	}
	begin := -1
	for _, r := range at.Reached { // each covers the keys behind the one before
		to := int(parsed(t, r.To[0]))
		if int(r.LSN) != begin+1 || to <= begin {
			t.Errorf("keys from %d to %d are as of %d", begin+1, to, r.LSN)
		}
		begin = to
	}
}
