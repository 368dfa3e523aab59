package files

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/lakestep/lakestep/shared/fault"
)

// lineColumn leads each converted row: with it no row is ever an empty line, which readers of delimited text skip.
const lineColumn = "_line"

// converter writes JSON objects as delimited text.
type converter struct {
	key     string
	open    func(io.Reader) texts
	what    string // a piece is called: line, value
	sample  int64  // rows that are enough; 0: all
	columns []string
	index   map[string]int
	rows    int64 // of this pass
	cells   []cell
}

type cell struct {
	text string
	set  bool
}

// run reads the file once. A key that appears after the first row makes the rest of the pass collect keys only; late then asks for another pass.
func (c *converter) run(ctx context.Context, path, rows, bad string) (out *output, late bool, err error) {
	file, err := reopen(c.key, path)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	if out, err = newOutput(c.key, rows, bad); err != nil {
		return nil, false, err
	}
	c.rows = 0
	in := c.open(file)
	for c.sample == 0 || c.rows < c.sample {
		t, err := in.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, errors.Join(fault.New(fault.Unavailable, "read", c.key, "%w", err), out.Close())
		}
		if err := c.take(out, t, &late); err != nil {
			return nil, false, errors.Join(err, out.Close())
		}
	}
	return out, late, out.Close()
}

func (c *converter) take(out *output, t text, late *bool) error {
	if t.bad == "" {
		t.bad = c.parse(t.text, late)
	}
	if t.bad != "" {
		return out.reject(t.line, []byte(t.text), t.bad)
	}
	c.rows++
	if *late {
		return nil
	}
	return c.write(out, t.line, t.text)
}

// parse fills the cells from a piece; the answer says why it is no row. late is set when it has a key that rows written already lack.
func (c *converter) parse(line string, late *bool) string {
	if !utf8.ValidString(line) {
		return "the " + c.what + " is not UTF-8"
	}
	if tooDeep(line) {
		return "the " + c.what + " nests deeper than " + strconv.Itoa(maxDepth) + " levels"
	}
	if !gjson.Valid(line) {
		return "the " + c.what + " is not JSON"
	}
	obj := gjson.Parse(line)
	if !obj.IsObject() {
		return "the " + c.what + " is not a JSON object"
	}
	clear(c.cells)
	obj.ForEach(func(k, v gjson.Result) bool {
		i, ok := c.index[k.String()]
		if !ok {
			i = len(c.columns)
			c.columns, c.index[k.String()] = append(c.columns, k.String()), i
			*late = *late || c.rows > 0
		}
		for len(c.cells) <= i {
			c.cells = append(c.cells, cell{})
		}
		switch v.Type {
		case gjson.Null:
			c.cells[i] = cell{}
		case gjson.String:
			c.cells[i] = cell{v.String(), true}
		default:
			c.cells[i] = cell{v.Raw, true}
		}
		return true
	})
	return ""
}

// maxDepth bounds the nesting of a line, as encoding/json does: a checker that recurses would overflow the stack, which nothing catches.
const maxDepth = 10_000

func tooDeep(line string) bool {
	depth, text := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && text:
			i++
		case c == '"':
			text = !text
		case !text && (c == '{' || c == '['):
			if depth++; depth > maxDepth {
				return true
			}
		case !text && (c == '}' || c == ']'):
			depth--
		}
	}
	return false
}

func (c *converter) write(out *output, n int64, line string) error {
	out.field(strconv.AppendInt(nil, n, 10), false, ',')
	for i := range c.columns {
		if i < len(c.cells) && c.cells[i].set {
			out.value(c.cells[i].text)
		} else {
			out.field(nil, false, ',')
		}
	}
	return out.row(n, []byte(line), false)
}

// readLine reads up to a newline. Of a line longer than maxLine it gives the first KiB.
func readLine(r *bufio.Reader) (line string, tooLong bool, err error) {
	var b []byte
	for {
		chunk, err := r.ReadSlice('\n')
		switch {
		case len(b) <= maxLine:
			b = append(b, chunk...)
		case !tooLong:
			tooLong = true
			b = b[:maxLine+1]
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(b) == 0 {
			return "", false, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", false, err
		}
		break
	}
	if len(b) > maxLine {
		return string(b[:1024]), true, nil
	}
	return strings.TrimRight(string(b), "\r\n"), false, nil
}
