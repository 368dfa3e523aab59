package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// shape is a table as its changes have it for a time: until a column comes or goes.
type shape struct {
	relation  relation
	columns   []int // of the sheet: which of the relation's
	key       []int // of the relation: the columns that tell rows apart
	parts     []int // of the relation: the columns by which the first rows were read in parts
	order     []order
	lakeNames []string // by column of the relation; "" of one that is not read
	sheet     *sheet   // nil: changes are only looked for
}

// newShape works out what becomes of a relation's columns.
func (c *changes) newShape(ctx context.Context, r relation) (*shape, error) {
	oids := make([]uint32, len(r.columns))
	for i, col := range r.columns {
		oids[i] = col.typeOID
	}
	load, cancel := question(ctx)
	defer cancel()
	if err := c.t.types.load(load, c.conn, oids); err != nil {
		return nil, failed("describe", c.t.String(), err)
	}
	s := &shape{relation: r, lakeNames: make([]string, len(r.columns))}
	var names []string
	var decoders []decoder
	for i, col := range r.columns {
		if c.st.columns != nil && !slices.Contains(c.st.columns, col.name) {
			continue
		}
		s.columns = append(s.columns, i)
		names = append(names, col.name)
		decoders = append(decoders, decoderOf(c.t.types[col.typeOID], col.typmod))
	}
	s.key = r.positions(c.t.key(c.st))
	if s.parts = r.positions(c.partKey); s.parts != nil {
		for _, n := range c.partKey {
			col, _ := c.t.column(n)
			s.order = append(s.order, orderOf(col, c.t.types[col.typeOID]))
		}
	}
	if c.spool != nil {
		s.sheet = newSheet(c.spool, names, decoders, true)
		for k, i := range s.columns {
			s.lakeNames[i] = s.sheet.names[k]
		}
	}
	return s, nil
}

// positions finds columns by name; nil if one is not there.
func (r relation) positions(names []string) []int {
	var out []int
	for _, n := range names {
		i := slices.IndexFunc(r.columns, func(c relationColumn) bool { return c.name == n })
		if i < 0 {
			return nil
		}
		out = append(out, i)
	}
	return out
}

func (r relation) equal(o relation) bool { return r.oid == o.oid && slices.Equal(r.columns, o.columns) }

// textsOf picks the texts of some columns; ok is false where one is not there.
func textsOf(tuple []field, of []int) (out [][]byte, ok bool) {
	for _, i := range of {
		if i >= len(tuple) || tuple[i].null || tuple[i].unchanged {
			return nil, false
		}
		out = append(out, tuple[i].text)
	}
	return out, len(of) > 0
}

// append writes a change.
func (s *shape) append(op string, tx *transaction, tuple []field) (bytes int, err error) {
	var unchanged []string
	for _, i := range s.columns {
		if i < len(tuple) && tuple[i].unchanged {
			unchanged = append(unchanged, s.lakeNames[i])
		}
	}
	s.sheet.meta.change(op, tx, unchanged)
	for k, i := range s.columns {
		f := field{null: true}
		if i < len(tuple) {
			f = tuple[i]
		}
		bytes += len(f.text)
		s.sheet.value(k, f)
	}
	return bytes, s.sheet.done(bytes)
}

// current asks for the values of long columns that a change left out, of the row with a key as it is now. It is asked when a row got another
// key: nobody has the new key's row yet that they could be taken from. The row may have changed again since; then that change is still to come, and
// brings what it changed. Values of a row or column that is gone stay unknown: its end is still to come.
func (c *changes) current(ctx context.Context, s *shape, tuple []field) error {
	var missing []int
	var wanted []string
	for _, i := range s.columns {
		if tuple[i].unchanged {
			missing = append(missing, i)
			wanted = append(wanted, name(s.relation.columns[i].name))
		}
	}
	key, texts := c.keyOf(s, tuple)
	if len(missing) == 0 || key == nil {
		return nil
	}
	ctx, cancel := question(ctx)
	defer cancel()
	if err := c.visible(ctx); err != nil {
		return err
	}
	results, err := c.conn.PgConn().Exec(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(wanted, ", "), c.t.from(), beyond(key, "=", texts))).ReadAll()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42703" || pg.Code == "42P01") { // no such column or table any more
		return nil
	}
	if err != nil {
		return failed("read", c.t.String(), err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return nil
	}
	for k, i := range missing {
		v := results[0].Rows[0][k]
		tuple[i] = field{text: v, null: v == nil}
	}
	return nil
}

// visible waits until others see what the transaction did: its commit is sent when it is in the log, which is a moment sooner. Until then the
// transaction has a lock on its own number.
func (c *changes) visible(ctx context.Context) error {
	for c.seen != c.tx.xid {
		var there bool
		err := c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND transactionid = $1::text::xid)", strconv.FormatUint(uint64(c.tx.xid), 10)).Scan(&there)
		switch {
		case err != nil:
			return failed("read", c.t.String(), err)
		case !there:
			c.seen = c.tx.xid
		default:
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyOf are a row's key columns and their texts; nil where the table lost one, or the row has none.
func (c *changes) keyOf(s *shape, tuple []field) (key []column, texts []string) {
	for _, i := range s.key {
		col, ok := c.t.column(s.relation.columns[i].name)
		if !ok || tuple[i].null || tuple[i].unchanged {
			return nil, nil
		}
		key = append(key, col)
		texts = append(texts, string(tuple[i].text))
	}
	return key, texts
}
