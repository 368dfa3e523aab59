package snowflake

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/lakestep/lakestep/shared/connector"
)

// rowsOf reads the rows of a page: texts by column; NULLs are not there.
func rowsOf(t testing.TB, page connector.Page) (rows []map[string]string) {
	t.Helper()
	for _, part := range page.Parts {
		for _, f := range part.Files {
			eachBatch(t, f.Path, func(b arrow.RecordBatch) {
				for i := range int(b.NumRows()) {
					row := map[string]string{}
					for c, col := range b.Columns() {
						if col.IsValid(i) {
							row[b.ColumnName(c)] = valueText(col, i)
						}
					}
					rows = append(rows, row)
				}
			})
		}
	}
	return rows
}

// valueText is exact.
func valueText(col arrow.Array, i int) string {
	switch a := col.(type) {
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Timestamp:
		return a.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02 15:04:05.000000Z07:00")
	case *array.Binary:
		return "0x" + strings.ToUpper(hexOf(a.Value(i)))
	}
	return col.ValueStr(i)
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// typesOf are the types of a page's columns, as the files have them.
func typesOf(t testing.TB, page connector.Page) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, part := range page.Parts {
		for _, f := range part.Files {
			eachBatch(t, f.Path, func(b arrow.RecordBatch) {
				for _, field := range b.Schema().Fields() {
					out[field.Name] = field.Type.String()
				}
			})
		}
	}
	return out
}

func eachBatch(t testing.TB, path string, yield func(arrow.RecordBatch)) {
	t.Helper()
	pf, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4096}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	rr, err := fr.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rr.Release()
	for rr.Next() {
		yield(rr.RecordBatch())
	}
	if err := rr.Err(); err != nil {
		t.Fatal(err)
	}
}
