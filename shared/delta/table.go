package delta

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// ErrNoTable is wrapped in the error of reading a table that has no log.
var ErrNoTable = errors.New("no Delta table here")

// Options are what a Table needs from its surroundings. The zero value is ready for reading and writing.
type Options struct {
	Now               func() time.Time                       // the clock; time.Now when nil
	NewID             func() string                          // UUIDs for table and txn ids; random when nil
	Engine            string                                 // commitInfo.engineInfo
	OnCheckpointError func(table string, v int64, err error) // told of a checkpoint that could not be written; may be nil

	// What a commit does between lost races: it waits for Jitter's part (0 up to 1) of a time that doubles. The real clock
	// and random numbers when nil.
	Sleep  func(ctx context.Context, d time.Duration) error
	Jitter func() float64

	// Resolve gives the key of a file that the log names by an absolute URI, as written there (a shallow clone's); ok
	// is false where the store does not hold it. When nil, such files are refused.
	Resolve func(uri string) (key string, ok bool)
}

// Table is one Delta table in a lake. It holds no state of the log and may be used concurrently.
type Table struct {
	store             store.Store
	prefix            string // key of the table root, without a slash at the end
	now               func() time.Time
	newID             func() string
	engine            string
	onCheckpointError func(string, int64, error)
	sleep             func(context.Context, time.Duration) error
	jitter            func() float64
	resolve           func(uri string) (string, bool)
}

// Open names the table at prefix ("silver/cleaned_orders") below the root of s. It reads nothing yet.
func Open(s store.Store, prefix string, o Options) *Table {
	t := &Table{store: s, prefix: prefix, now: o.Now, newID: o.NewID, engine: o.Engine, onCheckpointError: o.OnCheckpointError, resolve: o.Resolve}
	if t.now == nil {
		t.now = time.Now
	}
	if t.newID == nil {
		t.newID = uuid.NewString
	}
	if t.sleep = o.Sleep; t.sleep == nil {
		t.sleep = sleep
	}
	if t.jitter = o.Jitter; t.jitter == nil {
		t.jitter = rand.Float64
	}
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Prefix is the key of the table root in the lake.
func (t *Table) Prefix() string { return t.prefix }

func (t *Table) key(rel string) string {
	if t.prefix == "" {
		return rel
	}
	return t.prefix + "/" + rel
}

func (t *Table) logKey(name string) string { return t.key("_delta_log/" + name) }

func commitName(version int64) string { return fmt.Sprintf("%020d.json", version) }

// maxLine bounds one line of the log, in bytes. A commitInfo or an add with stats has a few KiB.
const maxLine = 64 << 20

// readLines calls each with every line of an NDJSON object of the log, decoded. A line that is no action of
// ours gives an empty one.
func (t *Table) readLines(ctx context.Context, key string, each func(line) error) error {
	r, err := t.store.Open(ctx, key, store.Range{})
	if err != nil {
		return err
	}
	defer r.Close()
	return scanLines(r, key, each)
}

func scanLines(r io.Reader, key string, each func(line) error) error {
	var readErr error
	sc := bufio.NewScanner(&errReader{r: r, err: &readErr})
	sc.Buffer(nil, maxLine)
	number := 0
	for sc.Scan() {
		number++
		if readErr != nil {
			break // the scanner hands out what came before the cut
		}
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		corrupt := func(err error) error {
			return fault.New(fault.InvalidInput, "read", fmt.Sprintf("%s:%d", key, number), "%w", &corruptError{err}).
				WithHint("the log entry is damaged or was cut off; restore the object from a backup or an earlier object version")
		}
		if !utf8.Valid(text) {
			return corrupt(errors.New("invalid UTF-8"))
		}
		l, err := decodeLine(text)
		if err != nil {
			return corrupt(err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
	if readErr != nil {
		return readErr
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("the line is longer than %d bytes, the most that is read", maxLine)
		}
		return fault.New(fault.InvalidInput, "read", fmt.Sprintf("%s:%d", key, number+1), "%w", &corruptError{err})
	}
	return nil
}

// errReader remembers the store's error, so that it is not mistaken for a damaged line: a cut transfer ends
// in the middle of one.
type errReader struct {
	r   io.Reader
	err *error
}

func (e *errReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		*e.err = err
	}
	return n, err
}

// corruptError marks content that cannot be what its writer meant, as opposed to content that could not be
// fetched: only the former lets a reader go on without a checkpoint.
type corruptError struct{ err error }

func (c *corruptError) Error() string { return c.err.Error() }
func (c *corruptError) Unwrap() error { return c.err }
