package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

const (
	keptLog     = 64 << 20        // how much log may be kept for changes of other tables, before a page moves the position all the same
	pendingTime = 5 * time.Second // how long is looked for a change
)

// follower is what reads the changes behind a position.
type follower struct {
	*changes
	source *source
	st     stream
	t      *table
	c      *conn
	repl   *pgconn.PgConn
	cur    *cursor
	now    origin
	target lsn // where the log ended when we began
}

// follow connects, and checks that the changes behind a position can be read.
func (s *source) follow(ctx context.Context, c *conn, st stream, cur *cursor) (*follower, error) {
	f := &follower{source: s, st: st, c: c, cur: cur}
	err := f.open(ctx)
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *follower) open(ctx context.Context) (err error) {
	s := f.source
	if f.repl, err = s.connectReplication(ctx); err != nil {
		return err
	}
	if f.t, err = s.describe(ctx, f.c, f.st); err != nil {
		return err
	}
	if _, f.now, err = s.subject(ctx, f.c, f.repl, f.st, f.t, f.cur); err != nil {
		return err
	}
	if _, err = s.keeps(ctx, f.c, f.st, f.cur.LSN); err != nil {
		return err
	}
	f.target, err = s.flushed(ctx, f.c)
	return err
}

func (f *follower) close() {
	closeReplication(f.repl)
	if f.changes != nil && f.spool != nil {
		f.spool.Abort()
	}
}

// flushed is where the server's log ends: what is behind it may not be there after a crash.
func (s *source) flushed(ctx context.Context, c *conn) (lsn, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	var at string
	err := c.QueryRow(ctx, "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text").Scan(&at)
	if err != nil {
		return 0, failed("ask for the end of the log of", s.cfg.Name, err)
	}
	return parseLSN(at)
}

// read runs the feed from the position on, into files in dir, or, without one, until the first change. The server sends large transactions before
// they end; some it cannot decode then, but once they have ended (PostgreSQL 15: one that alters a table, and takes that back in part).
func (f *follower) read(ctx context.Context, dir string, r connector.Request, until time.Time) (full bool, err error) {
	full, err = f.try(ctx, dir, true, r, until)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "XX000" {
		return full, f.broken(ctx, err)
	}
	f.close()
	if f.repl, err = f.source.connectReplication(ctx); err != nil {
		return false, err
	}
	full, err = f.try(ctx, dir, false, r, until)
	return full, f.broken(ctx, err)
}

func (f *follower) try(ctx context.Context, dir string, early bool, r connector.Request, until time.Time) (full bool, err error) {
	f.changes = &changes{st: f.st, t: f.t, era: f.cur.Era, conn: f.c, partKey: f.cur.Snapshot.Key, reached: f.cur.Snapshot.Reached, end: f.cur.LSN,
		big: inProgress{dir: dir, open: map[uint32]*unfinished{}}}
	if dir != "" {
		f.spool, f.meter = spool.New(dir, f.t.String()), newMeter(r, 0)
	}
	feed, err := f.source.start(ctx, f.c, f.repl, f.st, f.cur.LSN, early)
	if err != nil {
		return false, err
	}
	full, err = f.run(ctx, feed, f.target, r.Limit, until)
	feed.close()
	if ctx.Err() == nil {
		f.source.released(ctx, f.c, f.st, f.repl.PID())
	}
	return full, err
}

// broken says what the end of a feed means. The slot may be why it broke.
func (f *follower) broken(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errFound) {
		return err
	}
	if _, gone := f.source.keeps(ctx, f.c, f.st, f.cur.LSN); fault.KindOf(gone) == fault.SourceLost {
		return gone
	}
	return brokenFeed(f.st, err)
}

// nextChanges reads the changes behind a position.
func (s *source) nextChanges(ctx context.Context, st stream, cur *cursor, r connector.Request) (connector.Page, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer s.done(c)
	f, err := s.follow(ctx, c, st, cur)
	if err != nil {
		return connector.Page{}, err
	}
	defer f.close()
	if err := s.advance(ctx, c, st, cur.LSN); err != nil { // it is committed; who committed it may have died before it could tell
		return connector.Page{}, err
	}
	if f.target <= cur.LSN {
		return connector.Page{}, nil
	}
	full, err := f.read(ctx, r.Dir, r, time.Time{})
	if err != nil || f.rows == 0 && f.end < cur.LSN+keptLog {
		return connector.Page{}, err
	}
	return f.page(full)
}

// page makes the page of what was read.
func (f *follower) page(more bool) (connector.Page, error) {
	parts, err := f.parts()
	if err != nil {
		return connector.Page{}, err
	}
	next := f.cur.clone()
	next.LSN, next.Origin = f.end, &f.now
	if newest(next.Snapshot.Reached) <= next.LSN { // no change is older than the rows that were read first
		next.Snapshot.Reached = nil
	}
	doc, err := next.document()
	return connector.Page{Parts: parts, Cursor: doc, More: more}, err
}

func newest(parts []reached) (out lsn) {
	for _, p := range parts {
		out = max(out, p.LSN)
	}
	return out
}

// pendingChanges looks whether there is a change behind a position.
func (s *source) pendingChanges(ctx context.Context, c *conn, st stream, cur *cursor) (connector.Backlog, error) {
	f, err := s.follow(ctx, c, st, cur)
	if err != nil {
		return connector.Backlog{}, err
	}
	defer f.close()
	if f.target <= cur.LSN {
		return connector.Backlog{}, nil
	}
	b := connector.Backlog{Bytes: int64(f.target - cur.LSN)}
	if b.Bytes >= keptLog {
		b.Items = 1
		return b, nil
	}
	unknown, err := f.read(ctx, "", connector.Request{}, time.Now().Add(pendingTime))
	if errors.Is(err, errFound) || err == nil && unknown {
		b.Items = 1
		return b, nil
	}
	return b, err
}
