package snowflake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// snapshot is how far a stream of mode full has been read: its document. The whole is the result of one query, which Snowflake keeps for a
// day: a page is some of the result's chunks, and the next page, maybe of another process, goes on in the same result.
type snapshot struct {
	V       int    `json:"v"`
	Altered string `json:"altered,omitempty"` // when the table had last been, before the query; "" when nobody knows
	Query   string `json:"query"`             // that has the result
	Chunks  int    `json:"chunks"`            // of the result
	Taken   int    `json:"taken"`             // of them
	Total   int64  `json:"total"`             // rows of the result
	Rows    int64  `json:"rows"`              // of them that were taken
}

// under tells whether there is more of the result to be read.
func (s snapshot) under() bool { return s.Taken < s.Chunks }

func parseSnapshot(seen connector.Position, st stream) (p snapshot, ok bool, err error) {
	if len(seen.Cursor) == 0 {
		return p, false, nil
	}
	if err := json.Unmarshal(seen.Cursor, &p); err != nil || p.V != 1 || p.Query == "" {
		return p, false, fault.New(fault.SourceLost, "read position of", st.name, "it is none of this connector in mode full").
			WithHint("the stream was read in another way before: refresh its table as a whole")
	}
	return p, true, nil
}

// pendingWhole tells whether the table has changed since it was read; of a view or a query nobody knows.
func (s *source) pendingWhole(ctx context.Context, st stream, seen connector.Position) (connector.Backlog, error) {
	p, started, err := parseSnapshot(seen, st)
	if err != nil {
		return connector.Backlog{}, err
	}
	if started && p.under() {
		return connector.Backlog{Items: 1, Rows: p.Total - p.Rows}, nil
	}
	t, err := s.stat(ctx, st)
	if err != nil || started && t.altered != "" && t.altered == p.Altered {
		return connector.Backlog{}, err
	}
	return connector.Backlog{Items: 1, Rows: t.rows, Bytes: t.bytes}, nil
}

// stat is what the account says of a stream's table.
type stat struct {
	altered     string // "" when it does not say
	rows, bytes int64
}

func (s *source) stat(ctx context.Context, st stream) (stat, error) {
	if st.table == nil {
		return stat{}, nil
	}
	rows, _, err := s.table(ctx, action{"look up", st.origin, st}, fmt.Sprintf(
		"SELECT LAST_ALTERED, ROW_COUNT, BYTES FROM %s.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND TABLE_TYPE = 'BASE TABLE'",
		quoted(st.table[0]), literal(st.table[1]), literal(st.table[2])))
	if err != nil || len(rows) != 1 || len(rows[0]) != 3 {
		return stat{}, err
	}
	var t stat
	if rows[0][0] != nil {
		t.altered = *rows[0][0]
	}
	if t.rows, err = whole(rows[0][1]); err == nil {
		t.bytes, err = whole(rows[0][2])
	}
	if err != nil {
		return stat{}, fault.New(fault.Internal, "look up", st.origin, "%w", err)
	}
	return t, nil
}

// nextWhole reads the next page of a snapshot, or the first one of a new snapshot when the table has changed.
func (s *source) nextWhole(ctx context.Context, st stream, r connector.Request) (connector.Page, error) {
	p, started, err := parseSnapshot(r.Seen, st)
	if err != nil {
		return connector.Page{}, err
	}
	if started && p.under() {
		page, err := s.resume(ctx, st, r, p)
		if !errors.Is(err, errGone) {
			return page, err
		} // the rows of this snapshot that came stay, and another snapshot is read
	}
	t, err := s.stat(ctx, st)
	if err != nil || started && !p.under() && t.altered != "" && t.altered == p.Altered {
		return connector.Page{}, err
	}
	what := action{"read", st.origin, st}
	all, err := s.describe(ctx, action{"describe", st.origin, st}, "SELECT * FROM "+st.relation)
	if err != nil {
		return connector.Page{}, err
	}
	list, columns, err := st.selected(all)
	if err != nil {
		return connector.Page{}, fault.New(fault.InvalidInput, "read stream", st.name, "%w", err).WithHint("check columns (%s)", st.at)
	}
	res, err := s.scan(ctx, what, "SELECT "+list+" FROM "+st.relation)
	if err != nil {
		return connector.Page{}, err
	}
	p = snapshot{V: 1, Altered: t.altered, Query: or(res.id, "unknown"), Chunks: len(res.chunks), Total: res.total}
	return s.pageOf(ctx, st, r, p, shapeOf(columns, res.columns), res.chunks)
}

// pageOf takes chunks of a result until the page is full.
func (s *source) pageOf(ctx context.Context, st stream, r connector.Request, p snapshot, sh *shape, chunks []chunk) (connector.Page, error) {
	sp := spool.New(r.Dir, st.key())
	defer sp.Abort()
	rd := &reading{source: s, what: action{"read", st.origin, st}, shape: sh, spool: sp, full: r.Limit.Reached, tell: heard(r, fmt.Sprintf("part %d of %d", p.Taken+1, p.Chunks))}
	taken, err := rd.read(ctx, chunks, st.parallel)
	if err != nil {
		return connector.Page{}, err
	}
	p.Taken, p.Rows = p.Taken+taken, p.Rows+sp.Rows()
	if !p.under() && p.Rows != p.Total {
		return connector.Page{}, fault.New(fault.SourceLost, "read", st.origin, "the parts of the result of query %s have %d rows together, not %d", p.Query, p.Rows, p.Total).
			WithHint("refresh the stream's table as a whole")
	}
	parts, err := sp.Parts()
	if err != nil {
		return connector.Page{}, err
	}
	cursor, err := json.Marshal(p)
	return connector.Page{Parts: parts, Cursor: cursor, More: p.under()}, err
}

// errGone says that the server has a result no more, or in other pieces.
var errGone = errors.New("the result is gone")

// resume goes on with a result.
func (s *source) resume(ctx context.Context, st stream, r connector.Request, p snapshot) (connector.Page, error) {
	res, err := s.scan(withResult(ctx, p.Query), action{"read", st.origin, st}, "")
	switch {
	case errors.Is(err, errGone):
		return connector.Page{}, errGone
	case err != nil:
		return connector.Page{}, err
	case len(res.chunks) != p.Chunks || res.total != p.Total:
		return connector.Page{}, errGone
	}
	return s.pageOf(ctx, st, r, p, newShape(res.columns), res.chunks[p.Taken:])
}
