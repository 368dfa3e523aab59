package files

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// addJSONL rewrites a JSON Lines file as delimited text: one column per top-level key, in order of appearance, values as they stand
// in the file (numbers digit for digit, nested values as JSON text), null as NULL. DuckDB's own JSON reader would pass numbers through
// a double. Lines that hold no JSON object go to the page's bad lines.
func (b *builder) addJSONL(ctx context.Context, path string, it connector.Item) error {
	c := converter{key: it.Key, index: map[string]int{}}
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
	b.part(connector.Part{Columns: columns, EmptyText: true, LineBreaks: out.breaks}, connector.PartFile{Path: rows, Item: it, Rows: out.rows})
	return nil
}

// lineColumn leads each converted row: with it no row is ever an empty line, which readers of delimited text skip.
const lineColumn = "_line"

type converter struct {
	key     string
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
	in, err := os.Open(path)
	if err != nil {
		return nil, false, fault.New(fault.Unavailable, "read", c.key, "%w", err)
	}
	defer in.Close()
	if out, err = newOutput(c.key, rows, bad); err != nil {
		return nil, false, err
	}
	c.rows = 0
	lines := bufio.NewReaderSize(&bomReader{r: in}, 1<<20)
	for n := int64(1); ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return nil, false, errors.Join(fault.New(fault.Unavailable, "read", c.key, "%w", ctx.Err()), out.Close())
		}
		line, tooLong, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return out, late, out.Close()
		}
		if err != nil {
			return nil, false, errors.Join(fault.New(fault.Unavailable, "read", c.key, "%w", err), out.Close())
		}
		if err := c.line(out, n, line, tooLong, &late); err != nil {
			return nil, false, errors.Join(err, out.Close())
		}
	}
}

func (c *converter) line(out *output, n int64, line string, tooLong bool, late *bool) error {
	if strings.TrimSpace(line) == "" && !tooLong {
		return nil
	}
	why := "the line is longer than " + strconv.Itoa(maxLine) + " bytes; its beginning is kept"
	if !tooLong {
		why = c.parse(line, late)
	}
	if why != "" {
		return out.reject(n, []byte(line), why)
	}
	c.rows++
	if *late {
		return nil
	}
	return c.write(out, n, line)
}

// parse fills the cells from a line; the answer says why it is no row. late is set when it has a key that rows written already lack.
func (c *converter) parse(line string, late *bool) string {
	if !utf8.ValidString(line) {
		return "the line is not UTF-8"
	}
	if tooDeep(line) {
		return "the line nests deeper than " + strconv.Itoa(maxDepth) + " levels"
	}
	if !gjson.Valid(line) {
		return "the line is not JSON"
	}
	obj := gjson.Parse(line)
	if !obj.IsObject() {
		return "the line is not a JSON object"
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
