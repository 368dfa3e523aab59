package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
)

// builder turns local files into the parts of a page.
type builder struct {
	page     connector.Page
	stream   stream
	seen     connector.Position
	dir      string
	limit    connector.Limit
	progress func(connector.Progress)
	sample   int64 // of a preview: so many rows of a file are enough; 0 is all

	types []string // of the newest part's columns; nil: all are text
	seq   int
	parts map[string]int // by their shape: which of the page's
	rows  int64
	bytes int64
}

func newBuilder(st stream, r connector.Request) *builder {
	return &builder{stream: st, seen: r.Seen, dir: r.Dir, limit: r.Limit, progress: r.Progress, parts: map[string]int{}}
}

// add turns one file into rows. What is wrong with the file goes to the page; an error is of another kind.
func (b *builder) add(ctx context.Context, path string, it connector.Item) error {
	switch b.stream.format {
	case "jsonl", "json":
		return b.addJSON(ctx, path, it)
	case "parquet":
		return b.addParquet(path, it)
	case "avro":
		return b.addAvro(ctx, path, it)
	default:
		return b.addCSV(ctx, path, it)
	}
}

func (b *builder) temp(name string) string {
	b.seq++
	return filepath.Join(b.dir, fmt.Sprintf("%d-%s", b.seq, name))
}

// part is the part of this shape, an existing one where there is one: files that are alike are loaded together.
func (b *builder) part(shape string, p connector.Part, f connector.PartFile) {
	shape = fmt.Sprintf("%q %v %v %v %s", p.Columns, p.Header, p.CRLF, p.LineBreaks, shape)
	b.rows += f.Rows
	if i, ok := b.parts[shape]; ok {
		b.page.Parts[i].Files = append(b.page.Parts[i].Files, f)
		return
	}
	p.Files = []connector.PartFile{f}
	b.parts[shape] = len(b.page.Parts)
	b.page.Parts = append(b.page.Parts, p)
}

func (b *builder) typeOf(column int) string {
	if column < len(b.types) {
		return b.types[column]
	}
	return "text"
}

// refuse reports a file of which nothing was taken.
func (b *builder) refuse(key, why string) {
	b.page.Bad = append(b.page.Bad, connector.Bad{Key: key, Error: why})
}

// grew counts an item that was taken.
func (b *builder) grew(key string, bytes int64) {
	b.bytes += bytes
	if b.progress != nil {
		b.progress(connector.Progress{Rows: b.rows, Bytes: b.bytes, Position: key})
	}
}

func (b *builder) full() bool { return b.limit.Reached(b.rows, b.bytes) }

// bomReader drops a UTF-8 byte order mark.
type bomReader struct {
	r    io.Reader
	done bool
}

func (b *bomReader) Read(p []byte) (int, error) {
	if b.done {
		return b.r.Read(p)
	}
	b.done = true
	head := make([]byte, 3)
	n, err := io.ReadFull(b.r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, err
	}
	head = head[:n]
	if string(head) == "\xef\xbb\xbf" {
		head = nil
	}
	b.r = io.MultiReader(strings.NewReader(string(head)), b.r)
	return b.r.Read(p)
}
