package snowflake

import (
	"context"
	"fmt"
	"strconv"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// firstRows is how many rows a page has whose limit is in bytes, while nobody knows how many bytes a row has.
const firstRows = 100_000

// incremental is a stream of mode watermark at work.
type incremental struct {
	source *source
	stream stream
	cursor cursor
	list   string   // of the columns that are read
	read   []column // those
	what   action
}

func (s *source) incremental(ctx context.Context, st stream) (incremental, error) {
	in := incremental{source: s, stream: st, what: action{"read", st.origin, st}}
	all, err := s.describe(ctx, action{"describe", st.origin, st}, "SELECT * FROM "+st.relation)
	if err != nil {
		return in, err
	}
	if in.list, in.read, err = st.selected(all); err != nil {
		return in, fault.New(fault.InvalidInput, "read stream", st.name, "%w", err).WithHint("check columns and cursor_column (%s)", st.at)
	}
	if in.cursor, err = newCursor(st, all, in.read); err != nil {
		return in, err
	}
	for _, v := range []**string{&in.stream.initial, &in.stream.end} {
		if *v == nil {
			continue
		}
		value, err := in.cursor.parse(**v)
		if err != nil {
			return in, fault.New(fault.InvalidInput, "read stream", st.name, "%w", err).WithHint("check initial_value and end_value (%s)", st.at)
		}
		*v = &value
	}
	return in, nil
}

// pendingRows looks for rows beyond a position.
func (s *source) pendingRows(ctx context.Context, st stream, seen connector.Position) (connector.Backlog, error) {
	in, err := s.incremental(ctx, st)
	if err != nil {
		return connector.Backlog{}, err
	}
	at, started, err := parsePosition(seen, st, in.cursor)
	if err != nil {
		return connector.Backlog{}, err
	}
	if started && at.under() {
		n, err := in.count(ctx, span{from: &at.Value, beyond: true, to: &at.Until})
		return connector.Backlog{Items: 1, Rows: n}, err
	}
	found, err := in.look(ctx, at, started)
	if err != nil || !found.news {
		return connector.Backlog{}, err
	}
	return connector.Backlog{Items: 1, Rows: found.rows - min(found.old, at.Rows)}, nil
}

// nextRows reads the next page: of the round that is under way, or of a new one when there is something new.
func (s *source) nextRows(ctx context.Context, st stream, r connector.Request) (connector.Page, error) {
	in, err := s.incremental(ctx, st)
	if err != nil {
		return connector.Page{}, err
	}
	at, started, err := parsePosition(r.Seen, st, in.cursor)
	if err != nil {
		return connector.Page{}, err
	}
	if started && at.under() {
		from := at.Value
		return in.page(ctx, r, at, span{from: &from, beyond: true, to: &at.Until}, unknown)
	}
	found, err := in.look(ctx, at, started)
	if err != nil || !found.news {
		return connector.Page{}, err
	}
	if at, err = in.begin(ctx, at, started, found); err != nil {
		return connector.Page{}, err
	}
	return in.page(ctx, r, at, span{from: found.span.from, to: &at.Until}, found.rows)
}

// found is what was seen behind a position.
type found struct {
	span     span
	rows     int64  // in it
	old      int64  // of them up to the end of the last round
	greatest string // of the cursor column
	news     bool
}

// look finds out whether there are rows for another round: beyond the last one, or within its lag, where there were fewer or more before.
func (in incremental) look(ctx context.Context, at position, started bool) (found, error) {
	c, f := in.cursor, found{span: span{from: in.stream.initial, to: in.stream.end}}
	old := "0"
	if started {
		from, err := c.back(at.Until, in.stream.lag)
		if err != nil {
			return f, err
		}
		f.span.from = &from
		old = fmt.Sprintf("count_if(%s <= %s)", c.sql(), c.literal(at.Until))
	}
	row, err := in.source.row(ctx, in.what, 3, fmt.Sprintf("SELECT count(*), %s, max(%s) FROM %s WHERE %s", old, c.sql(), in.stream.relation, c.where(f.span)))
	if err != nil {
		return f, err
	}
	if f.rows, err = whole(row[0]); err == nil {
		f.old, err = whole(row[1])
	}
	if err == nil && f.rows > 0 {
		f.greatest, err = c.parse(text(row[2]))
	}
	if err != nil {
		return f, in.strange(err)
	}
	f.news = f.rows > 0 && (!started || f.rows > f.old || f.old != at.Rows || *f.span.from != at.From)
	return f, nil
}

// begin fixes the end of a new round, and counts the rows in its lag before any is read: whatever arrives later makes another number.
func (in incremental) begin(ctx context.Context, last position, started bool, f found) (position, error) {
	at := position{V: 1, Type: in.cursor.typ, Until: f.greatest, Again: started, Width: last.Width, Odd: last.Odd}
	if started && f.rows == f.old { // only rows that came late, or went
		at.Until, at.From, at.Rows = last.Until, *f.span.from, f.old
		return at, nil
	}
	var err error
	if at.From, err = in.cursor.back(at.Until, in.stream.lag); err != nil {
		return at, err
	}
	at.Rows, err = in.count(ctx, span{from: &at.From, to: &at.Until})
	return at, err
}

func (in incremental) count(ctx context.Context, s span) (int64, error) {
	row, err := in.source.row(ctx, in.what, 1, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", in.stream.relation, in.cursor.where(s)))
	if err != nil {
		return 0, err
	}
	n, err := whole(row[0])
	if err != nil {
		return 0, in.strange(err)
	}
	return n, nil
}

// unknown is a number of rows that nobody has counted.
const unknown = -1

// page reads rows of a span, as many as the limit allows but all of one value, and moves the position behind them. rows is how many the span
// has.
func (in incremental) page(ctx context.Context, r connector.Request, at position, s span, rows int64) (connector.Page, error) {
	limit := rowLimit(r.Limit, at.Width)
	for {
		bound, one := *s.to, false
		if limit > 0 && (rows == unknown || rows > limit) {
			var err error
			if bound, one, err = in.bound(ctx, s, limit); err != nil {
				return connector.Page{}, err
			}
		}
		part := span{s.from, s.beyond, &bound}
		got, err := in.rows(ctx, r, part, one)
		if err != nil {
			return connector.Page{}, err
		}
		if got.tooMuch {
			limit, rows = max(1, min(limit/2, r.Limit.Bytes/max(1, got.width))), unknown
			continue
		}
		page := connector.Page{Parts: got.parts, More: bound != at.Until}
		if at.Again { // so there is a value that it began with
			page.Overlap = in.cursor.overlap(*s.from, at.Odd || got.odd)
		}
		at.Value, at.Odd = bound, at.Odd || got.odd
		if got.width > 0 {
			at.Width = got.width
		}
		page.Cursor = at.document()
		return page, nil
	}
}

// rowLimit is how many rows a page may have; 0 is any number.
func rowLimit(l connector.Limit, width int64) int64 {
	rows := l.Rows
	if l.Bytes > 0 {
		fit := int64(firstRows)
		if width > 0 {
			fit = max(1, l.Bytes/width)
		}
		if rows == 0 || fit < rows {
			rows = fit
		}
	}
	return rows
}

// bound finds where a page ends: at the greatest value of which all rows are among the first ones, or behind the first value when that alone
// has more rows; one tells of that.
func (in incremental) bound(ctx context.Context, s span, limit int64) (value string, one bool, err error) {
	c := in.cursor
	row, err := in.source.row(ctx, in.what, 3, fmt.Sprintf(
		"WITH FIRST_ROWS AS (SELECT %s AS V FROM %s WHERE %s ORDER BY 1 LIMIT %d) SELECT count(*), max(V), max(CASE WHEN V < M THEN V END) FROM FIRST_ROWS, (SELECT max(V) AS M FROM FIRST_ROWS)",
		c.sql(), in.stream.relation, c.where(s), limit+1))
	if err != nil {
		return "", false, err
	}
	n, err := whole(row[0])
	last, alone := row[2], limit == 1
	if last == nil {
		last, alone = row[1], true
	}
	if err == nil && n <= limit {
		return *s.to, false, nil
	}
	if err == nil {
		value, err = c.parse(text(last))
	}
	if err != nil {
		return "", false, in.strange(err)
	}
	return value, alone, nil
}

func (in incremental) strange(err error) error {
	return fault.New(fault.Internal, "read", in.stream.origin, "the server's answer to a count: %w", err)
}

func whole(text *string) (int64, error) {
	if text == nil {
		return 0, nil
	}
	return strconv.ParseInt(*text, 10, 64)
}

// got is what came of a page.
type got struct {
	parts   []connector.Part
	width   int64 // bytes of a row; 0 when there was none
	odd     bool  // the cursor column has values that stand beside it
	tooMuch bool  // the rows have twice the bytes that a page may have: nothing was kept
}

// rows reads the rows of a span. Those of one value are taken however many they are.
func (in incremental) rows(ctx context.Context, r connector.Request, s span, one bool) (got, error) {
	res, err := in.source.scan(ctx, in.what, fmt.Sprintf("SELECT %s FROM %s WHERE %s", in.list, in.stream.relation, in.cursor.where(s)))
	if err != nil {
		return got{}, err
	}
	sp := spool.New(r.Dir, in.stream.key())
	defer sp.Abort()
	full := func(_, bytes int64) bool { return !one && r.Limit.Bytes > 0 && bytes > 2*r.Limit.Bytes }
	rd := &reading{source: in.source, what: in.what, shape: shapeOf(in.read, res.columns), spool: sp, full: full, tell: heard(r, *s.to)}
	taken, err := rd.read(ctx, res.chunks, in.stream.parallel)
	if err != nil {
		return got{}, err
	}
	g := got{tooMuch: taken < len(res.chunks), odd: rd.shape.odd(in.cursor.name)}
	if n := sp.Rows(); n > 0 {
		g.width = max(1, sp.Bytes()/n)
	}
	if !g.tooMuch {
		g.parts, err = sp.Parts()
	}
	return g, err
}

// window reads a range again, whatever the position, and as a whole.
func (s *source) window(ctx context.Context, st stream, r connector.Request) (connector.Page, error) {
	in, err := s.incremental(ctx, st)
	if err != nil {
		return connector.Page{}, err
	}
	from, err := in.cursor.parse(r.Window.From)
	if err != nil {
		return connector.Page{}, err
	}
	to, err := in.cursor.parse(r.Window.To)
	if err != nil {
		return connector.Page{}, err
	}
	g, err := in.rows(ctx, r, span{from: &from, to: &to}, true)
	if err != nil {
		return connector.Page{}, err
	}
	return connector.Page{Parts: g.parts, Overlap: in.cursor.overlap(from, g.odd)}, nil
}
