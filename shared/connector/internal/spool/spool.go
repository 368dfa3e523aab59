// Package spool keeps the typed rows of a page in local Parquet files until the engine takes them: memory stays that of a few batches
// whatever the page holds.
package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// rowGroup bounds what a file's writer holds in memory, and allGroups what all of a spool do together, in bytes of Arrow data.
const (
	rowGroup  = 16 << 20
	allGroups = 64 << 20
	pageSize  = 128 << 10 // of each column, uncompressed: smaller than Parquet's usual, for tables of many columns and pages of many schemas
)

// maxSchemas bounds the open files: rows of so many different sets of columns in one page are a mistake of the connector's.
const maxSchemas = 256

// Spool takes Arrow batches. It is safe for concurrent use. Columns are told apart by name and type: each set of them is a file.
type Spool struct {
	dir    string
	origin connector.Item

	mu    sync.Mutex
	files []*file
	rows  int64
	bytes int64
}

type file struct {
	schema *arrow.Schema
	path   string
	out    *os.File
	writer *pqarrow.FileWriter
	rows   int64
	group  int64 // bytes in the row group so far
}

// New makes a spool in dir for rows that come from origin.
func New(dir, origin string) *Spool {
	return &Spool{dir: dir, origin: connector.Item{Key: origin}}
}

// Write adds the rows of a batch, which stays the caller's.
func (s *Spool) Write(batch arrow.RecordBatch) error {
	if batch.NumRows() == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.file(batch.Schema())
	if err == nil {
		err = f.write(batch)
	}
	if err == nil {
		err = s.relieve()
	}
	if err != nil {
		return fault.New(fault.Internal, "spool", s.origin.Key, "%w", err)
	}
	s.rows += batch.NumRows()
	s.bytes += size(batch)
	return nil
}

// relieve ends the largest row group when many files hold one.
func (s *Spool) relieve() error {
	var all int64
	largest := s.files[0]
	for _, f := range s.files {
		all += f.group
		if f.group > largest.group {
			largest = f
		}
	}
	if all > allGroups {
		return largest.end()
	}
	return nil
}

func (s *Spool) file(schema *arrow.Schema) (*file, error) {
	for _, f := range s.files {
		if f.schema.Equal(schema) {
			return f, nil
		}
	}
	if len(s.files) == maxSchemas {
		return nil, fmt.Errorf("rows of more than %d sets of columns", maxSchemas)
	}
	f := &file{schema: schema, path: filepath.Join(s.dir, fmt.Sprintf("spool-%d.parquet", len(s.files)))}
	var err error
	if f.out, err = os.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	f.writer, err = pqarrow.NewFileWriter(schema, f.out, parquet.NewWriterProperties(parquet.WithDictionaryDefault(false), parquet.WithStats(false), parquet.WithDataPageSize(pageSize),
		parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, errors.Join(err, f.out.Close())
	}
	s.files = append(s.files, f)
	return f, nil
}

func (f *file) write(batch arrow.RecordBatch) error {
	if f.group >= rowGroup {
		if err := f.end(); err != nil {
			return err
		}
	}
	f.group += size(batch)
	f.rows += batch.NumRows()
	return f.writer.WriteBuffered(batch)
}

// end writes the row group that the file's writer holds.
func (f *file) end() error {
	f.group = 0
	return f.writer.NewBufferedRowGroupChecked()
}

// size is about the memory that a batch takes, in bytes.
func size(batch arrow.RecordBatch) (n int64) {
	for _, c := range batch.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// Rows is how many rows were written.
func (s *Spool) Rows() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows
}

// Bytes is how much memory the batches written so far took together.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Parts completes the files. The spool takes no more rows then.
func (s *Spool) Parts() ([]connector.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []connector.Part
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.writer.Close()) // closes out, too
		columns := make([]string, 0, f.schema.NumFields())
		for _, c := range f.schema.Fields() {
			columns = append(columns, c.Name)
		}
		parts = append(parts, connector.Part{Parquet: true, Columns: columns, Files: []connector.PartFile{{Path: f.path, Item: s.origin, Rows: f.rows}}})
	}
	s.files = nil
	if err := errors.Join(errs...); err != nil {
		return nil, fault.New(fault.Internal, "spool", s.origin.Key, "%w", err)
	}
	return parts, nil
}

// Abort gives up what was written. After Parts it does nothing, so that it can be deferred.
func (s *Spool) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(s.files) {
		f.out.Close()
		os.Remove(f.path)
	}
	s.files = nil
}
