package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

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

	done    chan outcome
	all     []*worker
	idle    []*worker
	busy    int
	failure error // the first one
}

// worker reads chunks, one after the other, into files of its own.
type worker struct {
	crew   *crew
	number int
	c      *conn
	spool  *spool.Spool
	sheet  *sheet
}

// outcome is that of a chunk.
type outcome struct {
	by  *worker
	err error
}

// read has chunks read until the page is full or the table at its end.
func (w *crew) read(ctx context.Context, cut *cutter) ([]connector.Part, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.done = make(chan outcome)
	for w.failure == nil {
		if w.busy == w.st.parallel {
			w.await()
			continue
		}
		c, ok, err := cut.cut(ctx, w.meter.total())
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
	_, _ = w.parts()
	return nil, w.failure
}

// give has a chunk read.
func (w *crew) give(ctx context.Context, c chunk) {
	if len(w.idle) == 0 {
		one := &worker{crew: w, number: len(w.all)}
		w.all, w.idle = append(w.all, one), append(w.idle, one)
	}
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

// parts completes the files, or gives them up after a failure.
func (w *crew) parts() (out []connector.Part, err error) {
	for _, one := range w.all {
		one.c.close()
		if one.sheet == nil {
			continue
		}
		if w.failure != nil {
			one.spool.Abort()
			continue
		}
		err := one.sheet.rows.Flush()
		parts, err2 := one.spool.Parts()
		if err == nil {
			err = err2
		}
		if err != nil {
			w.failure = err
			continue
		}
		out = merge(out, parts)
	}
	return out, w.failure
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

// begin opens the worker's transaction on the snapshot, and its files.
func (o *worker) begin(ctx context.Context) (err error) {
	w := o.crew
	if o.c, err = w.source.connect(ctx); err != nil {
		return err
	}
	if err := o.c.takeOver(ctx, w.snapshot); err != nil {
		return failed("read", w.t.String(), err)
	}
	dir := filepath.Join(w.dir, "reader-"+strconv.Itoa(o.number))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fault.New(fault.Internal, "read", w.t.String(), "%w", err)
	}
	o.spool = spool.New(dir, w.t.String())
	o.sheet = newSheet(o.spool, names(w.columns), w.t.decoders(w.columns), w.st.mode == modeCDC)
	return nil
}

// takeOver begins a transaction that sees what an exported snapshot sees.
func (c *conn) takeOver(ctx context.Context, snapshot exported) error {
	ctx, cancel := question(ctx)
	defer cancel()
	_, err := c.PgConn().Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+quote(snapshot.name)).ReadAll()
	return err
}

// read copies a chunk.
func (o *worker) read(ctx context.Context, c chunk) error {
	w := o.crew
	if o.c == nil {
		if err := o.begin(ctx); err != nil {
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
	if _, err := c.PgConn().CopyTo(ctx, to, sql); err != nil {
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
