package snowflake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// reading is a result on its way into a spool.
type reading struct {
	source *source
	what   action
	shape  *shape
	spool  *spool.Spool
	full   func(rows, bytes int64) bool // that no more chunks are to be begun
	tell   func(rows, bytes int64)

	mu sync.Mutex // of what tell hears
}

// tries is how often a chunk is asked for, when an answer breaks off or its link is refused.
const tries = 4

// read fetches chunks, from the first on, up to parallel at once. It gives how many it took: all, or fewer when the reading was full.
func (r *reading) read(ctx context.Context, chunks []chunk, parallel int) (taken int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, parallel)
	for _, c := range chunks {
		slots <- struct{}{} // so that what is known then is all but of parallel-1 chunks
		if ctx.Err() != nil || taken > 0 && r.full(r.spool.Rows(), r.spool.Bytes()) {
			break
		}
		g.Go(func() error {
			defer func() { <-slots }()
			return r.chunk(ctx, c)
		})
		taken++
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return taken, nil
}

// chunk takes the records of a chunk. When it breaks off, the next attempt goes on behind those that were taken: a chunk does not change.
func (r *reading) chunk(ctx context.Context, c chunk) error {
	taken := 0
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = r.source.pause
	n := &note{}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := r.attempt(withNote(ctx, n), c, &taken)
		if err != nil && !errors.Is(err, errCut) && n.status() != http.StatusForbidden {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
	if err == nil {
		return nil
	}
	return r.source.chunkFailure(ctx, r.what, n, err)
}

// attempt fetches a chunk, and takes its records but for the first ones, which were.
func (r *reading) attempt(ctx context.Context, c chunk, taken *int) error {
	in, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	seen, rows := 0, int64(0)
	err = records(in, func(rec arrow.RecordBatch) error {
		rows += rec.NumRows()
		if seen++; seen <= *taken {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		*taken++
		return r.take(rec)
	})
	if err == nil && c.rows >= 0 && rows != c.rows {
		return fmt.Errorf("%w: %d rows where %d were announced", errCut, rows, c.rows)
	}
	return err
}

func (r *reading) take(rec arrow.RecordBatch) error {
	out, err := r.shape.record(rec)
	if err != nil {
		return err
	}
	defer out.Release()
	if err := r.spool.Write(out); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(r.spool.Rows(), r.spool.Bytes())
	return nil
}

// heard passes progress on to whoever asked for the page.
func heard(req connector.Request, position string) func(rows, bytes int64) {
	if req.Progress == nil {
		return func(int64, int64) {}
	}
	return func(rows, bytes int64) {
		req.Progress(connector.Progress{Rows: rows, Bytes: bytes, Position: position})
	}
}

// selected is the list of columns that a statement reads, and the columns as they come then. TIME is read with all its digits, so that it
// comes as a number that is wide enough.
func (st stream) selected(all []column) (list string, columns []column, err error) {
	names := st.columns
	if st.cursor != "" && len(names) > 0 {
		names = append(names[:len(names):len(names)], st.cursor)
	}
	columns = all
	if len(names) > 0 {
		if columns, err = pick(all, names); err != nil {
			return "", nil, err
		}
	}
	for i, c := range columns {
		if i > 0 {
			list += ", "
		}
		if c.kind == "time" {
			list += fmt.Sprintf("CAST(%[1]s AS TIME(9)) AS %[1]s", quoted(c.name))
		} else {
			list += quoted(c.name)
		}
	}
	return list, columns, nil
}

// pick gives the columns of these names, each once, in the table's order.
func pick(all []column, names []string) (out []column, err error) {
	chosen := map[string]bool{}
	for _, name := range names {
		c, err := find(all, name)
		if err != nil {
			return nil, err
		}
		chosen[c.name] = true
	}
	for _, c := range all {
		if chosen[c.name] {
			out = append(out, c)
		}
	}
	return out, nil
}

// shapeOf is the shape of a result whose columns were announced: names come from there, types as the result has them.
func shapeOf(announced, come []column) *shape {
	columns := make([]column, len(come))
	for i, c := range come {
		if columns[i] = c; i < len(announced) {
			columns[i].name = announced[i].name
		}
	}
	return newShape(columns)
}
