package postgres

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// story is what changes say, one a line: operation and columns.
func story(rows []row, columns ...string) string {
	var out []string
	for _, r := range rows {
		line := r["_op"]
		for _, c := range columns {
			if v, ok := r[c]; ok {
				line += " " + v
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func bySeq(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a["_seq"], b["_seq"]) })
	return rows
}

// What each kind of change looks like.
func TestChanges(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 200) // kept outside of the row, as it is
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text, long text); ALTER TABLE s ALTER long SET STORAGE EXTERNAL")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	l.drain()
	d.sql("BEGIN; INSERT INTO s VALUES (1, 'a', '" + long + "'); UPDATE s SET v = 'b'; UPDATE s SET id = 2; UPDATE s SET id = 2, v = NULL; DELETE FROM s; COMMIT")
	d.sql("TRUNCATE s; INSERT INTO s VALUES (3, 'c', NULL)")
	rows := bySeq(l.drain())
	for _, r := range rows {
		r["long"] = strings.Replace(r["long"], long, "LONG", 1)
	}
	equal(t, "changes", story(rows, "id", "v", "long", "_unchanged"), `insert 1 a LONG NULL
update 1 b NULL ["long"]
delete 1 NULL NULL NULL
insert 2 b NULL ["long"]
update 2 NULL NULL ["long"]
delete 2 NULL NULL NULL
truncate NULL NULL NULL NULL
insert 3 c NULL NULL`)
	for i, r := range rows[:6] {
		if want := fmt.Sprintf("%s-%010X", rows[0]["_seq"][:16], i+1); r["_seq"] != want {
			t.Errorf("change %d has _seq %s, want %s", i, r["_seq"], want)
		}
		if r["_xid"] != rows[0]["_xid"] || r["_xid"] == null || r["_committed_at"] == null || fmt.Sprintf("%016X", parsed(t, r["_lsn"])) != r["_seq"][:16] {
			t.Errorf("a change without its transaction: %s", r)
		}
	}
	d.sql("INSERT INTO s VALUES (4, 'd', '" + long + "'); UPDATE s SET id = 5 WHERE id = 4") // the long value of the new key is asked for
	rows = bySeq(l.drain())
	equal(t, "a long value behind a new key", story(rows, "id", "_unchanged"), "insert 4 NULL\ndelete 4 NULL\ninsert 5 NULL")
	if rows[2]["long"] != long {
		t.Errorf("the long value is %q", rows[2]["long"])
	}
	d.sql("ALTER TABLE s REPLICA IDENTITY FULL; UPDATE s SET v = 'e' WHERE id = 5; DELETE FROM s WHERE id = 5; UPDATE s SET id = 6")
	rows = bySeq(l.drain())
	for _, r := range rows {
		r["long"] = strings.Replace(r["long"], long, "LONG", 1)
	}
	equal(t, "with the whole old row", story(rows, "id", "v", "long", "_unchanged"), "update 5 e LONG NULL\ndelete 5 e LONG NULL\ndelete 3 c NULL NULL\ninsert 6 c NULL NULL")
}

func parsed(t testing.TB, s string) int64 {
	t.Helper()
	n, ok := parseInt([]byte(s))
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return n
}

// The table changes between changes, and within a transaction.
func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v int, gone text); ALTER DATABASE " + d.name + " SET logical_decoding_work_mem = '64kB'")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	l.drain()
	d.sql(`INSERT INTO s VALUES (1, 1, 'g');
		ALTER TABLE s ADD COLUMN more numeric(5,2) DEFAULT 1.5; INSERT INTO s VALUES (2, 2, 'g', 2);
		ALTER TABLE s DROP COLUMN gone; INSERT INTO s VALUES (3, 3, 3);
		ALTER TABLE s ALTER COLUMN v TYPE text; INSERT INTO s VALUES (4, 'four', 4);
		ALTER TABLE s RENAME COLUMN more TO less; INSERT INTO s VALUES (5, 'five', 5);
		CREATE TYPE mood AS ENUM ('ok'); BEGIN; ALTER TABLE s ADD COLUMN m mood; INSERT INTO s VALUES (6, 'six', 6, 'ok'); COMMIT;
		BEGIN; ALTER TABLE s ADD COLUMN never int; INSERT INTO s VALUES (7, 'seven', 7, 'ok', 7); ROLLBACK;
		INSERT INTO s VALUES (8, 'eight', 8, 'ok'); ALTER TABLE s DROP COLUMN m; DROP TYPE mood; INSERT INTO s VALUES (9, 'nine', 9)`)
	// a large transaction that changes the table, takes it back in part, and changes it again
	d.sql(`BEGIN; INSERT INTO s SELECT g, 'l', 1 FROM generate_series(1000, 2999) g; SAVEPOINT a; ALTER TABLE s ADD COLUMN a int; INSERT INTO s SELECT g, 'l', 1, g FROM generate_series(3000, 4999) g;
		ROLLBACK TO a; INSERT INTO s SELECT g, 'l', 1 FROM generate_series(5000, 6999) g; ALTER TABLE s ADD COLUMN b int; INSERT INTO s SELECT g, 'l', 1, g FROM generate_series(7000, 8999) g; COMMIT; INSERT INTO s VALUES (10, 'ten', 10, 10)`)
	rows := bySeq(l.drain())
	small := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return len(r["id"]) > 2 })
	equal(t, "changes", story(small, "id", "v", "gone", "more", "less", "m", "never", "b"), `insert 1 1 g
insert 2 2 g 2
insert 3 3 3
insert 4 four 4
insert 5 five 5
insert 6 six 6 ok
insert 8 eight 8 ok
insert 9 nine 9
insert 10 ten 10 10`)
	large := map[string]int{}
	for _, r := range rows {
		if len(r["id"]) == 4 {
			_, a := r["a"]
			_, b := r["b"]
			large[fmt.Sprint(a, b)]++
		}
	}
	equal(t, "large transaction", fmt.Sprint(large), "map[false false:4000 false true:2000]")
	equal(t, "how it was sent", d.sql("SELECT stream_count > 0 FROM pg_stat_replication_slots WHERE slot_name = '"+d.slot()+"'"), "t")
}

// Transactions of any size take little memory; several at once do not mix, and what is rolled back does not come.
func TestLargeTransactions(t *testing.T) {
	n := 30_000
	if long() {
		n = 1_000_000
	}
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); ALTER DATABASE " + d.name + " SET logical_decoding_work_mem = '64kB'")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	l.drain()
	ctx := t.Context()
	var cs []*pgx.Conn
	for range 3 {
		c, err := pgx.Connect(ctx, d.url)
		must(t, err)
		defer c.Close(context.Background())
		cs = append(cs, c)
	}
	exec := func(i int, format string, args ...any) {
		t.Helper()
		_, err := cs[i].Exec(ctx, fmt.Sprintf(format, args...))
		must(t, err)
	}
	const rows = "INSERT INTO s SELECT g, md5(g::text) || repeat('x', 100) FROM generate_series(%d, %d) g"
	exec(0, "BEGIN")
	exec(1, "BEGIN")
	exec(2, "BEGIN")
	exec(0, rows, 1, n)
	exec(1, rows, n+1, n+1000)
	exec(2, rows, n+2001, n+3000)
	exec(0, "SAVEPOINT a")
	exec(0, rows, n+5001, n+6000)
	exec(0, "SAVEPOINT b")
	exec(0, rows, n+7001, n+8000)
	exec(0, "RELEASE b; ROLLBACK TO a")
	exec(0, "UPDATE s SET v = 'last' WHERE id = 1")
	exec(1, "ROLLBACK")
	exec(2, "COMMIT")
	exec(0, "COMMIT")
	if b := l.pending(); b.Items != 1 {
		t.Errorf("Pending %+v", b)
	}
	dir := t.TempDir()
	base, peak, done := liveHeap(), int64(0), make(chan bool)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, liveHeap())
			}
		}
	})
	page, err := l.src.Next(ctx, connector.Request{Stream: "s", Seen: l.seen, Dir: dir, Limit: connector.Limit{Rows: 1500}})
	close(done)
	watch.Wait()
	must(t, err)
	grown := max(peak-base, 0)
	l.take(page) // the second transaction alone is less than the limit: the first comes with it, whole
	if len(l.rows) != n+1001 {
		t.Errorf("%d rows, want %d", len(l.rows), n+1001)
	}
	if grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	sameRows(t, "rows", apply(t, []string{"id"}, l.rows), d.all("s", nil))
	t.Logf("SCORE: a transaction of %d rows, heap %d KiB", n, grown>>10)
	if l.step() {
		t.Error("there is more")
	}
}

func liveHeap() int64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// A page ends at its limit, and the next goes on behind it: whatever the limit.
func TestPagesOfChanges(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text)")
	limits := []connector.Limit{{Rows: 1}, {Rows: 4}, {Rows: 29}, {Rows: 30}, {Bytes: 20}}
	loaders := make([]*loader, len(limits))
	for i := range limits {
		loaders[i] = d.loader(settings{"table": "s", "mode": "cdc", "slot": fmt.Sprintf("slot_%s_%d", d.name, i)})
		loaders[i].drain()
	}
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "INSERT INTO s SELECT g, 'x' FROM generate_series(%d, %d) g;", i*3, i*3+2)
	}
	d.sql(b.String())
	want := d.all("s", nil)
	for i, l := range loaders {
		l.limit, l.pages = limits[i], 0
		sameRows(t, fmt.Sprintf("limit %+v", l.limit), l.drain(), want)
		if rows := l.limit.Rows; rows > 0 && int64(l.pages) > min(10, (30+rows-1)/rows) {
			t.Errorf("limit %+v: %d pages", l.limit, l.pages)
		}
		if l.limit.Bytes > 0 && l.pages < 2 {
			t.Errorf("limit %+v: %d pages", l.limit, l.pages)
		}
	}
}

// The server goes down in the middle of a page, and comes again.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	p := servicetest.OwnPostgres(t)
	d := newDBOn(t, p)
	const n = 100_000
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s SELECT g, repeat('x', 100) FROM generate_series(1, " + itoa(n) + ") g")
	l := d.loader(settings{"table": "s", "mode": "cdc", "chunk_rows": "5000"})
	l.limit = connector.Limit{Rows: n / 2}
	interrupted := func() bool {
		dir, done := t.TempDir(), make(chan error, 1)
		go func() {
			_, err := l.src.Next(t.Context(), connector.Request{Stream: "s", Seen: l.seen, Dir: dir, Limit: l.limit})
			done <- err
		}()
		for begun := false; !begun; time.Sleep(time.Millisecond) { // until rows are in a file
			for _, pattern := range []string{"spool-*", "*/spool-*"} {
				found, _ := filepath.Glob(filepath.Join(dir, pattern))
				begun = begun || len(found) > 0
			}
		}
		p.Kill(t)
		err := <-done
		if err != nil {
			isFault(t, "a page while the server went down", err, fault.Unavailable)
		}
		p.Start(t)
		return err != nil
	}
	first := interrupted()
	l.step()
	second := interrupted()
	for l.step() {
	}
	d.sql("UPDATE s SET v = 'y' WHERE id % 2 = 0; DELETE FROM s WHERE id % 10 = 0")
	third := interrupted()
	for l.step() {
	}
	if !first && !second && !third {
		t.Error("no page was interrupted: they are too small")
	}
	sameRows(t, "rows", apply(t, []string{"id"}, l.rows), d.all("s", nil))
}

// A commit is sent when it is in the log; others see it later, and much later where a standby must have it. What is asked for besides waits for that.
func TestCommitsThatAreNotVisible(t *testing.T) {
	t.Parallel()
	d := newDBOn(t, servicetest.OwnPostgres(t, "synchronous_standby_names=nobody", "synchronous_commit=local"))
	long := strings.Repeat("0123456789abcdef", 200)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, long text); ALTER TABLE s ALTER long SET STORAGE EXTERNAL; INSERT INTO s VALUES (1, '" + long + "')")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	l.drain()
	c, err := pgx.Connect(t.Context(), d.url)
	must(t, err)
	defer c.Close(context.Background())
	committed := make(chan error, 1)
	go func() {
		_, err := c.Exec(t.Context(), "SET synchronous_commit = on; UPDATE s SET id = 2")
		committed <- err
	}()
	for d.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "1" {
		time.Sleep(10 * time.Millisecond)
	}
	read := make(chan []row, 1)
	go func() { read <- bySeq(l.drain()) }()
	select {
	case rows := <-read:
		t.Fatalf("the page did not wait: %s", rows)
	case <-time.After(300 * time.Millisecond):
	}
	d.sql("SELECT pg_cancel_backend(" + itoa(int(c.PgConn().PID())) + ")") // it waits no longer
	must(t, <-committed)
	rows := <-read
	equal(t, "changes", story(rows, "id", "_unchanged"), "delete 1 NULL\ninsert 2 NULL")
	if rows[1]["long"] != long {
		t.Errorf("the long value is %q", rows[1]["long"])
	}
}
