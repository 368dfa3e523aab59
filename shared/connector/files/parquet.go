package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/store"
)

// addParquet takes a file as it is: the engine reads it in place. Its footer says what it holds.
func (b *builder) addParquet(path string, it connector.Item) error {
	f, err := reopen(it.Key, path)
	if err != nil {
		return err
	}
	defer f.Close()
	footer, bad := readFooter(f)
	if bad != "" {
		b.refuse(it.Key, bad)
		return nil
	}
	b.part(footer.shape, connector.Part{Parquet: true, Columns: connector.ColumnNames(footer.names)}, connector.PartFile{Path: path, Item: it, Rows: footer.rows})
	return nil
}

// footer is what the end of a Parquet file says of the file.
type footer struct {
	names []string // of the columns
	types []string
	shape string // the same for files of the same columns and types
	rows  int64
}

// pathColumn is the engine's own, with the file that a row comes from.
const pathColumn = "_path"

// readFooter reads the footer. bad says why the file cannot be used: a broken file is no reason to stop.
func readFooter(f parquet.ReaderAtSeeker) (out footer, bad string) {
	defer func() {
		if p := recover(); p != nil { // the library meets some broken footers so
			bad = fmt.Sprintf("the file is broken Parquet: %v", p)
		}
	}()
	r, err := file.NewParquetReader(f)
	if err != nil {
		return out, "the file is no Parquet, or broken: " + err.Error()
	}
	md := r.MetaData()
	root := md.Schema.Root()
	for i := range root.NumFields() {
		out.names = append(out.names, root.Field(i).Name())
		out.types = append(out.types, typeName(root.Field(i)))
	}
	var shape strings.Builder
	schema.PrintSchema(root, &shape, 1)
	out.shape, out.rows = shape.String(), r.NumRows()
	switch {
	case len(out.names) == 0:
		return out, "the file has no columns"
	case slices.ContainsFunc(out.names, func(n string) bool { return strings.EqualFold(n, pathColumn) }):
		return out, "the file has a column " + pathColumn + ", which the engine needs for itself"
	}
	return out, intact(f, r)
}

// intact looks whether what the footer names lies in the file: one that lacks a piece in its middle has a good footer.
func intact(f parquet.ReaderAtSeeker, r *file.Reader) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	tail := make([]byte, 8) // the footer's length, and PAR1
	if _, err := f.ReadAt(tail, size-8); err != nil {
		return err.Error()
	}
	end := size - 8 - int64(binary.LittleEndian.Uint32(tail))
	var rows int64
	for g := range r.NumRowGroups() {
		group := r.MetaData().RowGroup(g)
		rows += group.NumRows()
		for c := range group.NumColumns() {
			chunk, err := group.ColumnChunk(c)
			if err != nil {
				return "the file is broken Parquet: " + err.Error()
			}
			at := chunk.DataPageOffset()
			if chunk.HasDictionaryPage() {
				at = min(at, chunk.DictionaryPageOffset())
			}
			if at < 4 || chunk.TotalCompressedSize() < 0 || at+chunk.TotalCompressedSize() > end {
				return fmt.Sprintf("the file is broken Parquet: column %d of row group %d lies outside of the file", c, g)
			}
		}
	}
	if rows != r.NumRows() {
		return fmt.Sprintf("the file is broken Parquet: its footer counts %d rows, its row groups %d", r.NumRows(), rows)
	}
	return ""
}

// typeName is a column's type as Parquet calls it.
func typeName(n schema.Node) string {
	if !n.LogicalType().IsNone() {
		return strings.ToLower(n.LogicalType().String())
	}
	if p, ok := n.(*schema.PrimitiveNode); ok {
		return strings.ToLower(p.PhysicalType().String())
	}
	return "group"
}

// footerOf reads the footer of a file in the store, and no more of it.
func (s *Source) footerOf(ctx context.Context, o store.Object) (sample, error) {
	r := &ranged{ctx: ctx, store: s.store, key: o.Key, size: o.Size}
	footer, bad := readFooter(r)
	if r.err != nil {
		return sample{}, moved(o.Key, r.err)
	}
	out := sample{rows: footer.rows, bad: bad}
	for i, name := range connector.ColumnNames(footer.names) {
		out.columns = append(out.columns, connector.DiscoveredColumn{Name: name, Type: footer.types[i]})
	}
	return out, nil
}

// ranged reads pieces of an object. The library looks at the footer only.
type ranged struct {
	ctx   context.Context
	store store.Store
	key   string
	size  int64
	at    int64
	err   error // of the store
}

func (r *ranged) ReadAt(p []byte, at int64) (int, error) {
	if at >= r.size || len(p) == 0 {
		return 0, io.EOF
	}
	in, err := r.store.Open(r.ctx, r.key, store.Range{Offset: at, Length: int64(len(p))})
	if err != nil {
		r.err = err
		return 0, err
	}
	defer in.Close()
	n, err := io.ReadFull(in, p)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return n, io.EOF
	case err != nil:
		r.err = err
	}
	return n, err
}

func (r *ranged) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	return n, err
}

func (r *ranged) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	r.at = offset
	return offset, nil
}
