package connectortest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/lakestep/lakestep/shared/connector"
)

// row is the values of a row as text, with their columns; NULLs are not in it. It holds until the next one is read.
type row []cell

type cell struct{ column, text string }

// value is the row's text in a column.
func (r row) value(column string) (text string, ok bool) {
	for _, c := range r {
		if strings.EqualFold(c.column, column) {
			return c.text, true
		}
	}
	return "", false
}

// each reads the rows of a part, as the engine would, and checks what the part says of them.
func each(ctx context.Context, part connector.Part, yield func(row)) error {
	if err := fit(part); err != nil {
		return err
	}
	for _, f := range part.Files {
		var n int64
		count := func(r row) { n++; yield(r) }
		var err error
		if part.Parquet {
			err = eachParquet(ctx, f.Path, part, count)
		} else {
			err = eachText(f.Path, part, count)
		}
		if err != nil {
			return fmt.Errorf("part file %s of %s: %w", f.Path, f.Item.Key, err)
		}
		if n != f.Rows {
			return fmt.Errorf("part file %s of %s: PartFile.Rows is %d, the file holds %d", f.Path, f.Item.Key, f.Rows, n)
		}
	}
	return nil
}

// fit checks that a table can have the columns of a part.
func fit(part connector.Part) error {
	var names []string
	for _, c := range part.Columns {
		if !strings.HasPrefix(c, "_") { // the connector's own
			names = append(names, c)
		}
	}
	if want := connector.ColumnNames(names); !slices.Equal(names, want) {
		return fmt.Errorf("columns %q: a table can have them as %q only", names, want)
	}
	if len(part.Files) == 0 {
		return errors.New("a part without files")
	}
	return nil
}

func eachParquet(ctx context.Context, path string, part connector.Part, yield func(row)) error {
	pf, err := file.OpenParquetFile(path, false)
	if err != nil {
		return err
	}
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4 << 10}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	schema, err := fr.Schema()
	if err != nil {
		return err
	}
	if schema.NumFields() != len(part.Columns) { // the part gives them their names
		return fmt.Errorf("the part has columns %q, the file %s", part.Columns, schema)
	}
	rr, err := fr.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer rr.Release()
	for {
		batch, err := rr.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		eachOf(batch, part.Columns, yield)
	}
}

func eachOf(batch arrow.RecordBatch, columns []string, yield func(row)) {
	r := make(row, 0, len(columns))
	for i := range int(batch.NumRows()) {
		r = r[:0]
		for c, name := range columns {
			if a := batch.Column(c); a.IsValid(i) {
				r = append(r, cell{name, a.ValueStr(i)})
			}
		}
		yield(r)
	}
}

// eachText reads delimited text. An empty field is taken for NULL.
func eachText(path string, part connector.Part, yield func(row)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.ReuseRecord, in.FieldsPerRecord = true, len(part.Columns)
	if part.Delimiter != "" {
		in.Comma = rune(part.Delimiter[0])
	}
	r := make(row, 0, len(part.Columns))
	for header := part.Header; ; header = false {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header {
			continue
		}
		r = r[:0]
		for i, text := range fields {
			if text != "" && !strings.HasPrefix(part.Columns[i], "_") {
				r = append(r, cell{part.Columns[i], text})
			}
		}
		yield(r)
	}
}

// bad counts what a page says could not be read as rows.
func bad(page connector.Page) (int, error) {
	n := len(page.Bad)
	for _, path := range page.BadFiles {
		f, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		in := csv.NewReader(f)
		in.FieldsPerRecord = 4
		lines, err := in.ReadAll()
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, fmt.Errorf("file of bad lines %s: %w", path, err)
		}
		n += len(lines)
	}
	return n, nil
}
