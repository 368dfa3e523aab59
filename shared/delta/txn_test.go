package delta_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

var testSchema = delta.Schema{Fields: []delta.Field{
	{Name: "id", Type: delta.Long, Nullable: true},
	{Name: "name", Type: delta.String, Nullable: true},
}}

// testOptions gives a clock that moves a second per look and ids that count up.
func testOptions() delta.Options {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n := 0
	return delta.Options{
		Now:    func() time.Time { at = at.Add(time.Second); return at },
		NewID:  func() string { n++; return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) },
		Engine: "lakestep/test",
	}
}

// newTable creates a table with an empty version 0.
func newTable(t testing.TB, s store.Store, config map[string]string, partitionBy ...string) *delta.Table {
	t.Helper()
	table := delta.Open(s, "silver/orders", testOptions())
	m, p, err := table.NewMetadata(testSchema, partitionBy, config)
	must(t, err)
	_, err = table.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).ReadNothing().SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	return table
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func latest(t testing.TB, table *delta.Table) *delta.Snapshot {
	t.Helper()
	s, err := table.Snapshot(t.Context(), delta.AsOf{})
	must(t, err)
	return s
}

func file(name string) delta.Add {
	st := delta.Stats{NumRecords: 3}
	return delta.Add{Path: name, Size: 100, ModificationTime: 1767225600000, DataChange: true, Stats: st.JSON()}
}

func paths(s *delta.Snapshot) string {
	var names []string
	for _, a := range s.Files() {
		names = append(names, a.Path)
	}
	return strings.Join(names, " ")
}

func putText(t testing.TB, s store.Store, key, text string) {
	t.Helper()
	must(t, s.Put(t.Context(), key, strings.NewReader(text), store.PutOptions{}))
}

func text(t testing.TB, s store.Store, key string) string {
	t.Helper()
	r, err := s.Open(t.Context(), key, store.Range{})
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	return string(b)
}

func write() delta.Operation {
	return delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}}
}

func TestCommitAndRead(t *testing.T) {
	table := newTable(t, mem.New(), nil)
	ctx := t.Context()
	v, err := latest(t, table).Begin(write()).ReadNothing().Add(file("a.parquet"), file("b.parquet")).SetTxn("app", 7).Commit(ctx)
	must(t, err)
	s := latest(t, table)
	if v != 1 || s.Version() != 1 || paths(s) != "a.parquet b.parquet" || s.Size() != 200 {
		t.Fatalf("version %d, files %s, %d bytes", v, paths(s), s.Size())
	}
	if v, ok := s.Txn("app"); v != 7 || !ok {
		t.Errorf("txn %d %v", v, ok)
	}
	_, err = s.Begin(write()).Remove(true, s.Files()[0]).Add(file("c.parquet")).Commit(ctx)
	must(t, err)
	if got := paths(latest(t, table)); got != "b.parquet c.parquet" {
		t.Error(got)
	}
	old, err := table.Snapshot(ctx, delta.AsOf{Version: &v})
	must(t, err)
	if got := paths(old); got != "a.parquet b.parquet" {
		t.Error(got)
	}
	history, err := table.History(ctx, 2)
	must(t, err)
	if len(history) != 2 || history[0].Version != 2 || *history[0].Info.IsBlindAppend || !*history[1].Info.IsBlindAppend {
		t.Errorf("%+v", history)
	}
}

func TestNoTable(t *testing.T) {
	table := delta.Open(mem.New(), "nowhere", delta.Options{})
	_, err := table.Snapshot(t.Context(), delta.AsOf{})
	if !errors.Is(err, delta.ErrNoTable) || fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
		t.Error(err)
	}
}

// TestConflicts has, for each case, a winner that commits between the read and the commit of the transaction.
func TestConflicts(t *testing.T) {
	rearranged := func(name string) delta.Add { a := file(name); a.DataChange = false; return a }
	type build func(s *delta.Snapshot) *delta.Txn
	begin := func(s *delta.Snapshot) *delta.Txn { return s.Begin(write()) }
	cases := []struct {
		name   string
		winner build
		mine   build
		want   delta.ConflictKind // "" rebases
	}{
		{"append over append", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("x")) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("y")) }, ""},
		{"append over delete", func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("y")) }, ""},
		{"merge over append", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("x")) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]).Add(file("y")) }, delta.ConcurrentAppend},
		{"merge over delete elsewhere", func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[1]) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]).Add(file("y")) }, delta.ConcurrentDeleteRead},
		{"merge over compaction elsewhere", func(s *delta.Snapshot) *delta.Txn {
			return begin(s).ReadFiles(s.Files()[1]).Remove(false, s.Files()[1]).Add(rearranged("x"))
		}, func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]).Add(file("y")) }, ""},
		{"merge over compaction of its file", func(s *delta.Snapshot) *delta.Txn {
			return begin(s).ReadFiles(s.Files()[0]).Remove(false, s.Files()[0]).Add(rearranged("x"))
		}, func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]).Add(file("y")) }, delta.ConcurrentDeleteDelete},
		{"compaction over append", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("x")) },
			func(s *delta.Snapshot) *delta.Txn {
				return begin(s).ReadFiles(s.Files()...).Remove(false, s.Files()...).Add(rearranged("y"))
			}, ""},
		{"compaction over delete of its file", func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, s.Files()[0]) },
			func(s *delta.Snapshot) *delta.Txn {
				return begin(s).ReadFiles(s.Files()...).Remove(false, s.Files()...).Add(rearranged("y"))
			}, delta.ConcurrentDeleteRead},
		{"append over metadata", func(s *delta.Snapshot) *delta.Txn { return begin(s).SetMetadata(s.Metadata()) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("y")) }, delta.MetadataChanged},
		{"append over a protocol that asks for nothing", func(s *delta.Snapshot) *delta.Txn { return begin(s).SetProtocol(s.Protocol()) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("y")) }, ""},
		{"metadata over append", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(file("x")) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetMetadata(s.Metadata()) }, delta.ConcurrentAppend},
		{"same app, lower version", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetTxn("app", 5) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetTxn("app", 9).Add(file("y")) }, delta.ConcurrentTransaction},
		{"other app", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetTxn("other", 5) },
			func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetTxn("app", 9).Add(file("y")) }, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(t, mem.New(), nil)
			_, err := latest(t, table).Begin(write()).Add(file("a"), file("b")).Commit(t.Context())
			must(t, err)
			s := latest(t, table)
			mine := c.mine(s)
			_, err = c.winner(s).Commit(t.Context())
			must(t, err)
			v, err := mine.Commit(t.Context())
			if c.want == "" {
				if err != nil || v != 3 {
					t.Fatalf("version %d, %v", v, err)
				}
				return
			}
			var conflict *delta.ConflictError
			if !errors.As(err, &conflict) || conflict.Kind != c.want || conflict.Winner.Version != 2 || fault.KindOf(err) != fault.Stale {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCreateTwice(t *testing.T) {
	s := mem.New()
	table := newTable(t, s, nil)
	m, p, err := table.NewMetadata(testSchema, nil, nil)
	must(t, err)
	_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Commit(t.Context())
	var conflict *delta.ConflictError
	if !errors.As(err, &conflict) || conflict.Kind != delta.ProtocolChanged {
		t.Error(err)
	}
}

func TestStaged(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, nil)
	ctx := t.Context()
	x := latest(t, table).Begin(write()).ReadNothing().Add(file("a.parquet")).SetTxn("app", 1)
	staged, err := x.Stage(ctx, 42)
	must(t, err)
	if again, err := x.Stage(ctx, 42); again != staged || err != nil {
		t.Errorf("%v %v", again, err)
	}
	if latest(t, table).NumFiles() != 0 {
		t.Error("a staged commit is visible")
	}
	audit, err := latest(t, table).With(x.Actions())
	must(t, err)
	if paths(audit) != "a.parquet" || audit.Version() != 1 {
		t.Error(paths(audit), audit.Version())
	}
	// Another writer comes first.
	_, err = latest(t, table).Begin(write()).ReadNothing().Add(file("z.parquet")).Commit(ctx)
	must(t, err)

	loaded, err := table.LoadStaged(ctx, staged)
	must(t, err)
	if err := loaded.VerifyFiles(ctx); fault.KindOf(err) != fault.Internal {
		t.Errorf("missing file: %v", err)
	}
	putText(t, lake, "silver/orders/a.parquet", strings.Repeat("x", 99))
	if err := loaded.VerifyFiles(ctx); fault.KindOf(err) != fault.Internal {
		t.Errorf("file of another size: %v", err)
	}
	putText(t, lake, "silver/orders/a.parquet", strings.Repeat("x", 100))
	must(t, loaded.VerifyFiles(ctx))
	for range 2 { // the second as after a crash between commit and answer
		loaded, err := table.LoadStaged(ctx, staged)
		must(t, err)
		if v, err := loaded.Commit(ctx); v != 2 || err != nil {
			t.Errorf("version %d, %v", v, err)
		}
	}
	if s := latest(t, table); s.Version() != 2 || paths(s) != "a.parquet z.parquet" {
		t.Error(s.Version(), paths(s))
	}
	putText(t, lake, staged.Key, "{}")
	if _, err := table.LoadStaged(ctx, staged); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "SHA-256") {
		t.Error(err)
	}
}

// TestCommitAfterCleanup: version numbers that log cleanup freed must not be taken again.
func TestCommitAfterCleanup(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.checkpointInterval": "3"})
	old := latest(t, table)
	m, p, err := table.NewMetadata(testSchema, nil, nil)
	must(t, err)
	create := table.Empty().Begin(write()).ReadNothing().SetMetadata(m).SetProtocol(p)
	for i := range 4 {
		_, err := latest(t, table).Begin(write()).ReadNothing().Add(file(fmt.Sprint(i))).Commit(t.Context())
		must(t, err)
	}
	for v := range 3 {
		must(t, lake.Delete(t.Context(), fmt.Sprintf("silver/orders/_delta_log/%020d.json", v)))
	}
	for name, x := range map[string]*delta.Txn{"append": old.Begin(write()).ReadNothing().Add(file("x")), "create": create} {
		if v, err := x.Commit(t.Context()); fault.KindOf(err) != fault.Stale {
			t.Errorf("%s: version %d, %v", name, v, err)
		}
	}
	s := latest(t, table)
	if s.Version() != 4 || s.NumFiles() != 4 {
		t.Errorf("version %d with %d files", s.Version(), s.NumFiles())
	}
	// A gap behind the first winner.
	base := int64(3)
	third, err := table.Snapshot(t.Context(), delta.AsOf{Version: &base})
	must(t, err)
	staged := third.Begin(write()).ReadNothing().Add(file("y"))
	for range 2 {
		_, err := latest(t, table).Begin(write()).ReadNothing().SetTxn("other", 1).Commit(t.Context())
		must(t, err)
	}
	gap := "silver/orders/_delta_log/00000000000000000005.json"
	saved := text(t, lake, gap)
	must(t, lake.Delete(t.Context(), gap))
	if v, err := staged.Commit(t.Context()); fault.KindOf(err) != fault.Stale {
		t.Errorf("over a gap: version %d, %v", v, err)
	}
	putText(t, lake, gap, saved)
	// A table that was dropped under the transaction.
	x := s.Begin(write()).ReadNothing().Add(file("x"))
	for o, err := range lake.List(t.Context(), "", "") {
		must(t, err)
		must(t, lake.Delete(t.Context(), o.Key))
	}
	if v, err := x.Commit(t.Context()); fault.KindOf(err) != fault.Stale {
		t.Errorf("version %d, %v", v, err)
	}
}

func TestCommitInfo(t *testing.T) {
	lake := mem.New()
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	table := delta.Open(lake, "silver/orders", delta.Options{Engine: "e", Now: func() time.Time { return now }})
	newTable(t, lake, nil)
	_, err := latest(t, table).Begin(write()).ReadNothing().Add(file("a"), file("b")).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	x := s.Begin(delta.Operation{Name: "DELETE", UserMetadata: "u", Metrics: map[string]int64{"n": 3}}).ReadNothing().Remove(true, s.Files()[0])
	staged, err := x.Stage(t.Context(), 77)
	must(t, err)
	now = now.Add(72 * time.Hour) // retention counts from the commit, not from the staging
	loaded, err := table.LoadStaged(t.Context(), staged)
	must(t, err)
	_, err = loaded.Commit(t.Context())
	must(t, err)
	for c, err := range table.Changes(t.Context(), 0, 2) {
		must(t, err)
		if want := c.Version == 1; *c.Info.IsBlindAppend != want {
			t.Errorf("version %d: blind append is %v", c.Version, !want)
		}
		if c.Version == 1 {
			continue
		}
		if d := c.Removes[0].DeletionTimestamp; d == nil || *d != now.UnixMilli() || c.Info.Timestamp != now.UnixMilli() {
			t.Errorf("deleted at %v, commit info %+v", d, c.Info)
		}
		i := c.Info
		if i.Operation != "DELETE" || i.UserMetadata != "u" || i.Attempt != 77 || i.EngineInfo != "e" || *i.ReadVersion != 1 || i.OperationMetrics["n"] != "3" {
			t.Errorf("%+v", i)
		}
	}
}

// TestTableReplaced: a staged commit is not for a new table in the old one's place.
func TestTableReplaced(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, nil)
	staged, err := latest(t, table).Begin(write()).ReadNothing().Add(file("a")).Stage(t.Context(), 5)
	must(t, err)
	must(t, lake.Delete(t.Context(), "silver/orders/_delta_log/00000000000000000000.json"))
	m, p, err := table.NewMetadata(testSchema, nil, nil)
	must(t, err)
	_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	x, err := table.LoadStaged(t.Context(), staged)
	must(t, err)
	if v, err := x.Commit(t.Context()); fault.KindOf(err) != fault.Stale {
		t.Errorf("version %d, %v", v, err)
	}
}

func asConflict(err error, c **delta.ConflictError) bool { return errors.As(err, c) }
