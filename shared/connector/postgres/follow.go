package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

const (
	keptLog     = 64 << 20        // how much log may be kept for changes of other tables, before a page moves the position all the same
	pendingTime = 5 * time.Second // how long is looked for a change
)

// follower is what reads the changes behind a position.
type follower struct {
	*changes
	source *source
	repl   *pgconn.PgConn
	cur    *cursor
	now    origin
	target lsn // where the log ended when we began
}

// follow connects, and checks that the changes behind a position can be read.
func (s *source) follow(ctx context.Context, c *conn, st stream, cur *cursor) (f *follower, err error) {
	repl, err := s.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeReplication(repl)
		}
	}()
	f = &follower{source: s, cur: cur, repl: repl}
	t, err := s.describeAlone(ctx, c, st)
	if err != nil {
		return nil, err
	}
	if _, f.now, err = s.subject(ctx, c, repl, st, t, cur); err != nil {
		return nil, err
	}
	if _, err = s.keeps(ctx, c, st, cur.LSN); err != nil {
		return nil, err
	}
	f.changes = &changes{st: st, t: t, era: cur.Era, conn: c, partKey: cur.Snapshot.Key, reached: cur.Snapshot.Reached, end: cur.LSN, big: inProgress{open: map[uint32]*unfinished{}}}
	f.target, err = s.flushed(ctx, c)
	return f, err
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

// read runs the feed from the position on.
func (f *follower) read(ctx context.Context, limit connector.Limit, until time.Time) (full bool, err error) {
	feed, err := f.source.start(ctx, f.repl, f.st, f.cur.LSN)
	if err != nil {
		return false, err
	}
	full, err = f.run(ctx, feed, f.target, limit, until)
	feed.close()
	if err == nil || errors.Is(err, errFound) {
		f.source.released(ctx, f.conn, f.st, f.repl.PID())
		return full, err
	}
	if _, gone := f.source.keeps(ctx, f.conn, f.st, f.cur.LSN); gone != nil && ctx.Err() == nil { // the slot may be why the stream broke
		return false, gone
	}
	return false, brokenFeed(f.st, err)
}

// nextChanges reads the changes behind a position.
func (s *source) nextChanges(ctx context.Context, st stream, cur *cursor, r connector.Request) (connector.Page, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer c.close()
	f, err := s.follow(ctx, c, st, cur)
	if err != nil {
		return connector.Page{}, err
	}
	defer closeReplication(f.repl)
	if err := s.advance(ctx, c, st, cur.LSN); err != nil { // it is committed; who committed it may have died before it could tell
		return connector.Page{}, err
	}
	if f.target <= cur.LSN {
		return connector.Page{}, nil
	}
	f.spool, f.meter, f.big.dir = spool.New(r.Dir, f.t.String()), newMeter(r, 0), r.Dir
	defer f.spool.Abort()
	full, err := f.read(ctx, r.Limit, time.Time{})
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
	defer closeReplication(f.repl)
	if f.target <= cur.LSN {
		return connector.Backlog{}, nil
	}
	b := connector.Backlog{Bytes: int64(f.target - cur.LSN)}
	if b.Bytes >= keptLog {
		b.Items = 1
		return b, nil
	}
	unknown, err := f.read(ctx, connector.Limit{}, time.Now().Add(pendingTime))
	switch {
	case errors.Is(err, errFound) || err == nil && unknown:
		b.Items = 1
		return b, nil
	}
	return b, err
}
