package postgres

import (
	"context"
	"fmt"

	"github.com/lakestep/lakestep/shared/connector"
)

// chunk is a piece of a table: rows by key, by block, or all that is left.
type chunk struct {
	where    string
	next     []string // the first key behind it; nil: it is the last
	block    uint32   // the first block behind it
	last     bool
	estimate int64 // rows
}

// cutter cuts what is left of a table into chunks, as of a snapshot, so that a page holds as many as fit.
type cutter struct {
	t       *table
	key     []column // nil: by blocks
	whole   bool     // neither: the rest is one chunk
	filter  string
	rows    int64 // of a chunk at most
	limit   connector.Limit
	width   int64 // bytes of a row, about; 0: not known yet
	planned int64 // rows of the chunks so far

	next  []string
	block uint32
	ended bool
}

// cut gives the next chunk; ok is false when the page is full or the table at its end. It asks over a connection that has the snapshot and is idle.
// read is what was read of the page so far.
func (k *cutter) cut(ctx context.Context, by *conn, read progress) (chunk, bool, error) {
	if k.ended {
		return chunk{}, false, nil
	}
	n := k.size(read)
	if n < 1 {
		return chunk{}, false, nil
	}
	var c chunk
	var err error
	switch {
	case k.key != nil:
		c, err = k.byKey(ctx, by, n)
	case k.whole:
		c = chunk{last: true, estimate: int64(max(k.t.tuples, 0))}
	default:
		c = k.byBlocks(n)
	}
	k.planned += max(c.estimate, 1)
	k.next, k.block, k.ended = c.next, c.block, c.last
	return c, err == nil, err
}

// size is how many rows the next chunk may have: 0 when the page is full. The first chunk has one at least, and a table whose rows may be of any
// width begins with a small one.
func (k *cutter) size(read progress) int64 {
	if read.rows > 0 {
		k.width = max(read.bytes/read.rows, 1)
	}
	n := k.rows
	if k.limit.Rows > 0 {
		n = min(n, k.limit.Rows-k.planned)
	}
	switch {
	case k.limit.Bytes > 0 && k.width > 0:
		n = min(n, k.limit.Bytes/k.width-k.planned)
	case k.limit.Bytes > 0 && k.planned == 0:
		n = min(n, 1000)
	case k.limit.Bytes > 0:
		n = 0 // the width is not known before the first chunk is read
	}
	switch {
	case k.planned == 0:
		n = max(n, 1)
	case k.limit.Late():
		n = 0
	}
	return n
}

// byKey finds the key that n rows are before.
func (k *cutter) byKey(ctx context.Context, by *conn, n int64) (chunk, error) {
	var from string
	if k.next != nil {
		from = beyond(k.key, ">=", k.next)
	}
	columns := list(names(k.key))
	sql := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s OFFSET %d LIMIT 1", columns, k.t.from(), and(from, k.filter), columns, n)
	results, err := by.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return chunk{}, failed("read the keys of", k.t.String(), err)
	}
	c := chunk{estimate: n, last: true}
	if len(results) == 1 && len(results[0].Rows) == 1 {
		c.last = false
		for _, v := range results[0].Rows[0] {
			c.next = append(c.next, string(v))
		}
	}
	c.where = from
	if !c.last {
		to := beyond(k.key, "<", c.next)
		if from != "" {
			to = from + " AND " + to
		}
		c.where = to
	}
	return c, nil
}

// byBlocks takes as many blocks as should hold n rows. The last chunk has no end, for blocks that are new.
func (k *cutter) byBlocks(n int64) chunk {
	perBlock := 50.0
	if k.t.tuples > 0 && k.t.blocks > 0 {
		perBlock = max(k.t.tuples/float64(k.t.blocks), 1)
	}
	blocks := uint32(max(float64(n)/perBlock, 1))
	c := chunk{where: fmt.Sprintf("ctid >= '(%d,0)'::tid", k.block), block: k.block + blocks, estimate: int64(float64(blocks) * perBlock)}
	if c.block >= k.t.blocks || c.block < k.block {
		c.last = true
		return c
	}
	c.where += fmt.Sprintf(" AND ctid < '(%d,0)'::tid", c.block)
	return c
}
