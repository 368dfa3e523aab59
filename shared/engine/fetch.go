package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

const (
	fetchTail     = 128 << 10 // bytes read to find a footer; most footers, and whole small files, are in them
	fetchGap      = 64 << 10  // unwanted bytes that are read along rather than asking twice
	fetchPiece    = 8 << 20   // the most that one request asks for
	fetchParallel = 16        // requests at a time
	fetchTries    = 3         // of a request whose transfer breaks off
	fetchSlack    = 128       // bytes behind a column chunk: old writers forgot a header in its size
)

// fetched is a data file of a store that is not this machine's: a sparse file with its footer and the column chunks that a scan reads, each
// at its own offset. Its footer is a new one, which names no other column: what was not fetched cannot be read by mistake.
type fetched struct {
	File
	key      string
	path     string
	missing  []extent // parts that the sparse file still lacks, each for one request
	reserved int64    // bytes, of the engine's limit

	// Until the sparse file is made:
	footer  *footer
	dataEnd int64  // where the footer began
	tail    []byte // the object's last bytes
	columns []fileColumn
	groups  []rowGroup
}

// fetch brings what a scan reads of its files to this machine, and gives their paths. Files that the session has fetched before for the same
// columns are used again. A file that is gone is a SourceLost fault; one whose size is not the log's is an InvalidInput fault, and so is a scan
// that needs more room than the engine's Options.TempMB.
func (s *Session) fetch(ctx context.Context, sc Scan) ([]string, error) {
	paths := make([]string, len(sc.Files))
	var files []*fetched
	for i, f := range sc.Files {
		key, err := sc.Table.FilePath(delta.Add{Path: f.Path})
		if err != nil {
			return nil, err
		}
		name := fetchName{sc.Table, key, sc.wantedText()}
		if known, ok := s.fetched[name]; ok {
			paths[i] = known
			continue
		}
		paths[i] = s.TempFile("fetched.parquet")
		if sc.Keep == nil {
			s.fetched[name] = paths[i]
		}
		files = append(files, &fetched{File: f, key: key, path: paths[i]})
	}
	err := s.fetchFiles(ctx, sc, files)
	if err != nil { // none of them can be relied on
		maps.DeleteFunc(s.fetched, func(_ fetchName, path string) bool {
			return slices.ContainsFunc(files, func(f *fetched) bool { return f.path == path })
		})
		for _, f := range files {
			_ = os.Remove(f.path) // else it goes with the session
			s.engine.fetched.Add(-f.reserved)
		}
		return nil, err
	}
	for _, f := range files {
		s.reserved += f.reserved
	}
	return paths, nil
}

// fetchName is what a fetched file is known by in its session.
type fetchName struct {
	table   *delta.Table
	key     string
	columns string
}

func (s *Session) fetchFiles(ctx context.Context, sc Scan, files []*fetched) error {
	// Each tail goes into its file at once: a table may have many files, and together their tails would not fit into memory.
	err := parallel(ctx, files, func(ctx context.Context, f *fetched) error {
		if err := f.begin(ctx, sc); err != nil {
			return err
		}
		if err := f.reserve(s.engine); err != nil {
			return err
		}
		return f.create()
	})
	if err != nil {
		return err
	}
	var pieces []piece
	for _, f := range files {
		for _, e := range f.missing {
			pieces = append(pieces, piece{f, e})
		}
	}
	return parallel(ctx, pieces, func(ctx context.Context, p piece) error { return p.file.copyPiece(ctx, sc.Store, p.extent) })
}

// reserve counts the file's bytes against the limit of temporary files.
func (f *fetched) reserve(e *Engine) error {
	n := int64(len(f.tail))
	for _, m := range f.missing {
		n += m.Length
	}
	if used := e.fetched.Add(n); e.tempBytes > 0 && used > e.tempBytes {
		e.fetched.Add(-n)
		return fault.New(fault.InvalidInput, "fetch", f.key, "%d KB of it are wanted, beside %d MB of other data files, but temporary files may have %d MB", n>>10, (used-n)>>20, e.tempBytes>>20).
			WithHint("read fewer columns or files, or give the step more room for temporary files")
	}
	f.reserved = n
	return nil
}

// parallel calls do for each of the items, a few at a time, until one fails.
func parallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchParallel)
	for _, item := range items {
		g.Go(func() error { return do(ctx, item) })
	}
	return g.Wait()
}

// begin reads the footer and decides which parts of the file are wanted.
func (f *fetched) begin(ctx context.Context, sc Scan) error {
	if f.Size == 0 {
		o, err := sc.Store.Stat(ctx, f.key)
		if err != nil {
			return lostOr(f.key, err)
		}
		f.Size = o.Size
	}
	at := max(0, f.Size-fetchTail)
	var err error
	if f.tail, err = f.read(ctx, sc.Store, extent{at, f.Size - at + 1}); err != nil { // a byte more, to see that there is none
		return err
	}
	if int64(len(f.tail)) != f.Size-at {
		return f.wrongSize(ctx, sc.Store)
	}
	n, err := footerSize(f.tail, f.Size)
	if err != nil {
		return f.damaged(err)
	}
	if n+parquetTail > int64(len(f.tail)) {
		at = f.Size - parquetTail - n
		if f.tail, err = f.read(ctx, sc.Store, extent{at, n + parquetTail}); err != nil {
			return err
		}
		if int64(len(f.tail)) != n+parquetTail {
			return f.wrongSize(ctx, sc.Store)
		}
	}
	f.dataEnd = f.Size - parquetTail - n
	if f.footer, err = parseFooter(f.tail[f.dataEnd-at:f.Size-parquetTail-at], f.dataEnd); err != nil {
		return f.damaged(err)
	}
	f.tail = f.tail[:f.dataEnd-at]
	return f.choose(sc)
}

// choose decides which columns and row groups are fetched.
func (f *fetched) choose(sc Scan) error {
	columns, err := f.footer.columns()
	if err != nil {
		return f.damaged(err)
	}
	f.columns = slices.DeleteFunc(slices.Clone(columns), func(c fileColumn) bool { return !sc.wants(c) })
	if len(f.columns) == 0 && len(columns) > 0 { // a Parquet file has at least one
		f.columns = []fileColumn{slices.MinFunc(columns, func(a, b fileColumn) int { return cmp.Compare(f.footer.bytes(a), f.footer.bytes(b)) })}
	}
	f.groups = f.footer.RowGroups
	if sc.mayDropRowGroups(f.File) {
		f.groups = slices.DeleteFunc(slices.Clone(f.groups), func(g rowGroup) bool { return !sc.Keep(f.footer.add(f.File, g)) })
	}
	f.missing = f.pieces()
	return nil
}

// bytes is the size of a column in all row groups.
func (f *footer) bytes(c fileColumn) (n int64) {
	for _, g := range f.RowGroups {
		n += g.bytes(c)
	}
	return n
}

func (g rowGroup) bytes(c fileColumn) (n int64) {
	for _, chunk := range g.Columns[c.first : c.first+c.leaves] {
		n += chunk.MetaData.TotalCompressedSize
	}
	return n
}

// wants tells whether a scan reads a column of a file. Of columns that differ only in case all are wanted: whoever reads them must see both.
func (sc Scan) wants(c fileColumn) bool {
	for _, f := range sc.Schema.Fields {
		if slices.Contains(sc.Partition, f.Name) {
			continue
		}
		if sc.Mapping == delta.MappingID {
			if id, ok := delta.FieldID(f); ok && int32(id) == c.id {
				return true
			}
		} else if strings.EqualFold(sc.Mapping.Name(f), c.name) {
			return true
		}
	}
	return slices.ContainsFunc(sc.Extra, func(name string) bool { return strings.EqualFold(name, c.name) })
}

// wantedText is the columns of wants as a text.
func (sc Scan) wantedText() string {
	var names []string
	for _, f := range sc.Schema.Fields {
		if !slices.Contains(sc.Partition, f.Name) {
			names = append(names, sc.Mapping.Name(f))
		}
	}
	return strings.Join(append(names, sc.Extra...), "\x00")
}

// mayDropRowGroups tells whether row groups of a file may be left out: not where rows are known by their position, nor where columns go by
// ids, so that the footer's statistics may stand under other columns' names.
func (sc Scan) mayDropRowGroups(f File) bool {
	return sc.Keep != nil && !sc.Position && f.DeletionVector == nil && sc.Mapping != delta.MappingID
}

// pieces are the parts of the file that are still to be fetched, one for each request.
func (f *fetched) pieces() []extent {
	tailStart := f.dataEnd - int64(len(f.tail))
	var wanted []extent
	for _, g := range f.groups {
		for _, c := range f.columns {
			for _, chunk := range g.Columns[c.first : c.first+c.leaves] {
				e := chunk.extent()
				end := min(e.Offset+e.Length+fetchSlack, tailStart)
				if end > e.Offset {
					wanted = append(wanted, extent{e.Offset, end - e.Offset})
				}
			}
		}
	}
	slices.SortFunc(wanted, func(a, b extent) int { return cmp.Compare(a.Offset, b.Offset) })
	var joined []extent
	for _, e := range wanted {
		if n := len(joined); n > 0 && e.Offset <= joined[n-1].Offset+joined[n-1].Length+fetchGap {
			joined[n-1].Length = max(joined[n-1].Length, e.Offset+e.Length-joined[n-1].Offset)
			continue
		}
		joined = append(joined, e)
	}
	var pieces []extent
	for _, e := range joined {
		for e.Length > fetchPiece {
			pieces = append(pieces, extent{e.Offset, fetchPiece})
			e = extent{e.Offset + fetchPiece, e.Length - fetchPiece}
		}
		pieces = append(pieces, e)
	}
	return pieces
}

// create makes the sparse file, with all that is known so far.
func (f *fetched) create() error {
	end, err := f.footer.only(f.columns, f.groups).encode()
	if err != nil {
		return fault.New(fault.Internal, "fetch", f.key, "%w", err)
	}
	file, err := os.Create(f.path)
	if err != nil {
		return fault.New(fault.Unavailable, "fetch", f.key, "%w", err)
	}
	_, err1 := file.WriteAt([]byte(parquetMagic), 0)
	_, err2 := file.WriteAt(append(f.tail, end...), f.dataEnd-int64(len(f.tail)))
	if err := errors.Join(err1, err2, file.Close()); err != nil {
		return fault.New(fault.Unavailable, "fetch", f.key, "%w", err)
	}
	f.tail, f.footer, f.columns, f.groups = nil, nil, nil, nil
	return nil
}

// piece is a part of a file that one request brings.
type piece struct {
	file *fetched
	extent
}

// copyPiece brings a part of the object to its place in the sparse file.
func (f *fetched) copyPiece(ctx context.Context, st store.Store, e extent) (err error) {
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return fault.New(fault.Unavailable, "fetch", f.key, "%w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	n, err := f.transfer(ctx, st, e, func(at int64) io.Writer { return io.NewOffsetWriter(file, e.Offset+at) })
	if err == nil && n != e.Length {
		return f.wrongSize(ctx, st)
	}
	return err
}

// read brings a small part of the object.
func (f *fetched) read(ctx context.Context, st store.Store, e extent) ([]byte, error) {
	var b bytes.Buffer
	_, err := f.transfer(ctx, st, e, func(int64) io.Writer { return &b })
	return b.Bytes(), err
}

// transfer copies a part of the object; to gives where its byte at goes and those after it. A transfer that breaks off goes on where it was.
func (f *fetched) transfer(ctx context.Context, st store.Store, e extent, to func(at int64) io.Writer) (n int64, err error) {
	for try := 1; ; try++ {
		var r io.ReadCloser
		r, err = st.Open(ctx, f.key, store.Range{Offset: e.Offset + n, Length: e.Length - n})
		if err == nil {
			var m int64
			m, err = io.Copy(to(n), io.LimitReader(r, e.Length-n))
			n += m
			err = errors.Join(err, r.Close())
		}
		if err == nil || try == fetchTries || ctx.Err() != nil || errors.Is(err, store.ErrNotFound) || n == e.Length {
			return n, lostOr(f.key, err)
		}
		if k := fault.KindOf(err); k != fault.Internal && !k.Retryable() {
			return n, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond << (2 * try)):
		}
	}
}

func (f *fetched) wrongSize(ctx context.Context, st store.Store) error {
	o, err := st.Stat(ctx, f.key)
	if err != nil {
		return lostOr(f.key, err)
	}
	return sizeMismatch(f.key, o.Size, f.Size)
}

func (f *fetched) damaged(err error) error {
	return fault.New(fault.InvalidInput, "scan", f.key, "the data file is damaged: %w", err).WithHint("restore it from a backup or an earlier object version")
}

// lostOr makes of an object that is not there a data file that is gone.
func lostOr(key string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return lostFile(key, err)
	}
	return err
}
