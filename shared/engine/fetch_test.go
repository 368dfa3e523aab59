package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// remote is a store of another machine: it notes what is read, and may break off.
type remote struct {
	store.Store
	mu     sync.Mutex
	asked  []store.Range // of .parquet objects
	breaks int           // transfers that still end after a third
}

func (s *remote) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	body, err := s.Store.Open(ctx, key, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || !strings.HasSuffix(key, ".parquet") {
		return body, err
	}
	s.asked = append(s.asked, r)
	if s.breaks == 0 {
		return body, nil
	}
	s.breaks--
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, r.Length/3), broken{}), body}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) {
	return 0, fault.New(fault.Unavailable, "read", "object", "connection reset")
}

// bytes were asked for, in that many requests.
func (s *remote) bytes() (n int64, requests int) {
	for _, r := range s.asked {
		n += r.Length
	}
	return n, len(s.asked)
}

// away copies the rig's table into a remote store, and opens it there.
func (r *rig) away(adds []delta.Add) (*remote, engine.Scan) {
	r.t.Helper()
	s := &remote{Store: mem.New()}
	for _, a := range adds {
		key, err := r.table.FilePath(a)
		must(r.t, err)
		body, err := r.store.Open(r.t.Context(), key, store.Range{})
		must(r.t, err)
		must(r.t, s.Put(r.t.Context(), key, body, store.PutOptions{}))
		must(r.t, body.Close())
	}
	table := delta.Open(s, r.table.Prefix(), delta.Options{Now: now})
	return s, engine.Scan{Store: s, Table: table, Files: engine.Files(adds)}
}

// wide is a query of rows with columns of very different sizes, in several row groups, sorted by id.
const wide = "SELECT range AS id, range % 7 AS small, md5(range::VARCHAR) AS large, {'a': range, 'b': md5((range+1)::VARCHAR)} AS st, [range, 1] AS list FROM range(250000)"

func wideSchema(r *rig, columns ...string) delta.Schema {
	list := delta.Field{Name: "list", Type: delta.ArrayType{Element: delta.Long, ContainsNull: true}, Nullable: true}
	st := delta.Field{Name: "st", Nullable: true, Type: delta.StructType{Fields: []delta.Field{{Name: "a", Type: delta.Long, Nullable: true}, {Name: "b", Type: delta.String, Nullable: true}}}}
	var out delta.Schema
	for _, f := range append(r.describe("SELECT range AS id, range % 7 AS small, '' AS large FROM range(1)").Fields, st, list) {
		if len(columns) == 0 || slices.Contains(columns, f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

func TestOnlyWantedColumnsAreFetched(t *testing.T) {
	r := newRig(t, engine.Options{})
	adds := r.write(wideSchema(r), wide+" ORDER BY id")
	s, sc := r.away(adds)
	total := adds[0].Size
	for _, c := range []struct {
		columns string
		most    int64 // bytes fetched
		query   string
	}{
		{"id", total / 8, "SELECT sum(id)::BIGINT, count(*) FROM %s"},
		{"small,list", total / 8, "SELECT sum(small)::BIGINT, sum(list[1])::BIGINT FROM %s"},
		{"st", total / 2, "SELECT sum(st.a)::BIGINT, max(st.b) FROM %s"},
		{"large", total, "SELECT max(large), count(large) FROM %s"},
		{"", total + 1000, "SELECT sum(id)::BIGINT, sum(small)::BIGINT, max(large), sum(st.a)::BIGINT, sum(list[1])::BIGINT FROM %s"},
		{"nosuch", total / 8, "SELECT count(*) FROM %s"},
	} {
		s.asked = nil
		sc.Schema = wideSchema(r, strings.Split(c.columns, ",")...)
		if c.columns == "" {
			sc.Schema = wideSchema(r)
		}
		here := r.scan(sc.Schema, adds)
		if c.columns == "nosuch" { // the file lacks it
			sc.Schema = delta.Schema{Fields: []delta.Field{{Name: "nosuch", Type: delta.Long, Nullable: true}}}
			here.Schema = sc.Schema
		}
		got := r.strings(fmt.Sprintf(c.query, r.relation(sc)))
		n, requests := s.bytes()
		if want := r.strings(fmt.Sprintf(c.query, r.relation(here))); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q: got %v, want %v", c.columns, got, want)
		}
		if n > c.most+200<<10 || requests > 30 {
			t.Errorf("%q: %d bytes of %d in %d requests", c.columns, n, total, requests)
		}
		s.asked = nil
		r.relation(sc)
		if n, _ := s.bytes(); n > 0 {
			t.Errorf("%q: fetched again", c.columns)
		}
	}
}

func TestAColumnThatWasNotFetchedIsNotThere(t *testing.T) {
	r := newRig(t, engine.Options{})
	adds := r.write(wideSchema(r), wide)
	_, sc := r.away(adds)
	sc.Schema = wideSchema(r, "small")
	relation := r.relation(sc)
	path := relation[strings.Index(relation, "read_parquet([")+len("read_parquet(["):]
	path = path[:strings.Index(path, "]")]
	if got := r.strings("SELECT column_name FROM (DESCRIBE FROM read_parquet(" + path + "))"); len(got) != 1 || got[0][0] != "small" {
		t.Errorf("the file has columns %v", got)
	}
	if err := r.Exec(t.Context(), "SELECT max(large) FROM read_parquet("+path+")"); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("a column that was not fetched: %v", err)
	}
}

func TestOnlyRowGroupsThatMayMatchAreFetched(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := wideSchema(r)
	adds := r.write(schema, wide+" ORDER BY id")
	r.commit(schema, adds)
	snap, err := r.table.Snapshot(t.Context(), delta.AsOf{})
	must(t, err)
	s, sc := r.away(snap.Files())
	sc.Schema = schema
	p, err := r.ParsePredicate(t.Context(), "st.a BETWEEN 10 AND 20 AND id > 15", schema)
	must(t, err)
	sc.Keep = snap.MayMatch(p)
	costs, err := r.Explain(t.Context(), sc)
	must(t, err)
	if c := costs[0]; c.RowGroups < 3 || c.RowGroupsRead != 1 || c.BytesRead > c.Size/2 || c.BytesRead < 1000 || c.Rows != 250000 || c.Deleted != 0 {
		t.Errorf("cost %+v of %d bytes", c, c.Size)
	}
	s.asked = nil
	got := r.strings("SELECT sum(id)::BIGINT, count(*) FROM " + r.relation(sc) + " WHERE st.a BETWEEN 10 AND 20 AND id > 15")
	if n, _ := s.bytes(); got[0][0] != "90" || got[0][1] != "5" || n > costs[0].BytesRead+300<<10 {
		t.Errorf("got %v from %d bytes", got, n)
	}
	sc.Position = true // rows keep their numbers
	if got := r.strings("SELECT count(*), max(_pos) FROM " + r.relation(sc)); got[0][0] != "250000" || got[0][1] != "249999" {
		t.Errorf("with positions: %v", got)
	}
}

func TestTransfersThatBreakOffGoOn(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := wideSchema(r)
	adds := r.write(schema, wide)
	s, sc := r.away(adds)
	sc.Schema, s.breaks = schema, 2
	if got := r.strings("SELECT count(large), sum(id)::BIGINT FROM " + r.relation(sc)); got[0][0] != "250000" || got[0][1] != "31249875000" {
		t.Errorf("got %v", got)
	}
	s.breaks = 1000
	session, err := r.engine.Session(t.Context())
	must(t, err)
	defer session.Close()
	if _, err := session.Relation(t.Context(), sc); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a store that always breaks off: %v", err)
	}
	s.breaks = 0
	if _, err := session.Relation(t.Context(), sc); err != nil {
		t.Errorf("the same session, later: %v", err)
	}
}

func TestWhatIsNotThereIsNotFetched(t *testing.T) {
	r := newRig(t, engine.Options{TempMB: 20})
	schema := wideSchema(r)
	adds := r.write(schema, wide)
	for name, c := range map[string]struct {
		spoil func(s *remote, key string, sc *engine.Scan)
		kind  fault.Kind
		says  string
	}{
		"gone":    {func(s *remote, key string, _ *engine.Scan) { must(t, s.Delete(t.Context(), key)) }, fault.SourceLost, "gone"},
		"larger":  {func(s *remote, key string, sc *engine.Scan) { sc.Files[0].Size-- }, fault.InvalidInput, "but the log says"},
		"smaller": {func(s *remote, key string, sc *engine.Scan) { sc.Files[0].Size += 10 }, fault.InvalidInput, "but the log says"},
		"no size": {func(s *remote, key string, sc *engine.Scan) { sc.Files[0].Size = 0 }, "", ""},
		"text": {func(s *remote, key string, sc *engine.Scan) {
			replace(t, s, key, strings.Repeat("x", int(sc.Files[0].Size)))
		}, fault.InvalidInput, "no Parquet file"},
		"tiny": {func(s *remote, key string, sc *engine.Scan) { replace(t, s, key, "PAR1"); sc.Files[0].Size = 4 }, fault.InvalidInput, "no Parquet file"},
		"no room": {func(s *remote, key string, sc *engine.Scan) {
			sc.Files = slices.Repeat(sc.Files, 1)
			sc.Files = append(sc.Files, more(t, s, key, sc, 3)...)
		}, fault.InvalidInput, "temporary files may have 20 MB"},
		"cut away": {func(s *remote, key string, sc *engine.Scan) { replace(t, s, key, ""); sc.Files[0].Size = 0 }, fault.InvalidInput, "no Parquet file"},
	} {
		t.Run(name, func(t *testing.T) {
			s, sc := r.away(adds)
			sc.Schema = schema
			key, err := r.table.FilePath(adds[0])
			must(t, err)
			c.spoil(s, key, &sc)
			session, err := r.engine.Session(t.Context())
			must(t, err)
			defer session.Close()
			_, err = session.Relation(t.Context(), sc)
			if fault.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file of this machine: %v", err)
			}
			if name == "no room" { // what was given up takes none
				sc.Files = sc.Files[:1]
				if _, err := session.Relation(t.Context(), sc); err != nil {
					t.Errorf("one file: %v", err)
				}
			}
		})
	}
}

func replace(t *testing.T, s store.Store, key, text string) {
	t.Helper()
	must(t, s.Put(t.Context(), key, strings.NewReader(text), store.PutOptions{}))
}

// copies is a store in which every object is the same data file. It notes how much memory is in use when the last of many is opened.
type copies struct {
	store.Store
	key    string
	last   int64
	opened atomic.Int64
	heap   uint64
}

func (s *copies) Open(ctx context.Context, _ string, r store.Range) (io.ReadCloser, error) {
	if s.opened.Add(1) == s.last {
		s.heap = heap()
	}
	return s.Store.Open(ctx, s.key, r)
}

// heap is the memory that is in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Of a table with many files no more is in memory than of one with a few.
func TestTailsOfManyFilesAreNotHeld(t *testing.T) {
	r := newRig(t, engine.Options{})
	adds := r.write(wideSchema(r), strings.Replace(wide, "250000", "20000", 1))
	_, sc := r.away(adds)
	key, err := r.table.FilePath(adds[0])
	must(t, err)
	s := &copies{Store: sc.Store, key: key, last: 500}
	sc.Store, sc.Schema, sc.Files = s, wideSchema(r, "small"), nil
	for i := range s.last {
		sc.Files = append(sc.Files, engine.File{Path: fmt.Sprintf("copy%d.parquet", i), Size: adds[0].Size})
	}
	before := heap()
	if got := r.strings("SELECT count(*) FROM " + r.relation(sc)); got[0][0] != "10000000" {
		t.Errorf("%v rows", got)
	}
	if more := int64(s.heap) - int64(before); s.heap == 0 || more > 20<<20 {
		t.Errorf("%d MB more when the last of %d files is begun", more>>20, s.last)
	}
}

// more makes copies of a file.
func more(t *testing.T, s *remote, key string, sc *engine.Scan, n int) (files []engine.File) {
	t.Helper()
	body, err := store.ReadAll(t.Context(), s.Store, key, 1<<30)
	must(t, err)
	for i := range n {
		f := sc.Files[0]
		f.Path = fmt.Sprintf("copy%d.parquet", i)
		replace(t, s, sc.Table.Prefix()+"/"+f.Path, string(body))
		files = append(files, f)
	}
	return files
}
