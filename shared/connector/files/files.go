// Package files is the connector for files in an object store or folder: delimited text, JSON, Parquet and Avro, compressed or not.
//
// Each file is taken once. It is known by its key and the digest of its content: a file that was written again with other content
// is a new one (or what the stream's `changed` says), one that was only touched is not. Files and folders whose name begins with "." or "_"
// are not looked at.
package files

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Source reads the files of a store.
type Source struct {
	store   store.Store
	name    string
	at      string // file:line:column of its declaration
	streams map[string]stream
}

// stream says which files make up a stream, and how they are written.
type stream struct {
	name        string
	pattern     pattern
	format      string
	delimiter   string // csv
	noHeader    bool   // csv: the first line is data; the columns are column_1, column_2, ...
	compression string
	changed     string // what becomes of a file that was written again: "load", "ignore" or "fail"
	at          string
}

// formats are those that a builder can read.
var formats = []string{"csv", "jsonl", "json", "parquet", "avro"}

var (
	_ connector.Source   = (*Source)(nil)
	_ connector.Explorer = (*Source)(nil)
)

// New makes a source of the store's files. A stream that makes no sense is an InvalidInput fault.
func New(s store.Store, cfg connector.Config) (*Source, error) {
	src := &Source{store: s, name: cfg.Name, at: cfg.At, streams: map[string]stream{}}
	for name, settings := range cfg.Streams {
		p, err := parsePattern(settings.Text("path", ""))
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "configure stream", name, "%w", err)
		}
		st := stream{name: name, pattern: p, format: settings.Text("format", ""), delimiter: settings.Text("delimiter", ","), noHeader: !settings.Bool("header", true),
			compression: settings.Text("compression", "auto"), changed: settings.Text("changed", "load"), at: settings["path"].At}
		if !slices.Contains(formats, st.format) {
			return nil, fault.New(fault.InvalidInput, "configure stream", name, "format %q is none of %v", st.format, formats)
		}
		if (st.format == "parquet" || st.format == "avro") && (st.compression == "gzip" || st.compression == "zstd") {
			return nil, fault.New(fault.InvalidInput, "configure stream", name, "compression %s is of text; %s compresses what it holds", st.compression, st.format).
				WithHint("leave compression out (%s)", settings["compression"].At)
		}
		src.streams[name] = st
	}
	return src, nil
}

// Close has nothing to free: the store is the caller's.
func (s *Source) Close() error { return nil }

func (s *Source) stream(name string) (stream, error) {
	st, ok := s.streams[name]
	if !ok {
		return stream{}, fault.New(fault.InvalidInput, "read stream", name, "no such stream")
	}
	return st, nil
}

// Pending counts the files that a position does not hold as they are now.
func (s *Source) Pending(ctx context.Context, name string, seen connector.Position) (connector.Backlog, error) {
	st, err := s.stream(name)
	if err != nil {
		return connector.Backlog{}, err
	}
	var b connector.Backlog
	err = s.each(ctx, st, seen, func(it connector.Item) bool {
		b.Items++
		b.Bytes += it.Size
		return true
	})
	return b, err
}

// each gives the files beyond a position, in the order of their keys, without their digest.
func (s *Source) each(ctx context.Context, st stream, seen connector.Position, yield func(connector.Item) bool) error {
	for o, err := range s.store.List(ctx, st.pattern.prefix(), "") {
		if err != nil {
			return err
		}
		batch, ok := st.pattern.match(o.Key)
		if !ok {
			continue
		}
		if old, ok := seen.Items[o.Key]; ok && old.Size == o.Size && old.ETag == o.ETag {
			continue
		}
		if !yield(connector.Item{Key: o.Key, Size: o.Size, ETag: o.ETag, Batch: batch}) {
			return nil
		}
	}
	return nil
}

// Next reads the next files into r.Dir, or in place where the store is this machine's.
func (s *Source) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	if r.Window != nil {
		return connector.Page{}, fault.New(fault.InvalidInput, "read again", r.Stream, "a stream of files has no cursor column").
			WithHint("write the files of that time again, under other names, or refresh the table in full")
	}
	items, more, err := s.take(ctx, st, r.Seen, r.Limit)
	if err != nil {
		return connector.Page{}, err
	}
	b := newBuilder(st, r)
	for i, it := range items {
		ended, err := s.add(ctx, b, it, filepath.Join(r.Dir, "item-"+strconv.Itoa(i)))
		if err != nil {
			return connector.Page{}, err
		}
		if ended && i+1 < len(items) {
			more = true
			break
		}
	}
	taken := b.page.Items
	b.page.More, b.page.Verify = more, func(ctx context.Context) error { return s.verify(ctx, taken) }
	return b.page, nil
}

// add takes an item into the page, and tells whether the page is full.
func (s *Source) add(ctx context.Context, b *builder, it connector.Item, temp string) (full bool, err error) {
	f, err := s.fetch(ctx, b.stream, &it, temp, b.limit.Bytes)
	if err != nil {
		return false, err
	}
	old, known := b.seen.Items[it.Key]
	rewritten := known && old.SHA256 != it.SHA256
	policy := b.stream.changed
	if old.Refused { // nothing of it was loaded: now it may be whole
		policy = "load"
	}
	if rewritten && policy == "fail" {
		if len(b.page.Items) > 0 {
			return true, nil // those before it are good
		}
		return false, s.overwritten(b.stream, old, it)
	}
	b.page.Items = append(b.page.Items, it)
	taken, refused := &b.page.Items[len(b.page.Items)-1], len(b.page.Bad)
	switch {
	case known && (!rewritten || policy == "ignore"): // the position learns the new etag or digest, no row is read again
		taken.Refused = old.Refused
	case f.bad != "":
		b.refuse(it.Key, f.bad)
	default:
		if err := b.add(ctx, f.path, it); err != nil {
			return false, err
		}
	}
	taken.Refused = taken.Refused || len(b.page.Bad) > refused
	b.grew(it.Key, max(f.size, it.Size))
	return b.full(), nil
}

func (s *Source) overwritten(st stream, old, now connector.Item) error {
	return fault.New(fault.InvalidInput, "read", now.Key, "the file was loaded with the digest %s and was written again: it is %s now", old.SHA256, now.SHA256).
		WithHint("put the former file back and the new one under another name; or say `changed: load` to take all its rows again, or `changed: ignore` to let it be (%s)", st.at)
}

// take lists what the page may hold at most.
func (s *Source) take(ctx context.Context, st stream, seen connector.Position, limit connector.Limit) (items []connector.Item, more bool, err error) {
	var bytes int64
	err = s.each(ctx, st, seen, func(it connector.Item) bool {
		if full := limit.Items > 0 && len(items) >= limit.Items || limit.Bytes > 0 && bytes+it.Size > limit.Bytes; full && len(items) > 0 {
			more = true
			return false
		}
		items = append(items, it)
		bytes += it.Size
		return true
	})
	return items, more, err
}
