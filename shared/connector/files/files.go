// Package files is the connector for files in an object store or folder: CSV and JSON Lines.
//
// Each file is taken once. It is known by its key and the digest of its content: a file that was written again with other content
// is a new one, one that was only touched is not. Files and folders whose name begins with "." or "_" are not looked at.
package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Stream says which files make up a stream, and how they are written.
type Stream struct {
	Path      string // pattern of keys; see Pattern
	Format    string // "csv" or "jsonl"
	Delimiter string // csv, default ","
	NoHeader  bool   // csv: the first line is data; the columns are column_1, column_2, ...
}

// Source reads the files of a store.
type Source struct {
	store   store.Store
	streams map[string]stream
}

type stream struct {
	Stream
	pattern Pattern
}

var _ connector.Source = (*Source)(nil)

// New makes a source of the store's files. A stream that makes no sense is an InvalidInput fault.
func New(s store.Store, cfg connector.Config) (*Source, error) {
	src := &Source{store: s, streams: map[string]stream{}}
	for name, settings := range cfg.Streams {
		st := Stream{Path: settings.Text("path", ""), Format: settings.Text("format", ""), Delimiter: settings.Text("delimiter", ","), NoHeader: !settings.Bool("header", true)}
		p, err := ParsePattern(st.Path)
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "configure stream", name, "%w", err)
		}
		if st.Format != "csv" && st.Format != "jsonl" {
			return nil, fault.New(fault.InvalidInput, "configure stream", name, "format %q is neither csv nor jsonl", st.Format)
		}
		src.streams[name] = stream{st, p}
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
	for o, err := range s.store.List(ctx, st.pattern.Prefix(), "") {
		if err != nil {
			return err
		}
		batch, ok := st.pattern.Match(o.Key)
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
	items, more, err := s.take(ctx, st, r.Seen, r.Limit)
	if err != nil {
		return connector.Page{}, err
	}
	b := builder{page: connector.Page{More: more, Verify: func(ctx context.Context) error { return s.verify(ctx, items) }}, stream: st, dir: r.Dir}
	for i := range items {
		it := &items[i]
		path, err := s.fetch(ctx, it, filepath.Join(r.Dir, "item-"+strconv.Itoa(i)))
		if err != nil {
			return connector.Page{}, err
		}
		b.page.Items = append(b.page.Items, *it)
		if old, ok := r.Seen.Items[it.Key]; ok && old.SHA256 == it.SHA256 {
			continue // only touched: the position learns the new etag, no row is read again
		}
		if err := b.add(ctx, path, *it); err != nil {
			return connector.Page{}, err
		}
	}
	return b.page, nil
}

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

// fetch makes an item a local file and computes its digest: in place for a local store, downloaded otherwise.
func (s *Source) fetch(ctx context.Context, it *connector.Item, temp string) (string, error) {
	r, err := s.store.Open(ctx, it.Key, store.Range{})
	if err != nil {
		return "", moved(it.Key, err)
	}
	defer r.Close()
	digest := sha256.New()
	var into io.Writer = digest
	path := temp
	if local, ok := s.store.(store.Local); ok {
		if path, err = local.Path(it.Key); err != nil {
			return "", err
		}
	} else {
		f, err := os.Create(temp)
		if err != nil {
			return "", fault.New(fault.Internal, "fetch", it.Key, "%w", err)
		}
		defer f.Close()
		into = io.MultiWriter(digest, f)
	}
	n, err := io.Copy(into, r)
	if err != nil {
		return "", fault.New(fault.Unavailable, "fetch", it.Key, "%w", err)
	}
	if n != it.Size {
		return "", changed(it.Key)
	}
	it.SHA256 = hex.EncodeToString(digest.Sum(nil))
	return path, nil
}

// verify tells that no item changed since it was listed: what was read in place is what the digest says.
func (s *Source) verify(ctx context.Context, items []connector.Item) error {
	for _, it := range items {
		o, err := s.store.Stat(ctx, it.Key)
		if err != nil {
			return moved(it.Key, err)
		}
		if o.Size != it.Size || o.ETag != it.ETag {
			return changed(it.Key)
		}
	}
	return nil
}

// moved makes a file that is gone one that changed: the step looks again.
func moved(key string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return changed(key)
	}
	return err
}

func changed(key string) error {
	return fault.New(fault.Unavailable, "read", key, "the file changed while it was read").
		WithHint("write landing files under another name (.name or _name) and rename them when they are complete")
}
