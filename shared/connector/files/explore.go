package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// group is files that belong together.
type group struct {
	files  int
	bytes  int64
	newest store.Object
}

func (g *group) add(o store.Object) {
	g.files++
	g.bytes += o.Size
	if g.files == 1 || o.ModTime.After(g.newest.ModTime) || o.ModTime.Equal(g.newest.ModTime) && o.Key > g.newest.Key {
		g.newest = o
	}
}

// filesOf are those of a stream.
func (s *Source) filesOf(ctx context.Context, st stream) (group, error) {
	var g group
	for o, err := range s.store.List(ctx, st.pattern.prefix(), "") {
		if err != nil {
			return g, err
		}
		if _, ok := st.pattern.match(o.Key); ok {
			g.add(o)
		}
	}
	return g, nil
}

func (s *Source) sorted() (out []stream) {
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		out = append(out, s.streams[name])
	}
	return out
}

// Discover lists the streams with the columns of their newest files, and behind them the files that no stream reads, by folder and kind.
func (s *Source) Discover(ctx context.Context) ([]connector.Discovered, error) {
	var out []connector.Discovered
	for _, st := range s.sorted() {
		g, err := s.filesOf(ctx, st)
		if err != nil {
			return nil, err
		}
		d := connector.Discovered{Name: st.pattern.String(), Items: g.files, Unit: unit, Bytes: g.bytes, Modes: []string{st.format}, Stream: st.name}
		if g.files > 0 {
			sample, err := s.sampleOf(ctx, st, g.newest, columnsSample)
			if err != nil {
				return nil, err
			}
			d.Columns = sample.columns
			if st.format == "parquet" && g.newest.Size > 0 { // of others nobody knows
				d.Rows = int64(float64(sample.rows) * float64(g.bytes) / float64(g.newest.Size))
			}
		}
		out = append(out, d)
	}
	others, err := s.others(ctx)
	return append(out, others...), err
}

// unit is what streams are made of here.
const unit = "files"

// Bounds of what Discover looks at beside the streams.
const (
	maxListed     = 100_000 // files
	maxGroups     = 200
	columnsSample = 100 // rows, of which the columns are told
)

// kinds are the formats by the ends of names.
var kinds = map[string]string{".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".avro": "avro"}

// others are files that no stream reads and that one could.
func (s *Source) others(ctx context.Context) ([]connector.Discovered, error) {
	groups, modes, listed := map[string]*group{}, map[string]string{}, 0
	for o, err := range s.store.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		if listed++; listed > maxListed || len(groups) == maxGroups {
			break
		}
		packed := strings.TrimSuffix(strings.TrimSuffix(o.Key, ".gz"), ".zst")
		kind := path.Ext(packed)
		if kinds[kind] == "" || hidden(o.Key) || s.read(o.Key) {
			continue
		}
		name := path.Join(path.Dir(o.Key), "*"+kind+strings.TrimPrefix(o.Key, packed))
		if groups[name] == nil {
			groups[name], modes[name] = &group{}, kinds[kind]
		}
		groups[name].add(o)
	}
	var out []connector.Discovered
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, connector.Discovered{Name: name, Items: groups[name].files, Unit: unit, Bytes: groups[name].bytes, Modes: []string{modes[name]}})
	}
	return out, nil
}

// read tells whether a stream reads a file.
func (s *Source) read(key string) bool {
	for _, st := range s.streams {
		if _, ok := st.pattern.match(key); ok {
			return true
		}
	}
	return false
}

// Check looks for the files of each stream, and reads the beginning of the newest.
func (s *Source) Check(ctx context.Context) []connector.Finding {
	reach := connector.Finding{What: "the files can be listed", OK: true}
	for _, err := range s.store.List(ctx, "", "") {
		if err != nil {
			reach = finding(reach.What, err)
		}
		break
	}
	out := []connector.Finding{reach}
	if !reach.OK {
		return out
	}
	for _, st := range s.sorted() {
		out = append(out, s.checkStream(ctx, st)...)
	}
	return out
}

func (s *Source) checkStream(ctx context.Context, st stream) []connector.Finding {
	match := connector.Finding{What: fmt.Sprintf("stream %s: there are files %s", st.name, st.pattern), OK: true}
	g, err := s.filesOf(ctx, st)
	switch {
	case err != nil:
		return []connector.Finding{finding(match.What, err)}
	case g.files == 0:
		match.OK, match.Detail = false, "none matches"
		match.Hint = fmt.Sprintf("let the first file land, or correct the path (%s)", st.at)
		return []connector.Finding{match}
	}
	match.Detail = fmt.Sprintf("%d, %d bytes", g.files, g.bytes)
	parse := connector.Finding{What: fmt.Sprintf("stream %s: the newest file is %s", st.name, st.format), OK: true, Detail: g.newest.Key}
	sample, err := s.sampleOf(ctx, st, g.newest, columnsSample)
	switch {
	case err != nil:
		parse = finding(parse.What, err)
	case sample.bad != "":
		parse.OK, parse.Detail = false, g.newest.Key+": "+sample.bad
		parse.Hint = fmt.Sprintf("correct the format, delimiter or compression of the stream, or the file (%s)", st.at)
	}
	return []connector.Finding{match, parse}
}

func finding(what string, err error) connector.Finding {
	hint := fault.HintOf(err)
	if hint == "" {
		hint = "try again; if it stays so, see whether the store can be reached from here"
	}
	return connector.Finding{What: what, Detail: err.Error(), Hint: hint}
}

// Preview gives the first rows of the stream's newest file.
func (s *Source) Preview(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	g, err := s.filesOf(ctx, st)
	if err != nil || g.files == 0 {
		return connector.Page{}, err
	}
	b, err := s.begin(ctx, st, g.newest, r, max(r.Limit.Rows, 1))
	if err != nil {
		return connector.Page{}, err
	}
	b.page.Items = nil // nothing is taken
	return b.page, nil
}

// sample is what the beginning of a file shows.
type sample struct {
	columns []connector.DiscoveredColumn
	rows    int64
	bad     string // what is wrong with it
}

// sampleOf looks at the beginning of a file.
func (s *Source) sampleOf(ctx context.Context, st stream, o store.Object, rows int64) (sample, error) {
	if st.format == "parquet" {
		return s.footerOf(ctx, o)
	}
	dir, err := os.MkdirTemp("", "lakestep-files-")
	if err != nil {
		return sample{}, fault.New(fault.Internal, "read", o.Key, "%w", err)
	}
	defer os.RemoveAll(dir)
	b, err := s.begin(ctx, st, o, connector.Request{Stream: st.name, Dir: dir}, rows)
	if err != nil {
		return sample{}, err
	}
	out := sample{rows: b.rows}
	if len(b.page.Bad) > 0 {
		out.bad = b.page.Bad[0].Error
	} else if b.rows == 0 && len(b.page.BadFiles) > 0 {
		out.bad = "none of its first lines is a row"
	}
	for _, p := range b.page.Parts {
		for i, c := range p.Columns {
			if c != lineColumn {
				out.columns = append(out.columns, connector.DiscoveredColumn{Name: c, Type: b.typeOf(i)})
			}
		}
	}
	return out, nil
}

// headBytes of a file are enough for a sample: more than its longest line.
const headBytes = 2 * maxLine

// begin reads the first rows of a file.
func (s *Source) begin(ctx context.Context, st stream, o store.Object, r connector.Request, rows int64) (*builder, error) {
	b := newBuilder(st, r)
	b.sample = rows
	it := connector.Item{Key: o.Key, Size: o.Size, ETag: o.ETag}
	it.Batch, _ = st.pattern.match(o.Key)
	local := filepath.Join(r.Dir, "sample")
	whole := st.format == "parquet" // its end says what it holds
	if whole && r.Limit.Bytes > 0 && o.Size > r.Limit.Bytes {
		if _, inPlace := s.store.(store.Local); !inPlace {
			return nil, fault.New(fault.InvalidInput, "preview", o.Key, "the newest file has %d bytes, more than a preview reads", o.Size).
				WithHint("lakestep source ls tells its columns")
		}
	}
	f := fetched{path: local}
	var err error
	if whole {
		f, err = s.fetch(ctx, st, &it, local, r.Limit.Bytes)
	} else {
		f.bad, err = s.head(ctx, st, o, local)
	}
	switch {
	case err != nil:
		return nil, err
	case f.bad != "":
		b.refuse(o.Key, f.bad)
		return b, nil
	}
	return b, b.add(ctx, f.path, it)
}

// head writes the beginning of a file to path, expanded.
func (s *Source) head(ctx context.Context, st stream, o store.Object, path string) (bad string, err error) {
	r, err := s.store.Open(ctx, o.Key, store.Range{})
	if err != nil {
		return "", moved(o.Key, err)
	}
	defer r.Close()
	from := newOriginal(r)
	codec, bad := st.codec(from.in)
	if bad != "" {
		return bad, nil
	}
	out, err := os.Create(path)
	if err != nil {
		return "", fault.New(fault.Internal, "read", o.Key, "%w", err)
	}
	w := &into{ctx: ctx, w: out}
	if codec == "" {
		_, err = io.Copy(w, io.LimitReader(from.in, headBytes))
	} else {
		_, err = decode(w, from.in, codec, headBytes)
	}
	w.err = errors.Join(w.err, out.Close())
	switch {
	case ctx.Err() != nil:
		return "", fault.New(fault.Unavailable, "read", o.Key, "%w", ctx.Err())
	case from.err != nil:
		return "", fault.New(fault.Unavailable, "read", o.Key, "%w", from.err)
	case w.err != nil:
		return "", fault.New(fault.Internal, "read", o.Key, "%w", w.err)
	case err != nil:
		return broken(codec, err), nil
	}
	return "", nil
}
