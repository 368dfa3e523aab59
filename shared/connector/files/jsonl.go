package files

import (
	"bufio"
	"context"
	"encoding/csv"
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

// maxLine is the longest line of a JSON Lines file, in bytes; a longer one is rejected.
const maxLine = 8 << 20

// addJSONL rewrites a JSON Lines file as delimited text: one column per top-level key, in order of appearance, values as they stand
// in the file (numbers digit for digit, nested values as JSON text), null as NULL. DuckDB's own JSON reader would pass numbers through
// a double. Lines that hold no JSON object go to the page's bad lines.
func (b *builder) addJSONL(ctx context.Context, path string, it connector.Item) error {
	c := converter{key: it.Key, index: map[string]int{}}
	out, bad := b.temp("rows.csv"), b.temp("bad.csv")
	for {
		late, err := c.run(ctx, path, out, bad)
		if err != nil {
			return err
		}
		if !late {
			break
		}
	}
	if c.bad > 0 {
		b.page.BadFiles = append(b.page.BadFiles, bad)
	}
	if c.rows == 0 {
		return nil
	}
	columns, err := columnNames(c.columns)
	if err != nil {
		b.page.Bad = append(b.page.Bad, connector.Bad{Key: it.Key, Text: strings.Join(c.columns, ","), Error: "keys: " + err.Error()})
		return nil
	}
	columns = append([]string{lineColumn}, columns...)
	b.part(connector.Part{Columns: columns, EmptyText: true}, connector.PartFile{Path: out, Item: it})
	return nil
}

// lineColumn leads each converted row: with it no row is ever an empty line, which readers of delimited text skip.
const lineColumn = "_line"

type converter struct {
	key     string
	columns []string
	index   map[string]int
	rows    int64
	bad     int64
	cells   []cell
}

type cell struct {
	text string
	set  bool
}

// run reads the file once. A key that appears after the first row makes the rest of the pass collect keys only; late then asks for another pass.
func (c *converter) run(ctx context.Context, path, out, badOut string) (late bool, err error) {
	in, err := os.Open(path)
	if err != nil {
		return false, fault.New(fault.Unavailable, "read", c.key, "%w", err)
	}
	defer in.Close()
	of, err := os.Create(out)
	if err != nil {
		return false, fault.New(fault.Internal, "convert", c.key, "%w", err)
	}
	defer of.Close()
	bf, err := os.Create(badOut)
	if err != nil {
		return false, fault.New(fault.Internal, "convert", c.key, "%w", err)
	}
	defer bf.Close()
	rows, bad := bufio.NewWriterSize(of, 1<<20), csv.NewWriter(bf)
	c.rows, c.bad = 0, 0
	lines := bufio.NewReaderSize(&bomReader{r: in}, 1<<20)
	for n := int64(1); ; n++ {
		line, tooLong, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fault.New(fault.Unavailable, "read", c.key, "%w", err)
		}
		if n%1000 == 0 && ctx.Err() != nil {
			return false, fault.New(fault.Unavailable, "read", c.key, "%w", ctx.Err())
		}
		why := ""
		if tooLong {
			why = "the line is longer than " + strconv.Itoa(maxLine) + " bytes; its beginning is kept"
		} else if strings.TrimSpace(line) == "" {
			continue
		} else if why = c.parse(line, &late); why == "" {
			c.rows++
			if !late {
				c.write(rows, n)
			}
			continue
		}
		c.bad++
		if err := bad.Write([]string{c.key, strconv.FormatInt(n, 10), strings.ToValidUTF8(line, "\uFFFD"), why}); err != nil {
			return false, fault.New(fault.Internal, "convert", c.key, "%w", err)
		}
	}
	bad.Flush()
	if err := errors.Join(rows.Flush(), bad.Error(), of.Close(), bf.Close()); err != nil {
		return false, fault.New(fault.Internal, "convert", c.key, "%w", err)
	}
	return late, nil
}

// parse fills the cells from a line; the answer says why it is no row. late is set when it has a key that rows written already lack.
func (c *converter) parse(line string, late *bool) string {
	if !utf8.ValidString(line) {
		return "the line is not UTF-8"
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

func (c *converter) write(w *bufio.Writer, line int64) {
	w.WriteString(strconv.FormatInt(line, 10))
	for i := range c.columns {
		w.WriteByte(',')
		if i < len(c.cells) && c.cells[i].set {
			w.WriteByte('"')
			w.WriteString(strings.ReplaceAll(c.cells[i].text, `"`, `""`))
			w.WriteByte('"')
		}
	}
	w.WriteByte('\n')
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
