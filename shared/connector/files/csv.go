package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// addCSV splits a file into records on its own, before the engine does. That tells how many rows the engine has to find, and whether
// it may read the file as it is. It may not where a record is no row or line ends differ: DuckDB's reader stops there, or leaves rows
// out without a word. Such a file is written out anew, its good records as rows and its bad ones as rejects.
func (b *builder) addCSV(ctx context.Context, path string, it connector.Item) error {
	c := csvFile{key: it.Key, path: path, noHeader: b.stream.noHeader, delim: b.stream.delimiter[0], sample: b.sample}
	if err := c.inspect(ctx); err != nil {
		return err
	}
	if c.header == nil {
		return nil // an empty file has no rows
	}
	columns, err := c.columns()
	if err != nil {
		b.page.Bad = append(b.page.Bad, connector.Bad{Key: it.Key, Line: c.header.line, Text: cut(c.header.text), Error: "header: " + err.Error()})
		return nil
	}
	part := connector.Part{Columns: columns, Header: !c.noHeader, Delimiter: b.stream.delimiter, CRLF: c.eol == 2}
	if !c.plain || c.sample > 0 {
		rows, bad := b.temp("rows.csv"), b.temp("bad.csv")
		if err := c.rewrite(ctx, rows, bad); err != nil {
			return err
		}
		b.page.BadFiles = append(b.page.BadFiles, bad)
		path, part.Header, part.CRLF = rows, false, false
	}
	part.LineBreaks = c.breaks
	b.part("", part, connector.PartFile{Path: path, Item: it, Rows: c.rows})
	return nil
}

// csvFile is one file of delimited text, by RFC 4180 or as near to it as no row can be mistaken: a quote or a space in an unquoted field
// stands for itself, empty lines are skipped (where there is one column they are rows).
type csvFile struct {
	key, path string
	noHeader  bool
	delim     byte
	sample    int64 // rows that are enough; 0: all

	header *csvRecord // the first record; nil: the file has none
	rows   int64
	eol    int  // bytes of a line end
	plain  bool // the engine may read the file itself
	breaks bool // a field holds a line end
}

func (c *csvFile) columns() ([]string, error) {
	if c.header.bad != "" {
		return nil, errors.New(c.header.bad)
	}
	names := c.header.cells()
	if c.noHeader {
		for i := range names {
			names[i] = "column_" + strconv.Itoa(i+1)
		}
	}
	return connector.ColumnNames(names), nil
}

// inspect reads the file once, and finds its header and what is to know about the rest.
func (c *csvFile) inspect(ctx context.Context) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.Close()
	c.plain = !s.bom && s.end == '\n'
	err = c.each(ctx, s, func(r *csvRecord) error {
		c.plain = c.plain && r.plain && r.bad == ""
		if !r.last {
			c.plain = c.plain && (c.eol == 0 || c.eol == r.eol)
			c.eol = r.eol
		}
		if c.header == nil {
			c.header = r.clone()
			if !c.noHeader {
				return nil
			}
		}
		if r.bad == "" {
			c.rows++
			c.breaks = c.breaks || r.breaks
		}
		return nil
	})
	c.plain = c.plain && !s.skipped
	return err
}

// rewrite writes the rows in the one way that the engine reads without doubt, and the lines that hold none as rejects.
func (c *csvFile) rewrite(ctx context.Context, rows, bad string) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.Close()
	s.cells = true
	out, err := newOutput(c.key, rows, bad)
	if err != nil {
		return err
	}
	defer out.Close()
	header := !c.noHeader
	err = c.each(ctx, s, func(r *csvRecord) error {
		switch {
		case c.sample > 0 && out.rows == c.sample:
			return errEnough
		case header:
			header = false
			return nil
		case r.bad != "" && r.broken:
			return out.rejectLines(r.line, r.text, s.end, r.bad)
		case r.bad != "":
			return out.reject(r.line, r.text, r.bad)
		}
		for i := range r.fields {
			out.field(r.fields[i].of(r.text), r.fields[i].quoted, c.delim)
		}
		return out.row(r.line, r.text, len(r.fields) == 1)
	})
	c.rows, c.breaks = out.rows, out.breaks
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, out.Close())
}

// errEnough ends the reading of a file of which a sample is wanted.
var errEnough = errors.New("enough")

// each gives the records of a file; a record holds only until the next one.
func (c *csvFile) each(ctx context.Context, s *splitter, yield func(*csvRecord) error) error {
	for n := 0; ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return fault.New(fault.Unavailable, "read", c.key, "%w", ctx.Err())
		}
		r, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.New(fault.Unavailable, "read", c.key, "%w", err)
		}
		if err := yield(r); err != nil {
			return err
		}
	}
}

func (c *csvFile) open() (*splitter, error) {
	f, err := reopen(c.key, c.path)
	if err != nil {
		return nil, err
	}
	s, err := newSplitter(f, c.delim)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "read", c.key, "%w", errors.Join(err, f.Close()))
	}
	return s, nil
}

// output takes the rows and rejects of a file that is written anew.
type output struct {
	key    string
	rows   int64
	bad    int64
	breaks bool // a field holds a line end

	rowFile, badFile *os.File
	rowsTo           *bufio.Writer
	badTo            *csv.Writer
	buf              []byte
	begun            bool
	closed           bool
}

func newOutput(key, rows, bad string) (*output, error) {
	rf, err := os.Create(rows)
	if err != nil {
		return nil, fault.New(fault.Internal, "convert", key, "%w", err)
	}
	bf, err := os.Create(bad)
	if err != nil {
		return nil, fault.New(fault.Internal, "convert", key, "%w", errors.Join(err, rf.Close()))
	}
	return &output{key: key, rowFile: rf, badFile: bf, rowsTo: bufio.NewWriterSize(rf, 1<<20), badTo: csv.NewWriter(bf)}, nil
}

// field adds a field to the row: quoted text as it stands, other text quoted where it needs it.
func (o *output) field(text []byte, quoted bool, delim byte) {
	if o.begun {
		o.buf = append(o.buf, delim)
	}
	o.begun = true
	switch {
	case quoted:
		o.buf = append(o.buf, text...)
	case len(text) > 0 && (bytes.ContainsAny(text, "\"\r\n\\ \t") || bytes.IndexByte(text, delim) >= 0):
		o.buf = appendQuoted(o.buf, string(text))
	default:
		o.buf = append(o.buf, text...)
	}
}

// value adds a field that is not NULL.
func (o *output) value(text string) {
	if o.begun {
		o.buf = append(o.buf, ',')
	}
	o.begun = true
	o.buf = appendQuoted(o.buf, text)
}

// row ends the row that the fields made; one that the engine could not read is a reject. line and text are what it was made of.
func (o *output) row(line int64, text []byte, single bool) error {
	if single && len(o.buf) == 0 {
		o.buf = append(o.buf, '"', '"') // a line that is not empty
	}
	defer func() { o.buf, o.begun = o.buf[:0], false }()
	if len(o.buf) > maxLine {
		return o.reject(line, text, "the row has more than "+strconv.Itoa(maxLine)+" bytes as delimited text")
	}
	o.rows++
	o.breaks = o.breaks || bytes.ContainsAny(o.buf, "\r\n")
	o.buf = append(o.buf, '\n')
	_, err := o.rowsTo.Write(o.buf)
	return o.failed(err)
}

func (o *output) reject(line int64, text []byte, why string) error {
	o.bad++
	return o.failed(o.badTo.Write([]string{o.key, strconv.FormatInt(line, 10), cut(text), why}))
}

func (o *output) rejectLines(line int64, text []byte, end byte, why string) error {
	for i, l := range bytes.Split(text, []byte{end}) {
		if err := o.reject(line+int64(i), bytes.TrimSuffix(l, []byte{'\r'}), why); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) failed(err error) error {
	if err != nil {
		return fault.New(fault.Internal, "convert", o.key, "%w", err)
	}
	return nil
}

// Close writes out what is left. It may be repeated.
func (o *output) Close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	o.badTo.Flush()
	return o.failed(errors.Join(o.rowsTo.Flush(), o.badTo.Error(), o.rowFile.Close(), o.badFile.Close()))
}

func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for {
		i := strings.IndexByte(text, '"')
		if i < 0 {
			return append(append(b, text...), '"')
		}
		b, text = append(append(b, text[:i]...), `""`...), text[i+1:]
	}
}

// maxText is how much of a rejected line is kept, in bytes.
const maxText = 1 << 20

func cut(text []byte) string {
	return string(bytes.ToValidUTF8(text[:min(len(text), maxText)], []byte("\uFFFD")))
}
