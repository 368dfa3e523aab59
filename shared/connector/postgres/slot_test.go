package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// begun is a stream that has read its first rows.
func begun(t testing.TB, d *db) *loader {
	t.Helper()
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'a'), (2, 'b')")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	if got := len(l.drain()); got != 2 {
		t.Fatalf("%d rows, want 2", got)
	}
	return l
}

// defaultName is what the publication of the tests' stream is called, and its slot, if it had no other.
const defaultName = "lakestep_p_pg_s"

func (d *db) confirmed() string {
	return d.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + d.slot() + "' AND database = current_database()")
}

func (l *loader) cursor() (c cursor) {
	l.t.Helper()
	must(l.t, decode(l.seen.Cursor, &c))
	return c
}

// The server may forget changes when the position behind them is committed, not when they are read; and once more at the next page, if the word got lost.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	l := begun(t, d)
	before := d.confirmed()
	if before != l.cursor().LSN.String() {
		t.Errorf("the slot is at %s, the position at %s", before, l.cursor().LSN)
	}
	l.silent = true
	d.sql("INSERT INTO s VALUES (3, 'c')")
	l.step()
	if now := d.confirmed(); now != before {
		t.Errorf("reading moved the slot from %s to %s", before, now)
	}
	behind := l.seen
	d.sql("INSERT INTO s VALUES (4, 'd')")
	page, err := l.next(t.Context())
	must(t, err)
	if now := d.confirmed(); now != l.cursor().LSN.String() {
		t.Errorf("the slot is at %s after the next page was read, the committed position is %s", now, l.cursor().LSN)
	}
	l.take(page)
	must(t, l.src.Acknowledge(t.Context(), "s", l.seen))
	if now := d.confirmed(); now != l.cursor().LSN.String() {
		t.Errorf("the slot is at %s, acknowledged was %s", now, l.cursor().LSN)
	}
	must(t, l.src.Acknowledge(t.Context(), "s", behind)) // late: nothing goes back
	if now := d.confirmed(); now != l.cursor().LSN.String() {
		t.Errorf("a late word moved the slot to %s", now)
	}
}

// A position whose changes may be gone stops the stream, and says how to go on.
func TestPositionLost(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	for _, c := range []struct {
		name string
		do   func(d *db, l *loader)
		word string
	}{
		{"slot dropped", func(d *db, l *loader) { d.sql("SELECT pg_drop_replication_slot('" + d.slot() + "')") }, "no such slot"},
		{"slot ahead", func(d *db, l *loader) {
			d.sql("INSERT INTO s VALUES (5, 'e')")
			d.sql("SELECT pg_replication_slot_advance('" + d.slot() + "', pg_current_wal_lsn())")
		}, "somebody else read from it"},
		{"table anew", func(d *db, l *loader) {
			d.sql("DROP TABLE s; CREATE TABLE s (id int PRIMARY KEY); ALTER PUBLICATION " + defaultName + " ADD TABLE s")
		}, "dropped and made anew"},
		{"publication anew", func(d *db, l *loader) {
			d.sql("DROP PUBLICATION " + defaultName + "; CREATE PUBLICATION " + defaultName + " FOR TABLE s")
		}, "publication"},
		{"publication gone", func(d *db, l *loader) { d.sql("DROP PUBLICATION " + defaultName) }, "no publication"},
		{"another cluster", func(d *db, l *loader) {
			l.seen.Cursor = []byte(strings.Replace(string(l.seen.Cursor), `"system":"`, `"system":"1`, 1))
		}, "another database cluster"},
		{"another database", func(d *db, l *loader) {
			l.seen.Cursor = []byte(strings.Replace(string(l.seen.Cursor), `"database":`, `"database":1`, 1))
		}, "another database"},
		{"a timeline that never was", func(d *db, l *loader) {
			l.seen.Cursor = []byte(strings.Replace(string(l.seen.Cursor), `"timeline":1`, `"timeline":7`, 1))
		}, "set back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.sql("DROP TABLE IF EXISTS s; DROP PUBLICATION IF EXISTS " + defaultName + "; SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" + d.slot() + "'")
			l := begun(t, d)
			c.do(d, l)
			_, err := l.next(t.Context())
			isFault(t, "Next", err, fault.SourceLost, c.word, "--full-refresh")
			_, err = l.src.Pending(t.Context(), "s", l.seen)
			isFault(t, "Pending", err, fault.SourceLost, c.word)
		})
	}
}

// What is in the way but not lost.
func TestSlotsOfOthers(t *testing.T) {
	t.Parallel()
	t.Run("physical", func(t *testing.T) {
		d := newDB(t)
		d.sql("CREATE TABLE s (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('phys_" + d.name + "')")
		defer d.sql("SELECT pg_drop_replication_slot('phys_" + d.name + "')")
		_, err := d.loader(settings{"table": "s", "mode": "cdc", "slot": "phys_" + d.name}).next(t.Context())
		isFault(t, "Next", err, fault.InvalidInput, "physical slot")
	})
	t.Run("another database", func(t *testing.T) {
		d, other := newDB(t), newDB(t)
		begun(t, other)
		d.sql("CREATE TABLE s (id int PRIMARY KEY)")
		_, err := d.loader(settings{"table": "s", "mode": "cdc", "slot": other.slot()}).next(t.Context())
		isFault(t, "Next", err, fault.InvalidInput, "another database", "name another slot")
	})
	t.Run("in use", func(t *testing.T) {
		d := newDB(t)
		l := begun(t, d)
		d.sql("INSERT INTO s VALUES (3, 'c')")
		c, err := l.src.connect(t.Context())
		must(t, err)
		defer c.close()
		repl, err := l.src.connectReplication(t.Context())
		must(t, err)
		defer closeReplication(repl)
		f, err := l.src.start(t.Context(), c, repl, l.src.streams["s"], l.cursor().LSN, true)
		must(t, err)
		l.src.patience = 100 * time.Millisecond
		_, err = l.next(t.Context())
		isFault(t, "Next", err, fault.Unavailable, "another process with pid "+itoa(int(repl.PID())), "pg_terminate_backend")
		f.close()
		l.src.patience = busyTimeout
		l.drain()
		if len(l.rows) != 1 {
			t.Errorf("%d rows after the slot was free, want 1", len(l.rows))
		}
	})
	t.Run("left behind", func(t *testing.T) { // by a run that died before its first commit
		d := newDB(t)
		d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'a')")
		l := d.loader(settings{"table": "s", "mode": "cdc"})
		_, err := l.next(t.Context())
		must(t, err)
		d.sql("INSERT INTO s VALUES (2, 'b'); UPDATE s SET v = 'c' WHERE id = 1")
		l.drain()
		sameRows(t, "rows", l.rows, d.all("s", nil)) // each once, although the slot has the changes
	})
}

// The server gives a slot up that keeps too much of its log; a full refresh begins anew.
func TestSlotGivenUp(t *testing.T) {
	t.Parallel()
	p := servicetest.OwnPostgres(t, "max_slot_wal_keep_size=1MB", "max_wal_size=32MB")
	d := newDBOn(t, p)
	l := begun(t, d)
	d.sql("DELETE FROM s WHERE id = 1")
	for range 4 {
		d.sql("CREATE TABLE x (); DROP TABLE x; SELECT pg_switch_wal()")
	}
	d.sql("CHECKPOINT")
	_, err := l.next(t.Context())
	isFault(t, "Next", err, fault.SourceLost, "given the slot up", "max_slot_wal_keep_size", "--full-refresh")
	finding := false
	for _, f := range l.src.Check(t.Context()) {
		finding = finding || !f.OK && strings.Contains(f.What, "slot")
	}
	if !finding {
		t.Error("Check does not tell of the slot")
	}
	old := l.rows
	l.seen = connector.Position{}
	page, err := l.src.Next(t.Context(), connector.Request{Stream: "s", Refresh: true, Dir: t.TempDir()})
	must(t, err)
	l.rows = nil
	l.take(page)
	if len(l.rows) != 2 || l.rows[0]["_op"] != opTruncate || !strings.HasPrefix(l.rows[0]["_seq"], "R") {
		t.Fatalf("the first page of a full refresh: %s", l.rows)
	}
	d.sql("INSERT INTO s VALUES (9, 'i')")
	for l.step() {
	}
	sameRows(t, "the lake", apply(t, []string{"id"}, append(old, l.rows...)), d.all("s", nil))
}

// A transaction that is open keeps a slot from beginning, and may itself wait for the table. Neither may wait for the other.
func TestOpenTransactions(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s SELECT g, 'x' FROM generate_series(1, 10) g; CREATE TABLE other (x int)")
	c, err := pgx.Connect(t.Context(), d.url)
	must(t, err)
	defer c.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		_, err := c.Exec(t.Context(), sql)
		must(t, err)
	}
	exec("BEGIN; INSERT INTO other VALUES (1)")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	_, err = l.next(ctx)
	cancel()
	isFault(t, "a page that waits for a transaction", err, fault.Unavailable)
	l.src.slotTime = 300 * time.Millisecond
	_, err = l.next(t.Context())
	isFault(t, "a page that waits for a transaction for long", err, fault.Unavailable, "waits for transactions", "pg_stat_activity")
	l.src.slotTime = slotTimeout
	done := make(chan error, 1)
	var page connector.Page
	go func() {
		var err error
		page, err = l.next(t.Context())
		done <- err
	}()
	for d.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND backend_type = 'walsender'") != "1" {
		time.Sleep(20 * time.Millisecond)
	}
	exec("ALTER TABLE s ADD COLUMN more int DEFAULT 1; ALTER TABLE s ALTER COLUMN id TYPE bigint; COMMIT") // the second rewrites it
	if err := <-done; err != nil {
		isFault(t, "a page whose table was rewritten", err, fault.Unavailable, "rewritten")
		page, err = l.next(t.Context())
		must(t, err)
	}
	l.take(page)
	l.drain()
	sameRows(t, "rows", append(rowsOf(t, page), l.rows...), d.all("s", nil))
}

// A quiet table of a busy database lets the log go all the same.
func TestQuietTable(t *testing.T) {
	d := newDB(t)
	l := begun(t, d)
	write := func(megabytes int) {
		d.sql("SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) FROM generate_series(1, " + itoa(megabytes) + "); CREATE TABLE o (); DROP TABLE o")
	}
	write(5)
	at := l.seen
	if b := l.pending(); b.Items != 0 || b.Bytes < 5_000_000 {
		t.Errorf("Pending %+v, want nothing but the log's bytes", b)
	}
	if l.step() {
		t.Error("a page for nothing")
	}
	write(70)
	if b := l.pending(); b.Items != 1 {
		t.Errorf("Pending %+v, want 1", b)
	}
	if !l.step() || len(l.rows) != 2 || string(at.Cursor) == string(l.seen.Cursor) {
		t.Errorf("the position did not move: %s", l.seen.Cursor)
	}
	if b := l.pending(); b.Items != 0 {
		t.Errorf("Pending %+v after that", b)
	}
	d.sql("INSERT INTO s VALUES (3, 'c')")
	if b := l.pending(); b.Items != 1 {
		t.Errorf("Pending %+v, want 1", b)
	}
	if len(l.drain()) != 1 {
		t.Errorf("rows %s", l.rows)
	}
}

func TestTimelines(t *testing.T) {
	const history = "1\t0/5000000\tno recovery target specified\n\n2\t1/A0\tbefore 2000-01-01\n"
	for timeline, want := range map[int32]lsn{1: 0x5000000, 2: 1<<32 + 0xA0, 3: 0} {
		if got := leftAt(history, timeline); got != want {
			t.Errorf("timeline %d ended at %s, want %s", timeline, got, want)
		}
	}
}
