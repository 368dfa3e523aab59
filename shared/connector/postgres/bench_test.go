package postgres

import (
	"syscall"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
)

// cpu is what this process has used of the processor.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const wide = `CREATE TABLE s (id bigint PRIMARY KEY, customer int, name text, amount numeric(12,2), f float8, flag bool, d date, ts timestamptz, h text, n smallint);
	INSERT INTO s SELECT g, g % 1000, 'name of customer ' || (g % 5000), (g % 100000) / 100.0, g * 1.5, g % 2 = 0, date '2024-01-01' + (g % 365)::int,
		timestamptz '2024-01-01' + g * interval '1.001 second', md5(g::text), g % 7 FROM generate_series(1, `

// How many rows come in a second, of a table of ten columns, and what of the processor that takes here, beside the server's part.
func TestRate(t *testing.T) {
	n := 5_000
	if long() {
		n = 2_000_000
	}
	d := newDB(t)
	d.sql(wide + itoa(n) + ") g; ANALYZE s")
	rate := func(what string, l *loader) {
		t.Helper()
		base, used, start := liveHeap(), cpu(), time.Now()
		page, err := l.next(t.Context())
		must(t, err)
		wall, used := time.Since(start), cpu()-used
		rows := 0
		for _, part := range page.Parts {
			for _, f := range part.Files {
				rows += int(f.Rows)
			}
		}
		l.seen = connector.Position{Cursor: page.Cursor}
		t.Logf("SCORE: %s: %d rows, %.0f rows/s, %.0f rows/s a core of our own, heap %d MiB", what, rows, float64(rows)/wall.Seconds(), float64(rows)/used.Seconds(), (liveHeap()-base)>>20)
		if rows != n {
			t.Errorf("%s: %d rows, want %d", what, rows, n)
		}
	}
	rate("full", d.loader(settings{"table": "s", "mode": "full"}))
	rate("watermark", d.loader(settings{"table": "s", "mode": "watermark", "cursor_column": "id"}))
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	rate("first rows", l)
	for l.step() {
	}
	d.sql("UPDATE s SET n = n + 1")
	rate("changes of a large transaction", l)
	d.sql("DO $$ BEGIN FOR i IN 0.." + itoa(n/1000-1) + " LOOP UPDATE s SET n = n + 1 WHERE id > i * 1000 AND id <= i * 1000 + 1000; COMMIT; END LOOP; END $$")
	rate("changes of small transactions", l)
}
