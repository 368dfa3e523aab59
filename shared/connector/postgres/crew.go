package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// crew reads chunks of a table as of one snapshot, several at once.
type crew struct {
	source   *source
	st       stream
	t        *table
	columns  []column
	snapshot exported
	seq      string // of the rows, in mode cdc
	filter   string
	dir      string // of the files
	meter    *meter

	all     []*worker
	done    chan outcome
	idle    []*worker
	busy    int
	failure error // the first one
}

// worker reads chunks, one after the other, into files of its own.
type worker struct {
	crew     *crew
	c        *conn
	exporter bool // the snapshot is its own
	spool    *spool.Spool
	sheet    *sheet
}

// outcome is that of a chunk.
type outcome struct {
	by  *worker
	err error
}

// assemble opens the connections, which take the snapshot over and hold the table, and describes the table as they hold it.
//
// The locks come after the snapshot, and its files must be the same then as before it. The other way round there could be a deadlock that the server
// does not see: a slot, which gives the snapshot, waits for open transactions to end, and one of those may wait for our lock to alter the table. All
// locks come at once, and none is waited for long: whoever waits to alter the table lets those go on that have theirs, and lets no other one begin.
func (w *crew) assemble(ctx context.Context, c *conn, before *table) error {
	n := w.st.parallel
	if before.tuples >= 0 && int64(before.tuples) <= w.st.chunkRows {
		n = 1
	}
	for len(w.all) < n {
		c, err := w.source.dial(ctx)
		if err != nil {
			return err
		}
		w.all = append(w.all, &worker{crew: w, c: c})
	}
	for _, one := range w.all {
		if err := one.takeOver(ctx, before); err != nil {
			return failed("lock", before.String(), err)
		}
	}
	ctx, cancel := question(ctx)
	defer cancel()
	t, err := w.source.same(ctx, c, w.st, before)
	w.t = t
	return err
}

// takeOver begins a transaction that sees what the exported snapshot sees, and holds the table.
func (o *worker) takeOver(ctx context.Context, t *table) error {
	ctx, cancel := question(ctx)
	defer cancel()
	sql := ""
	if !o.exporter {
		sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " + quote(o.crew.snapshot.name) + "; "
	}
	sql += "SET LOCAL lock_timeout = '5s'; "
	if o.crew.st.mode == modeCDC { // changes come of all rows: then all must be read, or none
		sql += "SET LOCAL row_security = off; "
	}
	_, err := o.c.PgConn().Exec(ctx, sql+t.touch()).ReadAll()
	return err
}

// close ends the connections, and gives up files that were not completed.
func (w *crew) close() {
	for _, one := range w.all {
		one.c.close()
		if one.spool != nil {
			one.spool.Abort()
		}
	}
}

// read has chunks read until the page is full or the table at its end.
func (w *crew) read(ctx context.Context, cut *cutter) ([]connector.Part, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.done, w.idle = make(chan outcome), slices.Clone(w.all)
	for w.failure == nil {
		if len(w.idle) == 0 {
			w.await()
			continue
		}
		c, ok, err := cut.cut(ctx, w.idle[len(w.idle)-1].c, w.meter.total())
		switch {
		case err != nil:
			w.failure = err
		case ok:
			w.give(ctx, c)
		case w.busy > 0:
			w.await() // what was read may tell that more fits
		default:
			return w.parts()
		}
	}
	cancel()
	for w.busy > 0 {
		w.await()
	}
	return nil, w.failure
}

// give has a chunk read.
func (w *crew) give(ctx context.Context, c chunk) {
	one := w.idle[len(w.idle)-1]
	w.idle = w.idle[:len(w.idle)-1]
	w.busy++
	go func() { w.done <- outcome{one, one.read(ctx, c)} }()
}

// await waits for a chunk to be read.
func (w *crew) await() {
	o := <-w.done
	w.busy--
	w.idle = append(w.idle, o.by)
	if w.failure == nil {
		w.failure = o.err
	}
}

// parts completes the files.
func (w *crew) parts() (out []connector.Part, err error) {
	for _, one := range w.all {
		if one.sheet == nil {
			continue
		}
		if err := one.sheet.rows.Flush(); err != nil {
			return nil, err
		}
		parts, err := one.spool.Parts()
		if err != nil {
			return nil, err
		}
		out = merge(out, parts)
	}
	return out, nil
}

// merge puts files of the same columns into one part: all are of one snapshot, so that columns of a name are of one type.
func merge(parts, more []connector.Part) []connector.Part {
	for _, p := range more {
		i := slices.IndexFunc(parts, func(q connector.Part) bool { return slices.Equal(p.Columns, q.Columns) })
		if i < 0 {
			parts = append(parts, p)
		} else {
			parts[i].Files = append(parts[i].Files, p.Files...)
		}
	}
	return parts
}

// begin opens the worker's files.
func (o *worker) begin() error {
	w := o.crew
	dir := filepath.Join(w.dir, "reader-"+strconv.Itoa(slices.Index(w.all, o)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fault.New(fault.Internal, "read", w.t.String(), "%w", err)
	}
	o.spool = spool.New(dir, w.t.String())
	o.sheet = newSheet(o.spool, names(w.columns), w.t.decoders(w.columns), w.st.mode == modeCDC)
	return nil
}

// read copies a chunk.
func (o *worker) read(ctx context.Context, c chunk) error {
	w := o.crew
	if o.sheet == nil {
		if err := o.begin(); err != nil {
			return err
		}
	}
	to := &copied{sheet: o.sheet, meter: w.meter}
	if w.st.mode == modeCDC {
		to.meta = func() { o.sheet.meta.snapshot(opRead, w.snapshot.at, w.seq) }
	}
	sql := fmt.Sprintf("COPY (SELECT %s FROM %s%s) TO STDOUT", list(names(w.columns)), w.t.from(), and(c.where, w.filter))
	return w.source.copy(ctx, o.c, w.t, sql, to)
}

// copy runs a COPY ... TO STDOUT.
func (s *source) copy(ctx context.Context, c *conn, t *table, sql string, to *copied) error {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	_, err := c.PgConn().CopyTo(ctx, to, sql)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42703" { // the column was there a moment ago
		return fault.New(fault.Unavailable, "read", t.String(), "the table lost a column at this very moment").WithHint("the step is repeated")
	}
	if err != nil {
		return failed("read", t.String(), err)
	}
	to.report()
	return nil
}

func (t *table) decoders(columns []column) []decoder {
	out := make([]decoder, len(columns))
	for i, c := range columns {
		out[i] = decoderOf(t.types[c.typeOID], c.typmod)
	}
	return out
}
