package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// How the first rows and the changes fit together. A slot that is made at a place C of the log exports a snapshot that sees exactly the
// transactions whose commit lies before C, and gives the changes of exactly those at C or behind it. So a row that is read in that snapshot has all
// changes before C in it and none behind: with C as its _seq it is newer than the former and older than the latter.
//
// The first page makes the stream's own slot, at C0, and the position begins there. Later pages are read in a later snapshot, at Ck, of a slot that
// lives only as long as the page. Between C0 and Ck a row may have changed: then the slot gives that change later on, when its effect is in the row
// already. The change is stale, and its _seq says so. It is left out where the keys tell of which page the row was (see reached); where they do
// not, whoever takes the row with the greatest _seq is right all the same.

// nextOfSnapshot reads the next rows of those that the table had when the stream began.
func (s *source) nextOfSnapshot(ctx context.Context, st stream, cur *cursor, r connector.Request) (connector.Page, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer s.done(c)
	if c.version < 140000 {
		return connector.Page{}, fault.New(fault.InvalidInput, "read changes of", s.object(st), "the server is of version %d", c.version/10000).
			WithHint("mode cdc needs PostgreSQL 14 or later; mode watermark and full work with older ones (%s)", st.at)
	}
	if cur == nil {
		if err = s.publish(ctx, c, st); err == nil && r.Refresh {
			err = s.dropLost(ctx, c, st)
		}
	} else {
		_, err = s.keeps(ctx, c, st, cur.LSN)
	}
	if err != nil {
		return connector.Page{}, err
	}
	repl, err := s.connectReplication(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer closeReplication(repl)
	t, err := s.measure(ctx, c, st)
	if err != nil {
		return connector.Page{}, err
	}
	pub, now, err := s.subject(ctx, c, repl, st, t, cur)
	if err != nil {
		return connector.Page{}, err
	}
	snap, err := s.slotSnapshot(ctx, c, repl, st, cur == nil)
	if err != nil {
		return connector.Page{}, err
	}
	next := &cursor{Mode: modeCDC, LSN: snap.at, Snapshot: &snapshot{}}
	if cur != nil {
		next = cur.clone()
	} else if r.Refresh {
		if next.Era, err = s.era(ctx, c); err != nil {
			return connector.Page{}, err
		}
	}
	next.Origin = &now
	w := &crew{source: s, st: st, snapshot: snap, seq: sequence(next.Era, snap.at, 0), filter: pub.filter, dir: r.Dir}
	defer w.close()
	if err := w.assemble(ctx, c, t); err != nil {
		return connector.Page{}, err
	}
	if w.columns, err = w.t.selected(st, pub.columns); err != nil {
		return connector.Page{}, err
	}
	page, err := w.page(ctx, next, r)
	if err == nil && cur == nil && r.Refresh {
		err = w.begunAnew(&page)
	}
	return page, err
}

// era is when a full refresh begins, by the server's clock.
func (s *source) era(ctx context.Context, c *conn) (string, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	var micros int64
	err := c.QueryRow(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&micros)
	return newEra(micros), failed("ask for the time of", s.cfg.Name, err)
}

// begunAnew puts before the rows of a full refresh that all rows of the past are gone: deletes may be among what was not seen. It has the sequence of
// the rows, of which a truncation comes first.
func (w *crew) begunAnew(page *connector.Page) error {
	files := spool.New(w.dir, w.t.String())
	defer files.Abort()
	one := newSheet(files, names(w.columns), w.t.decoders(w.columns), true)
	if err := one.truncation(w.snapshot.at, w.seq); err != nil {
		return err
	}
	if err := one.rows.Flush(); err != nil {
		return err
	}
	parts, err := files.Parts()
	page.Parts = merge(parts, page.Parts)
	return err
}

// subject checks that changes can be read of a table, and that it is the one that a position is of.
func (s *source) subject(ctx context.Context, c *conn, repl *pgconn.PgConn, st stream, t *table, cur *cursor) (*publication, origin, error) {
	now, err := s.identify(ctx, repl, c)
	if err != nil {
		return nil, now, err
	}
	question, cancel := question(ctx)
	defer cancel()
	pub, err := s.published(question, c, st, t)
	if err == nil && pub == nil {
		err = lost(st, "there is no publication %s any more", st.publication)
	}
	if err != nil {
		return nil, now, err
	}
	now.Table, now.Publication = t.oid, pub.oid
	if cur != nil {
		if err := s.belongs(ctx, repl, st, cur, now); err != nil {
			return nil, now, err
		}
	}
	return pub, now, t.wholeIdentity(st)
}

// slotSnapshot takes a snapshot of an exactly known place: that of the stream's slot, which it makes, or that of a slot for the moment. A slot that is
// there before the first page was left behind by a run that died, or made by hand: it is older than the snapshot, which is all it has to be.
func (s *source) slotSnapshot(ctx context.Context, c *conn, repl *pgconn.PgConn, st stream, first bool) (exported, error) {
	if !first {
		return s.createSlot(ctx, repl, st, true)
	}
	sl, err := s.slotOf(ctx, c, st)
	switch {
	case err != nil:
		return exported{}, err
	case sl == nil:
		return s.createSlot(ctx, repl, st, false)
	case sl.confirmed == 0 && sl.pid != 0:
		return exported{}, fault.New(fault.Unavailable, "read changes from slot", st.slot, "another process with pid %d is about to make it", sl.pid).WithHint("wait for the other run")
	}
	if err := sl.usable(st); err != nil {
		return exported{}, err
	}
	return s.createSlot(ctx, repl, st, true)
}

// nextOfLoad reads the next rows of a load of the whole table.
func (s *source) nextOfLoad(ctx context.Context, st stream, cur *cursor, r connector.Request) (connector.Page, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer s.done(c)
	t, err := s.measure(ctx, c, st)
	if err != nil {
		return connector.Page{}, err
	}
	exporter, err := s.dial(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	w := &crew{source: s, st: st, dir: r.Dir}
	w.all = []*worker{{crew: w, c: exporter, exporter: true}}
	defer w.close()
	if w.snapshot, err = exporter.export(ctx); err != nil {
		return connector.Page{}, failed("read", t.String(), err)
	}
	if err := w.assemble(ctx, c, t); err != nil {
		return connector.Page{}, err
	}
	if w.columns, err = w.t.selected(st, nil); err != nil {
		return connector.Page{}, err
	}
	next := &cursor{Mode: modeFull, Snapshot: &snapshot{Load: 1}}
	switch {
	case cur != nil && cur.Snapshot.Done:
		next.Snapshot.Load = cur.Snapshot.Load + 1
	case cur != nil:
		next = cur.clone()
	}
	return w.page(ctx, next, r)
}

// export begins a transaction, and exports what it sees.
func (c *conn) export(ctx context.Context) (out exported, err error) {
	ctx, cancel := question(ctx)
	defer cancel()
	if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return out, err
	}
	return out, c.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&out.name)
}

// page reads rows from where a position's snapshot stands, and moves it on.
func (w *crew) page(ctx context.Context, next *cursor, r connector.Request) (connector.Page, error) {
	cut, err := w.cutter(next.Snapshot, r.Limit)
	if err != nil {
		return connector.Page{}, err
	}
	w.meter = newMeter(r, int64(w.t.tuples)-next.Snapshot.Rows)
	parts, err := w.read(ctx, cut)
	if err != nil {
		return connector.Page{}, err
	}
	changes := w.st.mode == modeCDC
	next.Snapshot.advance(cut, w.meter.total(), w.snapshot, changes)
	doc, err := next.document()
	return connector.Page{Parts: parts, Cursor: doc, More: changes || !next.Snapshot.Done}, err
}

// cutter goes on where a snapshot stands.
func (w *crew) cutter(at *snapshot, limit connector.Limit) (*cutter, error) {
	t := w.t
	k := &cutter{t: t, filter: w.filter, rows: w.st.chunkRows, limit: limit, next: at.Next, block: at.Block}
	if at.Rows > 0 {
		k.width = max(at.Bytes/at.Rows, 1)
	} else if t.tuples > 0 {
		k.width = int64(float64(t.size) / t.tuples)
	}
	began := at.Key != nil || at.FileNode != 0
	switch {
	case !began:
		at.Key = t.unique
	case at.Key == nil && at.FileNode != t.filenode: // the blocks are others now: read them all
		at.Block, k.block = 0, 0
	}
	for _, n := range at.Key {
		col, ok := t.column(n)
		if !ok {
			return nil, fault.New(fault.InvalidInput, "read", t.String(), "the table lost its key column %s while it was read for the first time", n).WithHint("begin anew with lakestep run --full-refresh (docs/sources-postgres.md)")
		}
		k.key = append(k.key, col)
	}
	if k.key == nil {
		at.FileNode = t.filenode
		k.whole = t.kind == "v" || t.kind == "f"
		if w.st.mode == modeFull { // blocks of different snapshots do not fit together: a row that moved would come twice, or never
			k.limit = connector.Limit{}
		}
	}
	return k, nil
}

// maxReached bounds the list of parts in a position.
const maxReached = 200

// advance moves a snapshot on by what was read of it.
func (at *snapshot) advance(cut *cutter, read progress, snap exported, changes bool) {
	at.Rows += read.rows
	at.Bytes += read.bytes
	at.Done, at.Next, at.Block = cut.ended, cut.next, cut.block
	if cut.ended {
		at.Next, at.Block = nil, 0
	}
	if !changes || at.Key == nil {
		return
	}
	at.Reached = append(at.Reached, reached{To: at.Next, LSN: snap.at})
	if len(at.Reached) > maxReached { // two neighbours become one: of the older place, so that no change is left out that must not be
		for i := range maxReached / 2 {
			a, b := at.Reached[2*i], at.Reached[2*i+1]
			at.Reached[i] = reached{To: b.To, LSN: min(a.LSN, b.LSN)}
		}
		at.Reached = slices.Concat(at.Reached[:maxReached/2], at.Reached[2*(maxReached/2):])
	}
}

// pendingRows tells about how many rows of a table are left to read.
func (s *source) pendingRows(ctx context.Context, c *conn, st stream, cur *cursor) (connector.Backlog, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	t, err := s.measure(ctx, c, st)
	if err != nil {
		return connector.Backlog{}, err
	}
	b := connector.Backlog{Items: 1, Rows: int64(max(t.tuples, 0)), Bytes: t.size}
	if cur != nil && !cur.Snapshot.Done {
		b.Rows = max(b.Rows-cur.Snapshot.Rows, 0)
		b.Bytes = max(b.Bytes-cur.Snapshot.Bytes, 0)
	}
	b.Items = int(max((b.Rows+st.chunkRows-1)/st.chunkRows, 1))
	return b, nil
}
