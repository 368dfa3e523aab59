package postgres

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// writer changes a table at random, as applications do.
type writer struct {
	t       *testing.T
	c       *pgx.Conn
	r       *rand.Rand
	next    int   // the next new id
	ids     []int // about those that are there
	done    int   // transactions
	cut     int   // the transaction in which the table is truncated; 0: never
	allowed atomic.Int64
}

func newWriter(t *testing.T, d *db, seed uint64) *writer {
	c, err := pgx.Connect(t.Context(), d.url)
	must(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	return &writer{t: t, c: c, r: rand.New(rand.NewPCG(seed, 1)), next: 1}
}

// long is a text that is not kept in the row itself, and does not get smaller.
func (w *writer) long() string {
	var b strings.Builder
	for range 200 {
		fmt.Fprintf(&b, "%016x", w.r.Uint64())
	}
	return b.String()
}

func (w *writer) exec(ctx context.Context, sql string, args ...any) {
	if _, err := w.c.Exec(ctx, sql, args...); err != nil && ctx.Err() == nil {
		w.t.Errorf("%s: %v", sql, err)
	}
}

func (w *writer) insert(ctx context.Context, n int) {
	for range n {
		w.exec(ctx, "INSERT INTO w (id, name, n, short, long) VALUES ($1, $2, $3, $4, $5)", w.next, fmt.Sprintf("name %d", w.next%7), w.next*10, "short", w.long())
		w.ids = append(w.ids, w.next)
		w.next++
	}
}

// some gives an id that is likely there.
func (w *writer) some() int {
	if len(w.ids) == 0 {
		return 0
	}
	return w.ids[w.r.IntN(len(w.ids))]
}

// change does one thing.
func (w *writer) change(ctx context.Context) {
	switch id := w.some(); w.r.IntN(12) {
	case 0, 1, 2:
		w.insert(ctx, 1+w.r.IntN(4))
	case 3, 4, 5: // the long text stays
		w.exec(ctx, "UPDATE w SET n = n + 1, short = 'changed' WHERE id = $1", id)
	case 6:
		w.exec(ctx, "UPDATE w SET long = $2 WHERE id = $1", id, w.long())
	case 7:
		w.exec(ctx, "UPDATE w SET long = NULL, short = NULL WHERE id = $1", id)
	case 8:
		w.exec(ctx, "DELETE FROM w WHERE id = $1", id)
	case 9, 10: // another key, and the long text stays
		w.exec(ctx, "UPDATE w SET id = $2, n = n + 1000000 WHERE id = $1", id, w.next)
		w.ids = append(w.ids, w.next)
		w.next++
	case 11:
		w.exec(ctx, "UPDATE w SET n = -n WHERE id % 5 = $1", w.r.IntN(5))
	}
}

// transaction does some things, and sometimes takes all or some of them back.
func (w *writer) transaction(ctx context.Context) {
	w.exec(ctx, "BEGIN")
	for range 1 + w.r.IntN(4) {
		w.change(ctx)
		if w.r.IntN(4) == 0 {
			w.exec(ctx, "SAVEPOINT a")
			w.change(ctx)
			w.exec(ctx, "SAVEPOINT b")
			w.change(ctx)
			w.exec(ctx, []string{"ROLLBACK TO b", "ROLLBACK TO a", "RELEASE a"}[w.r.IntN(3)])
			w.change(ctx)
		}
	}
	w.done++
	if w.done == w.cut {
		w.exec(ctx, "TRUNCATE w")
		w.insert(ctx, 3)
	}
	w.exec(ctx, []string{"COMMIT", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[w.r.IntN(5)])
}

// The workloads: how the table is made, and how it is read.
var workloads = []struct {
	name, table string
	stream      settings
	key         []string
}{
	{"key of a number", "CREATE TABLE w (id int PRIMARY KEY, name text, n bigint, short text, long text)", settings{"chunk_rows": "15"}, []string{"id"}},
	{"key of a text and a number", "CREATE TABLE w (id int, name text, n bigint, short text, long text, PRIMARY KEY (name, id))", settings{"chunk_rows": "15"}, []string{"name", "id"}},
	{"key in an order that is not known here", `CREATE TABLE w (id int, name text COLLATE "und-x-icu", n bigint, short text, long text, PRIMARY KEY (name, id))`, settings{"chunk_rows": "15"}, []string{"name", "id"}},
	{"no key", "CREATE TABLE w (id int, name text, n bigint, short text, long text); ALTER TABLE w REPLICA IDENTITY FULL", settings{"primary_key": "id", "chunk_rows": "3"}, []string{"id"}},
	{"an index as identity", "CREATE TABLE w (id int NOT NULL, name text, n bigint, short text, long text); CREATE UNIQUE INDEX w_id ON w (id); ALTER TABLE w REPLICA IDENTITY USING INDEX w_id", settings{}, []string{"id"}},
	{"partitions", `CREATE TABLE w (id int PRIMARY KEY, name text, n bigint, short text, long text) PARTITION BY RANGE (id);
		CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (MINVALUE) TO (60); CREATE TABLE w2 PARTITION OF w FOR VALUES FROM (60) TO (150); CREATE TABLE w3 PARTITION OF w DEFAULT`, settings{"chunk_rows": "15"}, []string{"id"}},
}

// While a table is read for the first time and its changes are, applications write, and runs die at any moment. In the end the lake has what the
// table has, row for row.
func TestWorkload(t *testing.T) {
	t.Parallel()
	for i, load := range workloads {
		t.Run(load.name, func(t *testing.T) {
			t.Parallel()
			d := newDB(t)
			d.sql(load.table + "; ALTER DATABASE " + d.name + " SET logical_decoding_work_mem = '64kB'")
			w := newWriter(t, d, uint64(i))
			w.insert(t.Context(), 120)
			load.stream["table"], load.stream["mode"] = "public.w", "cdc"
			l := d.loader(load.stream)
			l.limit = connector.Limit{Rows: 40}
			ctx, stop := context.WithCancel(t.Context())
			var over sync.WaitGroup
			w.cut = 40
			transactions := 80
			if long() {
				transactions = 2000
			}
			over.Go(func() {
				for w.done < transactions && ctx.Err() == nil {
					if int64(w.done) < w.allowed.Load() {
						w.transaction(ctx)
					} else {
						time.Sleep(time.Millisecond)
					}
				}
			})
			dying(t, l, w.r.IntN(1000), func() bool { w.allowed.Add(8); return w.finished(&over) })
			over.Wait()
			stop()
			for l.step() {
			}
			got := apply(t, load.key, l.rows)
			sameRows(t, "the lake", got, d.all("w", nil))
			t.Logf("%d rows of %d changes on %d pages", len(got), len(l.rows), l.pages)
			if load.name != "key in an order that is not known here" && load.name != "no key" {
				wholeStory(t, load.key, l.rows)
			}
		})
	}
}

func (w *writer) finished(over *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() { over.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(time.Millisecond):
		return false
	}
}

// dying reads pages until it is enough; every third one is cancelled at some moment.
func dying(t *testing.T, l *loader, seed int, enough func() bool) {
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	for n := 0; !enough(); n++ {
		limit := time.Minute
		if n%3 == 0 {
			limit = time.Duration(r.IntN(200)) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		page, err := l.next(ctx)
		cancel()
		switch {
		case err == nil:
			l.take(page)
		case fault.KindOf(err) != fault.Unavailable:
			t.Fatalf("cancelled: %v", err)
		}
	}
}

// wholeStory checks that each update that left a value out comes behind the row that has it: also while the table is read for the first time.
func wholeStory(t *testing.T, key []string, changes []row) {
	there, o := map[string]string{}, oracle{key: key}
	for _, c := range changes { // as they came
		k := o.keyOf(c)
		switch c["_op"] {
		case opTruncate:
			maps.DeleteFunc(there, func(_, seq string) bool { return seq < c["_seq"] })
		case opDelete:
			delete(there, k)
		default:
			if c["_op"] == opUpdate && c["_unchanged"] != null && there[k] == "" {
				for _, h := range changes {
					if o.keyOf(h) == k || h["_op"] == opTruncate {
						h["long"] = h["long"][:min(10, len(h["long"]))]
						t.Logf("its story: %s", h)
					}
				}
				t.Fatalf("an update of a row that did not come before: %s", c)
			}
			there[k] = c["_seq"]
		}
	}
}
