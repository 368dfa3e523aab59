package pipeline

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/document"
)

// batchSegment in a stream's path stands for one folder, whose name becomes the rows' _batch_id.
const batchSegment = "{batch}"

func (l *loader) sources(n *document.Node) {
	if n == nil {
		return
	}
	l.Fields(n, "sources")
	for _, m := range n.Members {
		if !identifier(m.Key) {
			l.badName(m.Pos, "source", m.Key)
		}
		l.p.Sources = append(l.p.Sources, l.source(m))
	}
}

func (l *loader) source(m document.Member) Source {
	f := l.Fields(m.Value, "a source", "connector", "path", "streams")
	f.Require("connector", "path", "streams")
	s := Source{
		Name:      m.Key,
		Pos:       m.Pos,
		Connector: f.Choice("connector", "files", "files"),
		Path:      l.expand(f.Node("path"), f.String("path")),
	}
	streams := f.Node("streams")
	if streams == nil {
		return s
	}
	l.Fields(streams, "streams")
	for _, m := range streams.Members {
		if !identifier(m.Key) {
			l.badName(m.Pos, "stream", m.Key)
		}
		s.Streams = append(s.Streams, l.stream(m))
	}
	return s
}

func (l *loader) stream(m document.Member) Stream {
	f := l.Fields(m.Value, "a stream", "path", "format", "delimiter", "header")
	f.Require("path", "format")
	s := Stream{Name: m.Key, Pos: m.Pos, Path: l.expand(f.Node("path"), f.String("path"))}
	if s.Path != "" {
		l.glob(f.Pos("path"), s.Path)
	}
	s.Format = Format(f.Choice("format", string(CSV), string(CSV), string(JSONL)))
	if s.Format == JSONL {
		for _, key := range []string{"delimiter", "header"} {
			if f.Has(key) {
				l.Add(f.Pos(key), "", "%q is an option of csv, not of jsonl", key)
			}
		}
		return s
	}
	s.Delimiter = l.character(f, "delimiter", ",")
	s.Header = f.Bool("header", true)
	if s.Delimiter == `"` {
		l.Add(f.Pos("delimiter"), "", "the delimiter is the quote of RFC 4180")
	}
	return s
}

// character reads an option that is one ASCII character.
func (l *loader) character(f document.Fields, key, fallback string) string {
	if !f.Has(key) {
		return fallback
	}
	s := f.String(key)
	if s == `\t` {
		s = "\t"
	}
	if utf8.RuneCountInString(s) != 1 || len(s) != 1 || s == "\n" || s == "\r" || s == "\\" {
		if s != "" {
			l.Add(f.Pos(key), `such as "," ";" "|" or "\t"`, "%q must be one ASCII character, not %q", key, s)
		}
		return fallback
	}
	return s
}

// glob checks a stream's path: relative, * and ? within a segment, {batch} once and as a whole segment.
func (l *loader) glob(pos Position, glob string) {
	bad := func(hint, message string) { l.Add(pos, hint, "stream path %q: %s", glob, message) }
	if strings.HasPrefix(glob, "/") || strings.Contains(glob, "\\") || strings.Contains(glob, ":") || path.Clean(glob) != glob {
		bad("write it relative to the source's path, with single slashes and without . and ..", "not a plain relative path")
		return
	}
	batches := 0
	for _, segment := range strings.Split(glob, "/") {
		switch {
		case segment == batchSegment:
			batches++
		case segment == "..":
			bad("", "leaves the source's path")
		case strings.Contains(segment, "**"):
			bad("name each folder level, with * where any will do", "** is not supported")
		case strings.ContainsAny(segment, "{}"):
			bad("for example {batch}/orders/*.csv", "only {batch} may stand in braces, and it must be a whole segment")
		case strings.ContainsAny(segment, "[]"):
			bad("", "character classes are not supported, only * and ?")
		}
	}
	if batches > 1 {
		bad("", "{batch} stands more than once")
	}
	if strings.HasSuffix(glob, batchSegment) {
		bad("", "{batch} must be a folder, not the file")
	}
}
