package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
)

// builder turns local files into the parts of a page.
type builder struct {
	page   connector.Page
	stream stream
	dir    string
	seq    int
}

func (b *builder) add(ctx context.Context, path string, it connector.Item) error {
	if b.stream.Format == "jsonl" {
		return b.addJSONL(ctx, path, it)
	}
	return b.addCSV(ctx, path, it)
}

func (b *builder) temp(name string) string {
	b.seq++
	return filepath.Join(b.dir, fmt.Sprintf("%d-%s", b.seq, name))
}

// part is the part of these columns, an existing one where there is one: files of one header are loaded together.
func (b *builder) part(p connector.Part, f connector.PartFile) {
	for i, q := range b.page.Parts {
		if slices.Equal(q.Columns, p.Columns) && q.Header == p.Header && q.CRLF == p.CRLF && q.LineBreaks == p.LineBreaks {
			b.page.Parts[i].Files = append(q.Files, f)
			return
		}
	}
	p.Files = []connector.PartFile{f}
	b.page.Parts = append(b.page.Parts, p)
}

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
