package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// footer is the end of a Parquet file: what it holds, and where (FileMetaData of parquet.thrift). It is our own type for two reasons:
// parquet-go's cannot tell a null count of 0 from none, and what it has no field for is left out when it is written again, as offsets of
// bloom filters and page indexes, which must not be followed in a file that was fetched in part.
type footer struct {
	Version    int32                      `thrift:"1,required"`
	Schema     []format.SchemaElement     `thrift:"2,required"` // a tree in depth-first order
	NumRows    int64                      `thrift:"3,required"`
	RowGroups  []rowGroup                 `thrift:"4,required"`
	CreatedBy  string                     `thrift:"6,optional"`
	Encryption format.EncryptionAlgorithm `thrift:"8,optional"`
}

type rowGroup struct {
	Columns       []columnChunk `thrift:"1,required"` // one for each leaf of the schema
	TotalByteSize int64         `thrift:"2,required"`
	NumRows       int64         `thrift:"3,required"`
}

type columnChunk struct {
	FilePath   string         `thrift:"1,optional"` // another file's; no known writer does that
	FileOffset int64          `thrift:"2,required"`
	MetaData   columnMetaData `thrift:"3,optional"`
}

type columnMetaData struct {
	Type                  format.Type             `thrift:"1,required"`
	Encoding              []format.Encoding       `thrift:"2,required"`
	PathInSchema          []string                `thrift:"3,required"`
	Codec                 format.CompressionCodec `thrift:"4,required"`
	NumValues             int64                   `thrift:"5,required"`
	TotalUncompressedSize int64                   `thrift:"6,required"`
	TotalCompressedSize   int64                   `thrift:"7,required"`
	DataPageOffset        int64                   `thrift:"9,required"`
	IndexPageOffset       int64                   `thrift:"10,optional"`
	DictionaryPageOffset  int64                   `thrift:"11,optional"`
	Statistics            *statistics             `thrift:"12,optional"`
}

// statistics are those of a column chunk. The old fields min and max are left out: writers disagreed on their order.
type statistics struct {
	NullCount thrift.Null[int64] `thrift:"3,optional"`
	Max       []byte             `thrift:"5,optional"`
	Min       []byte             `thrift:"6,optional"`
}

const (
	parquetMagic = "PAR1"
	parquetTail  = 8        // bytes: length of the footer, little-endian, and magic
	maxFooter    = 32 << 20 // bytes; those of files with thousands of columns and row groups have a few MB
)

// footerSize reads a file's last bytes, of which tail has at least parquetTail or the whole file.
func footerSize(tail []byte, fileSize int64) (int64, error) {
	if fileSize < parquetTail+int64(len(parquetMagic)) {
		return 0, fmt.Errorf("%d bytes are no Parquet file", fileSize)
	}
	end := tail[len(tail)-parquetTail:]
	switch string(end[4:]) {
	case parquetMagic:
	case "PARE":
		return 0, errors.New("it is encrypted")
	default:
		return 0, errors.New("no Parquet file: its end is missing")
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > fileSize-parquetTail-int64(len(parquetMagic)) || n > maxFooter {
		return 0, fmt.Errorf("footer of %d bytes in a file of %d", n, fileSize)
	}
	return n, nil
}

// parseFooter reads a footer. dataEnd is where it begins in the file: column chunks must lie before.
func parseFooter(text []byte, dataEnd int64) (f *footer, err error) {
	defer func() { // the decoder is made for well-meant input
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("footer unreadable: %v", p)
		}
	}()
	f = &footer{}
	r := boundedReader{new(thrift.CompactProtocol).NewReaderFromBytes(text), len(text)}
	if err := thrift.NewDecoder(r).Decode(f); err != nil {
		return nil, fmt.Errorf("footer unreadable: %w", err)
	}
	return f, f.check(dataEnd)
}

// boundedReader refuses lists that are longer than what is left of the text, for which the decoder would make room at once.
type boundedReader struct {
	thrift.BytesReader
	size int
}

func (r boundedReader) ReadList() (thrift.List, error) {
	l, err := r.BytesReader.ReadList()
	least := 1 // bytes of an element
	if l.Type == thrift.STRUCT {
		least = 3
	}
	if err == nil && (l.Size < 0 || int(l.Size) > (r.size-r.BytesRead())/least) {
		err = errors.New("a list longer than the footer")
	}
	return l, err
}

// Discard skips bytes, as the decoder asks of readers that have them at hand.
func (r boundedReader) Discard(n int) (int, error) {
	return r.BytesReader.(interface{ Discard(int) (int, error) }).Discard(n)
}

func (f *footer) check(dataEnd int64) error {
	if f.Encryption.Value != nil {
		return errors.New("it is encrypted")
	}
	columns, err := f.columns()
	if err != nil {
		return err
	}
	leaves := 0
	for _, c := range columns {
		leaves += c.leaves
	}
	for i, g := range f.RowGroups {
		if len(g.Columns) != leaves {
			return fmt.Errorf("row group %d has %d columns, the schema %d", i, len(g.Columns), leaves)
		}
		for _, c := range g.Columns {
			r := c.extent()
			if c.FilePath != "" || r.Offset < int64(len(parquetMagic)) || r.Length < 0 || r.Length > dataEnd || r.Offset > dataEnd-r.Length {
				return fmt.Errorf("row group %d, column %s: bytes %d+%d of %d", i, strings.Join(c.MetaData.PathInSchema, "."), r.Offset, r.Length, dataEnd)
			}
		}
	}
	return nil
}

// extent is a part of a file, in bytes.
type extent struct{ Offset, Length int64 }

// extent is where a column chunk lies.
func (c columnChunk) extent() extent {
	start := c.MetaData.DataPageOffset
	if d := c.MetaData.DictionaryPageOffset; d > 0 && d < start {
		start = d
	}
	return extent{start, c.MetaData.TotalCompressedSize}
}

// fileColumn is a top-level column of a file.
type fileColumn struct {
	name          string
	id            int32 // Parquet's field id; 0: none
	element, end  int   // its elements of the schema
	first, leaves int   // its leaves
}

// columns walks the schema.
func (f *footer) columns() ([]fileColumn, error) {
	if len(f.Schema) == 0 {
		return nil, errors.New("a footer without schema")
	}
	var out []fileColumn
	at, leaf := 1, 0
	for range f.Schema[0].NumChildren.V {
		if at >= len(f.Schema) {
			return nil, errors.New("the footer's schema is cut off")
		}
		e := f.Schema[at]
		c := fileColumn{name: e.Name, id: e.FieldID, element: at, first: leaf}
		for open := int64(1); open > 0; at++ { // elements still to come in this column
			if at >= len(f.Schema) {
				return nil, errors.New("the footer's schema is cut off")
			}
			children := f.Schema[at].NumChildren.V
			if children < 0 || int(children) > len(f.Schema) {
				return nil, errors.New("the footer's schema is damaged")
			}
			open += int64(children) - 1
			if children == 0 {
				leaf++
			}
		}
		c.end, c.leaves = at, leaf-c.first
		out = append(out, c)
	}
	if at != len(f.Schema) {
		return nil, errors.New("the footer's schema has elements too many")
	}
	return out, nil
}

// only gives the footer of a file with some of the columns and row groups, without what leads to other parts of it.
func (f *footer) only(columns []fileColumn, groups []rowGroup) *footer {
	root := f.Schema[0]
	root.NumChildren.Set(int32(len(columns)))
	out := &footer{Version: f.Version, Schema: []format.SchemaElement{root}, CreatedBy: f.CreatedBy}
	for _, c := range columns {
		for _, e := range f.Schema[c.element:c.end] {
			if _, variant := e.LogicalType.Value.(*format.VariantType); variant {
				e.LogicalType = format.LogicalType{} // DuckDB 1.5 loses variant nulls: see Scan.copies
			}
			out.Schema = append(out.Schema, e)
		}
	}
	for _, g := range groups {
		kept := rowGroup{NumRows: g.NumRows}
		for _, c := range columns {
			for _, chunk := range g.Columns[c.first : c.first+c.leaves] {
				chunk.MetaData.Statistics = nil
				kept.TotalByteSize += chunk.MetaData.TotalUncompressedSize
				kept.Columns = append(kept.Columns, chunk)
			}
		}
		out.NumRows += g.NumRows
		out.RowGroups = append(out.RowGroups, kept)
	}
	return out
}

// encode gives a file's end: footer, length and magic.
func (f *footer) encode() ([]byte, error) {
	text, err := thrift.Marshal(new(thrift.CompactProtocol), f)
	if err != nil {
		return nil, err
	}
	text = binary.LittleEndian.AppendUint32(text, uint32(len(text)))
	return append(text, parquetMagic...), nil
}
