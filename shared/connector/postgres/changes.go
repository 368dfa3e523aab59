package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// changes turns the messages of a feed into rows. Small transactions come whole when they commit; large ones come in blocks before, and are
// kept on disk until it is known how they end. Rows are in the order of the commits, so a page can end behind any of them.
type changes struct {
	st      stream
	t       *table
	era     string
	conn    *conn // for the catalog
	spool   *spool.Spool
	meter   *meter
	partKey []string
	reached []reached

	shape  *shape
	shapes []*shape
	tx     *transaction // that is being sent
	big    inProgress
	end    lsn // what was committed before is read
	rows   int64
	bytes  int64
	pulse  func() error // gives the server a sign of life
	seen   uint32       // the last transaction of which it is known that others see it

	old, now []field // of the change at hand
}

// errFound ends a search for changes.
var errFound = errors.New("there is a change")

// handle takes a message, and tells whether a transaction was completed by it.
func (c *changes) handle(ctx context.Context, data []byte) (boundary bool, err error) {
	if len(data) == 0 {
		return false, errShort
	}
	kind, r := data[0], reader{b: data[1:]}
	switch {
	case kind == msgStreamStart:
		err = c.big.begin(r.uint32())
	case kind == msgStreamStop:
		err = c.big.end()
	case c.big.now != nil:
		err = c.keep(kind, &r)
	case kind == msgStreamAbort:
		c.big.abort(r.uint32(), r.uint32())
	case kind == msgStreamCommit:
		boundary, err = true, c.replay(ctx, &r)
	case kind == msgBegin:
		c.tx = &transaction{era: c.era, commit: r.lsn(), at: r.time(), xid: r.uint32()}
	case kind == msgCommit:
		r.byte() // flags
		r.lsn()
		end := r.lsn()
		if r.time(); r.err == nil {
			c.end, c.tx, boundary = max(c.end, end), nil, true
		}
	default:
		err = c.apply(ctx, kind, r.b)
	}
	return boundary, errors.Join(err, r.err)
}

// keep puts a message of a large transaction aside, if it is of our table.
func (c *changes) keep(kind byte, r *reader) error {
	sub := r.uint32()
	body := *r
	switch kind {
	case msgRelation, msgInsert, msgUpdate, msgDelete:
		if body.uint32() != c.t.oid {
			return nil
		}
	case msgTruncate:
		if !body.truncates(c.t.oid) {
			return nil
		}
	default:
		return nil
	}
	return c.big.add(sub, kind, r.b)
}

// replay writes the changes of a large transaction that has committed.
func (c *changes) replay(ctx context.Context, r *reader) error {
	tx := &transaction{era: c.era, xid: r.uint32()}
	r.byte() // flags
	tx.commit = r.lsn()
	end := r.lsn()
	tx.at = r.time()
	if r.err != nil {
		return r.err
	}
	c.tx = tx
	n := 0
	err := c.big.commit(tx.xid, func(kind byte, body []byte) error {
		if n++; n%1000 == 0 {
			if err := errors.Join(ctx.Err(), c.pulse()); err != nil {
				return err
			}
		}
		return c.apply(ctx, kind, body)
	})
	c.tx, c.end = nil, max(c.end, end)
	return err
}

// truncates tells whether a truncation is of a table.
func (r *reader) truncates(oid uint32) bool {
	n := int(r.uint32())
	r.byte() // options
	for range n {
		if r.err == nil && r.uint32() == oid {
			return true
		}
	}
	return false
}

// apply takes a change, or what its table looks like from here on.
func (c *changes) apply(ctx context.Context, kind byte, body []byte) error {
	r := reader{b: body}
	switch kind {
	case msgRelation:
		if rel := r.relation(); r.err == nil && rel.oid == c.t.oid {
			return c.turnTo(ctx, rel)
		}
		return r.err
	case msgTruncate:
		if !r.truncates(c.t.oid) {
			return r.err
		}
		return c.write(opTruncate, nil)
	case msgInsert, msgUpdate, msgDelete:
		if r.uint32() != c.t.oid {
			return r.err
		}
		return c.row(ctx, kind, &r)
	case 0: // of a search: a large transaction has a change
		return errFound
	}
	return nil // types, origins and messages tell us nothing
}

// turnTo takes a table's new shape.
func (c *changes) turnTo(ctx context.Context, rel relation) (err error) {
	i := slices.IndexFunc(c.shapes, func(s *shape) bool { return s.relation.equal(rel) })
	if i >= 0 {
		c.shape = c.shapes[i]
		return nil
	}
	if c.shape, err = c.newShape(ctx, rel); err == nil {
		c.shapes = append(c.shapes, c.shape)
	}
	return err
}

// row takes an insert, update or delete.
func (c *changes) row(ctx context.Context, kind byte, r *reader) error {
	s := c.shape
	if s == nil && c.spool == nil { // of a search: what the table looks like came with a large transaction, of which nothing was left
		return errFound
	}
	if s == nil || c.tx == nil {
		return fault.New(fault.Internal, "read changes of", c.t.String(), "a change came before its table or transaction")
	}
	var oldKind byte
	c.old, c.now = c.old[:0], c.now[:0]
	for len(r.b) > 0 && r.err == nil {
		switch part := r.byte(); part {
		case 'K', 'O':
			oldKind, c.old = part, r.tuple(c.old)
		case 'N':
			c.now = r.tuple(c.now)
		}
	}
	switch {
	case r.err != nil:
		return r.err
	case kind == msgDelete && oldKind == 0 || kind != msgDelete && len(c.now) == 0:
		return errShort
	case kind == msgInsert:
		return c.write(opInsert, c.now)
	case kind == msgDelete:
		return c.write(opDelete, c.old)
	}
	return c.update(ctx, s, oldKind, c.old, c.now)
}

// update writes what an update did: to the row of its key, or, if it changed the key, to two rows.
func (c *changes) update(ctx context.Context, s *shape, oldKind byte, old, now []field) error {
	moved := false
	for i := range now {
		isKey := slices.Contains(s.key, i)
		if i >= len(old) || oldKind == 'K' && !isKey {
			continue
		}
		if now[i].unchanged && !old[i].unchanged {
			now[i] = old[i]
		}
		moved = moved || isKey && (string(now[i].text) != string(old[i].text) || now[i].null != old[i].null)
	}
	if !moved {
		return c.write(opUpdate, now)
	}
	if err := c.write(opDelete, old); err != nil {
		return err
	}
	if s.sheet != nil {
		if err := c.current(ctx, s, now); err != nil {
			return err
		}
	}
	return c.write(opInsert, now)
}

// write writes a change, unless the rows of the table that were read first have it already.
func (c *changes) write(op string, tuple []field) error {
	if c.stale(tuple) {
		c.tx.changes++
		return nil
	}
	if c.spool == nil {
		return errFound
	}
	if c.shape == nil { // of a truncation: it comes without, if nothing else did before
		return fault.New(fault.Internal, "read changes of", c.t.String(), "a truncation came before its table")
	}
	n, err := c.shape.append(op, c.tx, tuple)
	c.rows++
	c.bytes += int64(n)
	return err
}

// stale tells whether a change lies before the place as of which the row was read. Where the keys do not tell, it does not: a change that is older
// than its row does no harm, because its _seq says so.
func (c *changes) stale(tuple []field) bool {
	if len(c.reached) == 0 || c.shape == nil || c.shape.parts == nil || tuple == nil {
		return false
	}
	key, ok := textsOf(tuple, c.shape.parts)
	if !ok {
		return false
	}
	for _, part := range c.reached {
		if part.To == nil {
			return c.tx.commit < part.LSN
		}
		sign, ok := compareKeys(c.shape.order, key, part.To)
		if !ok {
			return false
		}
		if sign < 0 {
			return c.tx.commit < part.LSN
		}
	}
	return false
}

// idleLimit is how long a page waits when the server gets no further.
const idleLimit = 5 * time.Second

// run reads the feed until the limit is reached at the end of a transaction, or the server is at target, or it gets no further. full tells that
// there may be more.
func (c *changes) run(ctx context.Context, f *feed, target lsn, limit connector.Limit, until time.Time) (full bool, err error) {
	c.pulse = func() error { return f.ask(ctx) }
	defer c.big.close()
	from, at, moved := c.end, lsn(0), f.heard
	for {
		m, err := f.next(ctx)
		if err != nil {
			return false, err
		}
		boundary := false
		switch {
		case m.data != nil:
			moved = f.now
			if boundary, err = c.handle(ctx, m.data); err != nil {
				return false, err
			}
			c.tell(from, target)
		case m.alive:
			if m.at != at { // it begins with what it decoded before: at first the place goes back
				at, moved = m.at, f.now
			}
			if c.tx == nil && c.big.now == nil { // all that was committed before has been sent
				c.end, boundary = max(c.end, m.at), true
			}
		}
		switch {
		case boundary && c.end >= target:
			return false, nil
		case boundary && limit.Reached(c.rows, c.bytes):
			return true, nil
		case c.tx == nil && f.now.Sub(moved) > idleLimit && f.answered():
			return false, nil
		case !until.IsZero() && f.now.After(until):
			return true, nil
		}
	}
}

// tell reports how far the page is, now and then: of the log between its beginning and target.
func (c *changes) tell(from, target lsn) {
	if c.rows%reportEach != 0 || c.meter == nil {
		return
	}
	var left time.Duration
	if c.end > from && target > c.end {
		left = time.Duration(float64(time.Since(c.meter.begun)) * float64(target-c.end) / float64(c.end-from))
	}
	sum := c.meter.total()
	c.meter.add(max(c.rows-sum.rows, 0), max(c.bytes-sum.bytes, 0), c.end.String(), left)
}

// parts completes the files.
func (c *changes) parts() ([]connector.Part, error) {
	for _, s := range c.shapes {
		if err := s.sheet.rows.Flush(); err != nil {
			return nil, err
		}
	}
	return c.spool.Parts()
}
