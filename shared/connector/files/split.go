package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"
)

// maxLine is the longest line of a text file that is taken as a row, in bytes; a longer one is rejected. It lies below the engine's
// limit, which counts line ends too.
const maxLine = 8<<20 - 1<<10

// csvRecord is one record of delimited text, or what was found in place of one.
type csvRecord struct {
	line   int64   // where it begins, 1-based
	text   []byte  // without the line end; of one that is too long, the beginning
	fields []field // empty where nobody asked for them
	count  int     // of fields
	eol    int     // bytes of the line end
	bad    string  // why it is no row
	broken bool    // its quotes do not fit: each of its lines is on its own
	plain  bool    // nothing in it that readers of delimited text understand differently
	breaks bool    // a quoted field holds a line end
	last   bool    // it ends with the file, without a line end
}

// field is a part of a record's text, with its quotes.
type field struct {
	from, to int
	quoted   bool
}

func (f field) of(text []byte) []byte { return text[f.from:f.to] }

func (r *csvRecord) clone() *csvRecord {
	c := *r
	c.text, c.fields = bytes.Clone(r.text), append([]field(nil), r.fields...)
	return &c
}

func (r *csvRecord) cells() []string {
	out := make([]string, len(r.fields))
	for i, f := range r.fields {
		t := f.of(r.text)
		if f.quoted {
			t = bytes.ReplaceAll(t[1:len(t)-1], []byte(`""`), []byte{'"'})
		}
		out[i] = string(t)
	}
	return out
}

// splitter splits a file into records. Memory is bounded by maxLine.
type splitter struct {
	file    *os.File
	in      *bufio.Reader
	delim   byte
	end     byte // of lines: '\n', or '\r' in a file that has no '\n'
	bom     bool // the file begins with a byte order mark
	cells   bool // the fields are wanted; those of the first record always are
	skipped bool // there was an empty line
	want    int  // fields of a record, as many as the first one has
	line    int64
	offset  int64

	rec   csvRecord
	state int
	start int // of the field
	size  int // of the record, which may be more than its text
}

// Where in a field the splitter is.
const (
	begin = iota
	unquoted
	quoted
	closing // behind a quote in a quoted field: the end, or half of a doubled one
	junk    // something behind the closing quote
)

func newSplitter(f *os.File, delim byte) (*splitter, error) {
	s := &splitter{file: f, in: bufio.NewReaderSize(f, 1<<20), delim: delim, end: '\n'}
	head, err := s.in.Peek(64 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		s.end = '\r'
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		s.bom, s.offset = true, 3
		_, err = s.in.Discard(3)
		return s, err
	}
	return s, nil
}

func (s *splitter) Close() error { return s.file.Close() }

// next gives the next record. It holds until the call after.
func (s *splitter) next() (*csvRecord, error) {
	for {
		r, err := s.read()
		if err != nil || s.size > 0 {
			return r, err
		}
		if s.want == 1 {
			r.plain = false
			return r, nil
		}
		s.skipped = true
	}
}

func (s *splitter) read() (*csvRecord, error) {
	s.rec = csvRecord{line: s.line + 1, plain: true, text: s.rec.text[:0], fields: s.rec.fields[:0]}
	s.state, s.start, s.size = begin, 0, 0
	r := &s.rec
	var first struct { // line, of a record of many
		offset int64
		size   int
	}
	for {
		chunk, err := s.chunk()
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(chunk) == 0 && r.line == s.line+1 && s.size == 0 {
			return nil, io.EOF
		}
		body := chunk
		if err == nil {
			s.line++
			body = s.withoutEnd(chunk)
		}
		r.plain = r.plain && bytes.IndexByte(body, '\r') < 0
		s.scan(body)
		s.keep(body)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil && s.state == quoted:
			if first.offset == 0 {
				first.offset, first.size = s.offset, len(r.text)
			}
			s.keep(chunk[len(body):])
			r.breaks = true
			continue
		}
		r.eol, r.last = len(chunk)-len(body), err != nil
		break
	}
	// Quotes that never fit are the first line's fault alone: no line behind it can be part of a field. Where they end in the wrong place,
	// the lines between may be, and none of them is taken for a row.
	broken := s.state == quoted || s.state == junk
	if first.offset > 0 && (s.state == quoted || (broken && s.size > maxLine)) {
		if err := s.back(first.offset, r.line); err != nil {
			return nil, err
		}
		r.text = r.text[:first.size]
	}
	s.finish(broken)
	return r, nil
}

// chunk is the next line with its end, or a piece of a long one (bufio.ErrBufferFull).
func (s *splitter) chunk() ([]byte, error) {
	chunk, err := s.in.ReadSlice(s.end)
	if errors.Is(err, bufio.ErrBufferFull) && chunk[len(chunk)-1] == '\r' { // the next byte may make it a line end
		if err := s.in.UnreadByte(); err != nil {
			return nil, err
		}
		chunk = chunk[:len(chunk)-1]
	}
	s.offset += int64(len(chunk))
	return chunk, err
}

func (s *splitter) withoutEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if s.end == '\n' && len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	return line
}

func (s *splitter) keep(b []byte) {
	s.size += len(b)
	if s.size <= maxLine {
		s.rec.text = append(s.rec.text, b...)
	}
}

func (s *splitter) back(offset, line int64) error {
	if _, err := s.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	s.in.Reset(s.file)
	s.offset, s.line = offset, line
	return nil
}

// scan goes over a piece of a record that lies behind s.size bytes.
func (s *splitter) scan(b []byte) {
	if s.state == begin && s.start == s.size && s.want > 0 && !s.cells && bytes.IndexByte(b, '"') < 0 { // the common case, fast
		s.rec.count += bytes.Count(b, []byte{s.delim})
		if n := len(b); n > 0 && b[n-1] != s.delim {
			s.state = unquoted
		}
		return
	}
	for i := 0; i < len(b); {
		switch s.state {
		case begin:
			if s.state = unquoted; b[i] == '"' {
				s.state = quoted
				i++
			}
		case unquoted:
			n := bytes.IndexByte(b[i:], s.delim)
			text := b[i:]
			if n >= 0 {
				text = b[i : i+n]
			}
			s.rec.plain = s.rec.plain && bytes.IndexByte(text, '"') < 0
			i += len(text)
			if n >= 0 {
				s.field(s.size+i, false)
				i++
			}
		case quoted:
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				return
			}
			i += n + 1
			s.state = closing
		case closing:
			switch b[i] {
			case '"':
				s.state = quoted
			case s.delim:
				s.field(s.size+i, true)
			default:
				s.state = junk
				return
			}
			i++
		case junk:
			return
		}
	}
}

// field ends a field at a position of the record; the next one begins behind the delimiter.
func (s *splitter) field(at int, quoted bool) {
	s.rec.count++
	if (s.cells || s.want == 0) && at <= maxLine {
		s.rec.fields = append(s.rec.fields, field{s.start, at, quoted})
	}
	s.start, s.state = at+1, begin
}

// finish ends the record and says what is wrong with it.
func (s *splitter) finish(broken bool) {
	r := &s.rec
	if !broken {
		s.field(s.size, s.state == closing)
	}
	if s.want == 0 && s.size > 0 {
		s.want = r.count
	}
	switch {
	case broken && s.state == junk:
		r.bad, r.broken = "a quoted field goes on behind its closing quote", true
	case broken:
		r.bad, r.broken = "a quoted field is never closed", true
	case s.size > maxLine:
		r.bad = "the line is longer than " + strconv.Itoa(maxLine) + " bytes; its beginning is kept"
	case !utf8.Valid(r.text):
		r.bad = "the line is not UTF-8"
	case r.count != s.want:
		r.bad = fmt.Sprintf("%d fields, the first line has %d", r.count, s.want)
	}
}
