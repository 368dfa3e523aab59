package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// identify asks the server who it is.
func (s *source) identify(ctx context.Context, r *pgconn.PgConn, c *conn) (origin, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	system, err := pglogrepl.IdentifySystem(ctx, r)
	if err != nil {
		return origin{}, failed("identify", s.cfg.Name, err)
	}
	out := origin{System: system.SystemID, Timeline: system.Timeline}
	err = c.QueryRow(ctx, "SELECT oid FROM pg_database WHERE datname = current_database()").Scan(&out.Database)
	return out, failed("identify", s.cfg.Name, err)
}

// belongs refuses a position of another database or table. A server that was promoted is the same up to where it was, and keeps the history of that.
func (s *source) belongs(ctx context.Context, r *pgconn.PgConn, st stream, cur *cursor, now origin) error {
	was := cur.Origin
	switch {
	case was == nil:
		return lost(st, "the position does not tell of which database it is")
	case was.System != now.System:
		return lost(st, "the position is of another database cluster (%s, this is %s)", was.System, now.System)
	case was.Database != now.Database:
		return lost(st, "the position is of another database (oid %d, this is %d)", was.Database, now.Database)
	case was.Table != now.Table:
		return lost(st, "the table was dropped and made anew (oid %d, now %d)", was.Table, now.Table)
	case was.Publication != now.Publication:
		return lost(st, "publication %s was dropped and made anew", st.publication)
	case was.Timeline == now.Timeline:
		return nil
	}
	if now.Timeline < was.Timeline {
		return lost(st, "the server was set back, from timeline %d to %d", was.Timeline, now.Timeline)
	}
	end, err := s.endOfTimeline(ctx, r, was.Timeline, now.Timeline)
	if err != nil {
		return err
	}
	if cur.LSN > end {
		return lost(st, "the server was set back: it left timeline %d at %s, the table is at %s", was.Timeline, end, cur.LSN)
	}
	return nil
}

// endOfTimeline is where a server left an old timeline; 0 where the newer one does not come from it.
func (s *source) endOfTimeline(ctx context.Context, r *pgconn.PgConn, old, now int32) (lsn, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	history, err := pglogrepl.TimelineHistory(ctx, r, now)
	if err != nil {
		return 0, failed("read the timelines of", s.cfg.Name, err)
	}
	return leftAt(string(history.Content), old), nil
}

// leftAt finds a timeline's end in a history file: lines of timeline, end, reason.
func leftAt(history string, timeline int32) lsn {
	for line := range strings.Lines(history) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == strconv.Itoa(int(timeline)) {
			end, _ := parseLSN(f[1])
			return end
		}
	}
	return 0
}
