package snowflake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/snowflakedb/gosnowflake"

	"github.com/lakestep/lakestep/shared/fault"
)

// column is one of a result, as the server describes it.
type column struct {
	name             string
	kind             string // fixed, real, text, timestamp_ntz ...
	precision, scale int
	nullable         bool
}

// text is a column's type, as people write it.
func (c column) text() string {
	switch c.kind {
	case "fixed":
		return fmt.Sprintf("NUMBER(%d,%d)", c.precision, c.scale)
	case "real":
		return "FLOAT"
	}
	return strings.ToUpper(c.kind)
}

// result is a statement's answer, of which the chunks have not been fetched.
type result struct {
	columns []column
	chunks  []chunk
	total   int64       // rows
	json    [][]*string // rows, where the server sends no Arrow
	id      string      // of the query
}

// chunk is a piece of a result: a stream of Arrow records.
type chunk struct {
	open func(ctx context.Context) (io.ReadCloser, error)
	rows int64 // that it must have; -1 when the server did not say
}

// query runs a statement. Its context is that of the call, not of the chunks.
func (s *source) query(ctx context.Context, what action, sql string) (*result, error) {
	var res *result
	err := s.run(ctx, what, func(ctx context.Context, c session) (err error) {
		ids := make(chan string, 1)
		loader, err := c.QueryArrowStream(gosnowflake.WithQueryIDChan(ctx, ids), sql)
		if err != nil {
			return err
		}
		res, err = newResult(loader)
		select {
		case res.id = <-ids:
		default:
		}
		return err
	})
	return res, err
}

// scan runs a statement whose result is read chunk by chunk.
func (s *source) scan(ctx context.Context, what action, sql string) (*result, error) {
	res, err := s.query(ctx, what, sql)
	if err == nil && len(res.json) > 0 {
		err = fault.New(fault.InvalidInput, what.op, what.object, "the server sends the result as JSON, where Arrow was asked for").
			WithHint("the parameter GO_QUERY_RESULT_FORMAT of the session is ARROW: let nothing on the way change it")
	}
	return res, err
}

func newResult(loader gosnowflake.ArrowStreamLoader) (*result, error) {
	res := &result{total: loader.TotalRows(), json: loader.JSONData()}
	for _, t := range loader.RowTypes() {
		res.columns = append(res.columns, column{t.Name, strings.ToLower(t.Type), int(t.Precision), int(t.Scale), t.Nullable})
	}
	batches, err := loader.GetBatches()
	if err != nil {
		return res, err
	}
	for _, b := range batches {
		res.chunks = append(res.chunks, chunk{rows: b.NumRows(), open: func(ctx context.Context) (io.ReadCloser, error) {
			again := b // the driver keeps the first answer, also one that breaks off
			return again.GetStream(ctx)
		}})
	}
	return res, nil
}

// describe gives the columns of a statement without running it.
func (s *source) describe(ctx context.Context, what action, sql string) ([]column, error) {
	res, err := s.query(gosnowflake.WithDescribeOnly(ctx), what, sql)
	if err != nil {
		return nil, err
	}
	return res.columns, nil
}

// table runs a statement with a small result, and gives it as texts, digit for digit; nil is NULL.
func (s *source) table(ctx context.Context, what action, sql string) ([][]*string, []column, error) {
	res, err := s.query(ctx, what, sql)
	if err != nil {
		return nil, nil, err
	}
	if len(res.json) > 0 {
		return res.json, res.columns, nil
	}
	var rows [][]*string
	for _, c := range res.chunks {
		n := &note{}
		more, err := texts(withNote(ctx, n), c, res.columns)
		if err != nil {
			return nil, nil, s.failure(ctx, what, n, err)
		}
		rows = append(rows, more...)
	}
	return rows, res.columns, nil
}

// row runs a statement that must give one row of n values.
func (s *source) row(ctx context.Context, what action, n int, sql string) ([]*string, error) {
	rows, _, err := s.table(ctx, what, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) != n {
		return nil, fault.New(fault.Internal, what.op, what.object, "the server's answer has another form than the question")
	}
	return rows[0], nil
}

func texts(ctx context.Context, c chunk, columns []column) (rows [][]*string, err error) {
	in, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	err = records(in, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			row := make([]*string, rec.NumCols())
			for k, col := range rec.Columns() {
				text, ok, err := cell(col, columns[k], i)
				if err != nil {
					return err
				}
				if ok {
					row[k] = &text
				}
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// errCut is a stream of records that ended before its end.
var errCut = errors.New("a part of the result breaks off")

// records gives the records of a stream, one at a time.
func records(in io.Reader, yield func(arrow.RecordBatch) error) error {
	r, err := ipc.NewReader(in)
	if err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	defer r.Release()
	for r.Next() {
		if err := yield(r.RecordBatch()); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return nil
}

// find is the column of that name: as it is written, or else in whatever case.
func find(columns []column, name string) (column, error) {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		if i := slices.IndexFunc(columns, func(c column) bool { return same(c.name, strings.Trim(name, `"`)) }); i >= 0 {
			return columns[i], nil
		}
	}
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return column{}, fault.New(fault.InvalidInput, "find column", name, "there is none; there are %s", strings.Join(names, ", "))
}
