package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// byMark reads a table by its cursor column, in one transaction: rows whose value is greater than the last one, and again those of the window
// below it, in which rows may still have come. A window without lag is the last value itself: rows may have come that have the same. The position
// holds a digest of the window's rows, so that it is read again only when they are others; the loader leaves out those that the table has.
type byMark struct {
	source  *source
	st      stream
	c       *conn
	t       *table
	col     column
	typ     *pgType
	columns []column
	lake    string // the column's name there
	usual   string // the condition on all rows: values that have a place in the order, and are not beyond the end
}

// openMark describes a stream's table and checks its cursor column.
func (s *source) openMark(ctx context.Context, c *conn, st stream, t *table) (*byMark, error) {
	refused := func(hint, format string, args ...any) error {
		return fault.New(fault.InvalidInput, "read", t.String(), format, args...).WithHint("%s (%s)", hint, st.at)
	}
	col, ok := t.column(st.cursorColumn)
	if !ok {
		return nil, refused("names are case-sensitive", "it has no column %s, which is named as cursor_column", st.cursorColumn)
	}
	b := &byMark{source: s, st: st, c: c, t: t, col: col, typ: t.types[col.typeOID]}
	var err error
	if b.columns, err = t.selected(st, nil); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(b.columns, func(c column) bool { return c.name == col.name })
	if i < 0 {
		return nil, refused("add it", "the cursor_column %s is not among the columns", col.name)
	}
	b.lake = connector.ColumnNames(names(b.columns))[i]
	finite, ok := b.finite()
	if !ok {
		return nil, refused("whole numbers, dates, timestamps, floats, numeric, uuid and text can be", "a column of type %s cannot be the cursor_column", col.sqlType)
	}
	if st.lag > 0 && !b.isTime() {
		return nil, refused("leave lag out", "lag is a span of time, and %s is of type %s", col.name, col.sqlType)
	}
	usual := []string{"true"}
	if finite != "" {
		usual = append(usual, finite)
	}
	if st.hasEnd {
		usual = append(usual, b.at("<=", st.endValue))
	}
	b.usual = strings.Join(usual, " AND ")
	return b, nil
}

func (b *byMark) isTime() bool {
	return b.typ != nil && slices.Contains([]string{"date", "timestamp", "timestamptz"}, b.typ.name)
}

// finite is the condition on values that have a place in the order: behind infinity nothing would ever be greater. ok is false for types without
// an order that is of use.
func (b *byMark) finite() (condition string, ok bool) {
	if b.typ == nil {
		return "", false
	}
	n := name(b.col.name)
	switch b.typ.name {
	case "int2", "int4", "int8", "text", "varchar", "uuid":
		return "", true
	case "date", "timestamp", "timestamptz": // those that a column of the lake holds
		return n + " >= '0001-01-01' AND " + n + " < '10000-01-01'", true
	case "numeric":
		if b.c.version < 140000 {
			return n + " < 'NaN'", true
		}
		fallthrough
	case "float4", "float8":
		return n + " > '-Infinity' AND " + n + " < 'Infinity'", true
	}
	return "", false
}

// at is a condition on the cursor column.
func (b *byMark) at(op, value string) string { return beyond([]column{b.col}, op, []string{value}) }

// nextByMark reads the rows beyond a position.
func (s *source) nextByMark(ctx context.Context, st stream, cur *cursor, r connector.Request) (connector.Page, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer s.done(c)
	t, err := s.lock(ctx, c, st)
	if err != nil {
		return connector.Page{}, err
	}
	b, err := s.openMark(ctx, c, st, t)
	if err != nil {
		return connector.Page{}, err
	}
	mark, err := b.mark(cur)
	if err != nil {
		return connector.Page{}, err
	}
	files := spool.New(r.Dir, t.String())
	defer files.Abort()
	to := &copied{sheet: newSheet(files, names(b.columns), t.decoders(b.columns), false), meter: newMeter(r, 0)}
	page := connector.Page{}
	if r.Window != nil {
		page.Overlap, err = b.again(ctx, *r.Window, to)
	} else {
		page, err = b.forward(ctx, mark, r.Limit, to)
	}
	if err != nil || page.Empty() && to.rows == 0 {
		return connector.Page{}, err
	}
	if err := to.sheet.rows.Flush(); err != nil {
		return connector.Page{}, err
	}
	page.Parts, err = files.Parts()
	return page, err
}

// mark is the position's, nil at the beginning.
func (b *byMark) mark(cur *cursor) (*watermark, error) {
	if cur == nil {
		return nil, nil
	}
	if cur.Mark == nil || cur.Mark.Column != b.col.name {
		return nil, fault.New(fault.InvalidInput, "read", b.t.String(), "the position is by another column than cursor_column %s", b.col.name).
			WithHint("give the stream its cursor_column back, or load it into another table (%s)", b.st.at)
	}
	return cur.Mark, nil
}

// forward reads the window again if its rows are others, and what is beyond it.
func (b *byMark) forward(ctx context.Context, mark *watermark, limit connector.Limit, to *copied) (page connector.Page, err error) {
	next, changed := watermark{Column: b.col.name}, false
	if mark != nil {
		next = *mark
		if changed, err = b.changed(ctx, *mark); err != nil {
			return page, err
		}
		page.Overlap = &connector.Overlap{Column: b.lake, From: b.inLake(mark.Last)} // a range may have been read that lies beyond the position
		if changed {
			page.Overlap.From = b.inLake(mark.From)
			if err := b.copy(ctx, and(b.usual, b.at(">=", mark.From), b.at("<=", mark.Last)), to); err != nil {
				return page, err
			}
		}
	}
	known := to.rows
	if page.More, err = b.beyond(ctx, mark, limit, to); err != nil {
		return page, err
	}
	if to.rows == 0 && !changed {
		return connector.Page{}, nil
	}
	if to.rows > known {
		next.Last = string(to.last)
	}
	next.Total += to.rows
	if err := b.look(ctx, &next); err != nil {
		return page, err
	}
	page.Cursor, err = (&cursor{Mode: modeWatermark, Mark: &next}).document()
	return page, err
}

// beyond reads rows in the order of the column, and tells whether there are more than the limit lets through. Rows of one value stay together.
func (b *byMark) beyond(ctx context.Context, mark *watermark, limit connector.Limit, to *copied) (more bool, err error) {
	from := ""
	switch {
	case mark != nil:
		from = b.at(">", mark.Last)
	case b.st.hasInitial:
		from = b.at(">=", b.st.initialValue)
	}
	begun := progress{to.rows, to.bytes}
	for {
		n := b.portion(limit, progress{to.rows - begun.rows, to.bytes - begun.bytes})
		if n == 0 {
			return true, nil
		}
		rest := and(b.usual, from) + " ORDER BY " + name(b.col.name)
		if n > 0 {
			rest += fmt.Sprintf(" FETCH FIRST %d ROWS WITH TIES", n)
		}
		before := to.rows
		if err := b.copy(ctx, rest, to); err != nil {
			return false, err
		}
		if n < 0 || to.rows-before < n {
			return false, nil
		}
		from = b.at(">", string(to.last))
	}
}

// portion is how many rows to ask for next: -1 for all, 0 when the page is full. How wide rows are is learned from the first ones.
func (b *byMark) portion(limit connector.Limit, read progress) int64 {
	n := int64(-1)
	if !limit.Until.IsZero() {
		if n = b.st.chunkRows; read.rows > 0 && limit.Late() {
			return 0
		}
	}
	if left := max(limit.Rows-read.rows, 0); limit.Rows > 0 && (n < 0 || left < n) {
		n = left
	}
	if limit.Bytes > 0 {
		width := int64(0)
		switch {
		case read.rows > 0:
			width = max(read.bytes/read.rows, 1)
		case b.t.tuples > 0:
			width = max(int64(float64(b.t.size)/b.t.tuples), 1)
		}
		fits := int64(1000)
		if width > 0 {
			fits = max(limit.Bytes-read.bytes, 0) / width
		}
		if n < 0 || fits < n {
			n = fits
		}
	}
	if read.rows == 0 && n == 0 {
		n = 1
	}
	return n
}

// copy reads rows; the cursor column comes first, to see how far they go.
func (b *byMark) copy(ctx context.Context, rest string, to *copied) error {
	to.first = true
	return b.source.copy(ctx, b.c, b.t, fmt.Sprintf("COPY (SELECT %s AS lakestep_cursor, %s FROM %s%s) TO STDOUT", name(b.col.name), list(names(b.columns)), b.t.from(), rest), to)
}

// look works out the window below a position, and what is in it.
func (b *byMark) look(ctx context.Context, m *watermark) error {
	m.From = m.Last
	if b.st.lag > 0 {
		sql := fmt.Sprintf("SELECT (%s::%s - interval '%d microseconds')::%s", quote(m.Last), b.col.sqlType, b.st.lag.Microseconds(), b.col.sqlType)
		values, err := b.one(ctx, sql)
		if err != nil {
			return err
		}
		m.From = values[0]
	}
	rows, hash, err := b.digest(ctx, *m)
	m.Rows, m.Hash = rows, hash
	return err
}

// changed tells whether the window's rows are others than they were.
func (b *byMark) changed(ctx context.Context, m watermark) (bool, error) {
	rows, hash, err := b.digest(ctx, m)
	return rows != m.Rows || hash != m.Hash, err
}

func (b *byMark) digest(ctx context.Context, m watermark) (rows int64, hash string, err error) {
	values, err := b.one(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) FROM (SELECT %s FROM %s%s) r",
		list(names(b.columns)), b.t.from(), and(b.usual, b.at(">=", m.From), b.at("<=", m.Last))))
	if err != nil {
		return 0, "", err
	}
	rows, _ = parseInt([]byte(values[0]))
	return rows, values[1], nil
}

// one runs a query that gives a row without NULLs, and gives its texts.
func (b *byMark) one(ctx context.Context, sql string) ([]string, error) {
	ctx, cancel := b.source.reading(ctx)
	defer cancel()
	results, err := b.c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, failed("read", b.t.String(), err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return nil, fault.New(fault.Internal, "read", b.t.String(), "an answer that is no row")
	}
	var out []string
	for _, v := range results[0].Rows[0] {
		out = append(out, string(v))
	}
	return out, nil
}

// inLake is a value of the cursor column as the lake's column reads it; "" where the lake orders values in another way.
func (b *byMark) inLake(value string) string {
	switch b.typ.name {
	case "timestamp":
		return value + "+00"
	case "text", "varchar":
		if !b.col.byteOrder {
			return ""
		}
	case "numeric":
		if decoderOf(b.typ, b.col.typmod).typ == textDecoder.typ {
			return ""
		}
	}
	return value
}

// again reads a range, whatever the position.
func (b *byMark) again(ctx context.Context, w connector.Window, to *copied) (*connector.Overlap, error) {
	values, err := b.one(ctx, fmt.Sprintf("SELECT %s::%s, %s::%[2]s", quote(w.From), b.col.sqlType, quote(w.To)))
	if err != nil {
		return nil, err
	}
	if err := b.copy(ctx, and(b.usual, b.at(">=", values[0]), b.at("<=", values[1])), to); err != nil {
		return nil, err
	}
	return &connector.Overlap{Column: b.lake, From: b.inLake(values[0])}, nil
}

// pendingByMark looks whether there are rows beyond a position.
func (s *source) pendingByMark(ctx context.Context, c *conn, st stream, cur *cursor) (connector.Backlog, error) {
	t, err := s.measure(ctx, c, st)
	if err != nil {
		return connector.Backlog{}, err
	}
	b, err := s.openMark(ctx, c, st, t)
	if err != nil {
		return connector.Backlog{}, err
	}
	mark, err := b.mark(cur)
	if err != nil {
		return connector.Backlog{}, err
	}
	from := ""
	switch {
	case mark != nil:
		from = b.at(">", mark.Last)
	case st.hasInitial:
		from = b.at(">=", st.initialValue)
	}
	there, err := b.one(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s%s)", t.from(), and(b.usual, from)))
	if err != nil {
		return connector.Backlog{}, err
	}
	more := there[0] == "t"
	if !more && mark != nil {
		if more, err = b.changed(ctx, *mark); err != nil {
			return connector.Backlog{}, err
		}
	}
	if !more {
		return connector.Backlog{}, nil
	}
	return connector.Backlog{Items: 1}, nil
}
