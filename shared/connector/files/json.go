package files

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
)

// text is a piece of a file that should be a JSON object, or what was found in place of one.
type text struct {
	line int64 // where it begins, 1-based
	text string
	bad  string // why it is no object
}

// texts gives the pieces of a file, io.EOF behind the last. Memory is bounded by maxLine.
type texts interface {
	next(ctx context.Context) (text, error)
}

// lines are those of a JSON Lines file.
type lines struct {
	in *bufio.Reader
	n  int64
}

func (l *lines) next(ctx context.Context) (text, error) {
	for {
		if l.n++; l.n%1000 == 0 && ctx.Err() != nil {
			return text{}, ctx.Err()
		}
		line, tooLong, err := readLine(l.in)
		switch {
		case err != nil:
			return text{}, err
		case tooLong:
			return text{l.n, line, tooLongText("line")}, nil
		case strings.TrimSpace(line) != "":
			return text{l.n, line, ""}, nil
		}
	}
}

func tooLongText(what string) string {
	return "the " + what + " is longer than " + strconv.Itoa(maxLine) + " bytes; its beginning is kept"
}

// values are those of a JSON file: the elements of its arrays, and values that stand one behind the other. What lies between is any white
// space; a comma too many or too few is no matter, since no value can be mistaken for it. A value whose brackets or quotes do not fit ends
// where they do at last, or with the file: none of what it swallows is taken for a row.
type values struct {
	in    *bufio.Reader
	line  int64
	array int64 // the line on which the array began that is being read; 0: none
	buf   []byte
	size  int // of the value, which may be more than buf holds
}

func newValues(in *bufio.Reader) *values { return &values{in: in, line: 1} }

func (v *values) next(ctx context.Context) (text, error) {
	for {
		c, err := v.in.ReadByte()
		if err != nil {
			if array := v.array; err == io.EOF && array > 0 {
				v.array = 0
				return text{array, "[", "the array is never closed: the file may be cut off"}, nil
			}
			return text{}, err
		}
		switch {
		case c == '\n':
			v.line++
		case c == ' ' || c == '\t' || c == '\r' || c == ',':
		case c == '[' && v.array == 0:
			v.array = v.line
		case c == ']' && v.array > 0:
			v.array = 0
		default:
			if err := v.in.UnreadByte(); err != nil {
				return text{}, err
			}
			return v.value(ctx)
		}
	}
}

// value reads a value, to the bracket or quote that ends it, or a word to what cannot be a part of it.
func (v *values) value(ctx context.Context) (text, error) {
	v.buf, v.size = v.buf[:0], 0
	t := text{line: v.line}
	s := extent{}
	for !s.ended {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		if _, err := v.in.Peek(1); err == io.EOF {
			if s.depth > 0 || s.quoted {
				t.bad = "the value never ends: its brackets or quotes do not fit, or the file is cut off"
			}
			break
		} else if err != nil {
			return t, err
		}
		chunk, err := v.in.Peek(v.in.Buffered())
		if err != nil {
			return t, err
		}
		n := s.scan(chunk)
		v.keep(chunk[:n])
		if _, err := v.in.Discard(n); err != nil {
			return t, err
		}
	}
	t.text = string(v.buf)
	if v.size > maxLine {
		t.text = string(v.buf[:1024])
		if t.bad == "" {
			t.bad = tooLongText("value")
		}
	}
	return t, nil
}

func (v *values) keep(b []byte) {
	v.line += int64(bytes.Count(b, []byte{'\n'}))
	v.size += len(b)
	if len(v.buf) <= maxLine {
		v.buf = append(v.buf, b[:min(len(b), maxLine+1-len(v.buf))]...)
	}
}

// extent finds the end of a value.
type extent struct {
	begun, ended    bool
	depth           int
	quoted, escaped bool
}

// scan goes over a piece of the value and tells how much of the piece belongs to it.
func (s *extent) scan(b []byte) int {
	for i, c := range b {
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped, s.quoted = c == '\\', c != '"'
			s.ended = !s.quoted && s.depth == 0
		case c == '"' && (s.depth > 0 || !s.begun):
			s.quoted = true
		case c == '{' || c == '[':
			if s.depth == 0 && s.begun {
				s.ended = true // of a word
				return i
			}
			s.depth++
		case c == '}' || c == ']':
			if s.depth == 0 && s.begun {
				s.ended = true
				return i
			}
			s.depth--
			s.ended = s.depth <= 0
		case s.begun && s.depth == 0 && strings.IndexByte(" \t\r\n,\"", c) >= 0:
			s.ended = true
			return i
		}
		if s.begun = true; s.ended {
			return i + 1
		}
	}
	return len(b)
}

// newTexts opens the pieces of a file of the stream's format.
func (b *builder) newTexts(file io.Reader) texts {
	in := bufio.NewReaderSize(&bomReader{r: file}, 1<<20)
	if b.stream.format == "json" {
		return newValues(in)
	}
	return &lines{in: in}
}

// addJSON rewrites a file of JSON objects as delimited text: one column per top-level key, in order of appearance, values as they stand
// in the file (numbers digit for digit, nested values as JSON text), null as NULL. DuckDB's own JSON reader would pass numbers through
// a double. What is no JSON object goes to the page's bad lines.
func (b *builder) addJSON(ctx context.Context, path string, it connector.Item) error {
	c := converter{key: it.Key, open: b.newTexts, what: "line", index: map[string]int{}, sample: b.sample}
	if b.stream.format == "json" {
		c.what = "value"
	}
	rows, bad := b.temp("rows.csv"), b.temp("bad.csv")
	var out *output
	for late := true; late; {
		var err error
		if out, late, err = c.run(ctx, path, rows, bad); err != nil {
			return err
		}
	}
	if out.bad > 0 {
		b.page.BadFiles = append(b.page.BadFiles, bad)
	}
	if out.rows == 0 {
		return nil
	}
	columns := append([]string{lineColumn}, connector.ColumnNames(c.columns)...)
	b.part("", connector.Part{Columns: columns, EmptyText: true, LineBreaks: out.breaks}, connector.PartFile{Path: rows, Item: it, Rows: out.rows})
	return nil
}
