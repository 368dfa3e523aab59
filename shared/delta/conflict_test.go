package delta_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
	"pgregory.net/rapid"
)

// inPart is a file of a partition whose ids lie within lo..hi.
func inPart(name, part string, lo, hi int) delta.Add {
	a := file(name)
	a.PartitionValues = map[string]*string{"name": &part}
	a.Stats = fmt.Sprintf(`{"numRecords":3,"minValues":{"id":%d},"maxValues":{"id":%d},"nullCount":{"id":0}}`, lo, hi)
	return a
}

func rearranged(a delta.Add) delta.Add { a.DataChange = false; return a }

func dv(where string) *delta.DeletionVector {
	return &delta.DeletionVector{StorageType: "u", PathOrInlineDV: where, SizeInBytes: 9, Cardinality: 1}
}

// TestConflictMatrix has a case for each cell of the matrix: what a winner did, what this transaction does, and the verdict under
// each isolation level. The table is partitioned by name and holds x1 (ids 0-9), x2 (ids 10-19) of partition x, and y1.
// Transactions under SnapshotIsolation rearrange x1; the others update or append.
func TestConflictMatrix(t *testing.T) {
	type build func(s *delta.Snapshot) *delta.Txn
	begin := func(s *delta.Snapshot) *delta.Txn { return s.Begin(write()) }
	at := func(s *delta.Snapshot, name string) delta.Add {
		return s.Files()[slices.IndexFunc(s.Files(), func(a delta.Add) bool { return a.Path == name })]
	}
	x := pred(delta.OpEq, "name", "x")
	low := delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{x, pred(delta.OpLt, "id", "10")}}
	const ok, app, read, del, meta, prot, txn = delta.ConflictKind(""), delta.ConcurrentAppend, delta.ConcurrentDeleteRead,
		delta.ConcurrentDeleteDelete, delta.MetadataChanged, delta.ProtocolChanged, delta.ConcurrentTransaction

	// What this transaction does.
	blind := func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(inPart("new", "x", 0, 9)) }
	update := func(s *delta.Snapshot) *delta.Txn { // rows of x with id < 10
		return begin(s).ReadWhere(low, at(s, "x1")).Remove(true, at(s, "x1")).Add(inPart("new", "x", 0, 9))
	}
	updateByPart := func(s *delta.Snapshot) *delta.Txn {
		return begin(s).ReadWhere(x, at(s, "x1"), at(s, "x2")).Remove(true, at(s, "x1")).Add(inPart("new", "x", 0, 9))
	}
	merge := func(s *delta.Snapshot) *delta.Txn { // may match anywhere
		return begin(s).Remove(true, at(s, "x1")).Add(inPart("new", "x", 0, 9))
	}
	evolve := func(s *delta.Snapshot) *delta.Txn { return merge(s).SetMetadata(s.Metadata()) }
	compact := func(s *delta.Snapshot) *delta.Txn {
		return begin(s).ReadFiles(at(s, "x1")).Remove(false, at(s, "x1")).Add(rearranged(inPart("new", "x", 0, 9))).Isolate(delta.SnapshotIsolation)
	}
	upgrade := func(s *delta.Snapshot) *delta.Txn { return blind(s).SetProtocol(s.Protocol()) }
	app1 := func(s *delta.Snapshot) *delta.Txn { return blind(s).SetTxn("app", 9) }
	readsApp := func(s *delta.Snapshot) *delta.Txn { return blind(s).ReadTxn("app") }
	domain := func(s *delta.Snapshot) *delta.Txn { return blind(s).SetDomain(delta.DomainMetadata{Domain: "d"}) }
	vector := func(s *delta.Snapshot) *delta.Txn {
		return begin(s).ReadWhere(low, at(s, "x1")).SetDeletionVector(at(s, "x1"), dv("mine"))
	}

	// What the winner did.
	blindAdd := func(name, part string, lo int) build {
		return func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().Add(inPart(name, part, lo, lo+9)) }
	}
	seeingAdd := func(name, part string, lo int) build {
		return func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadAll().Add(inPart(name, part, lo, lo+9)) }
	}
	remove := func(name string) build {
		return func(s *delta.Snapshot) *delta.Txn { return begin(s).Remove(true, at(s, name)) }
	}
	rewrite := func(name string) build {
		return func(s *delta.Snapshot) *delta.Txn {
			return begin(s).ReadFiles(at(s, name)).Remove(false, at(s, name)).Add(rearranged(inPart("packed", "x", 0, 19)))
		}
	}
	marked := func(s *delta.Snapshot) *delta.Txn {
		return begin(s).SetDeletionVector(at(s, "x1"), dv("theirs"))
	}
	grown := func(features ...string) build {
		return func(s *delta.Snapshot) *delta.Txn {
			p := s.Protocol()
			p.WriterFeatures = append(slices.Clone(p.WriterFeatures), features...)
			return begin(s).ReadNothing().SetProtocol(p)
		}
	}
	setsApp := func(id string) build {
		return func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetTxn(id, 5) }
	}
	setsDomain := func(id string) build {
		return func(s *delta.Snapshot) *delta.Txn {
			return begin(s).ReadNothing().SetDomain(delta.DomainMetadata{Domain: id})
		}
	}
	for _, c := range []struct {
		name   string
		winner build
		mine   build
		// Verdicts under Serializable, WriteSerializable; under SnapshotIsolation for the compaction of x1.
		strict, lax, rearranging delta.ConflictKind
	}{
		{"blind append / blind append", blindAdd("w", "x", 0), blind, ok, ok, ok},
		{"seeing append / blind append", seeingAdd("w", "x", 0), blind, ok, ok, ok},
		{"blind append where I read", blindAdd("w", "x", 0), update, app, ok, ok},
		{"blind append in my partition, other ids", blindAdd("w", "x", 50), update, ok, ok, ok},
		{"blind append in the partition that I read", blindAdd("w", "x", 50), updateByPart, app, ok, ok},
		{"blind append in another partition", blindAdd("w", "y", 0), update, ok, ok, ok},
		{"blind append / merge", blindAdd("w", "y", 0), merge, app, ok, ok},
		{"blind append / I change metadata", blindAdd("w", "y", 50), evolve, app, app, ok},
		{"seeing append where I read", seeingAdd("w", "x", 0), update, app, app, ok},
		{"seeing append in another partition", seeingAdd("w", "y", 0), update, ok, ok, ok},
		{"seeing append / merge", seeingAdd("w", "y", 0), merge, app, app, ok},
		{"removes a file that I read", remove("x2"), updateByPart, read, read, ok},
		{"removes a file that I did not read", remove("x2"), update, ok, ok, ok},
		{"removes a file in another partition", remove("y1"), update, ok, ok, ok},
		{"removes any file / merge", remove("y1"), merge, read, read, ok},
		{"removes any file / blind append", remove("x1"), blind, ok, ok, read},
		{"removes a file that I remove", remove("x1"), update, read, read, read},
		{"rewrites a file that I remove", rewrite("x1"), update, del, del, del},
		{"rewrites a file that I read", rewrite("x2"), updateByPart, ok, ok, ok}, // the rows that I read are all there
		{"marks rows of a file that I remove", marked, update, app, app, read},   // its new entry is found first
		{"marks rows of a file that I mark", marked, vector, app, app, read},
		{"metadata / blind append", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetMetadata(s.Metadata()) }, blind, meta, meta, meta},
		{"metadata / update", func(s *delta.Snapshot) *delta.Txn { return begin(s).ReadNothing().SetMetadata(s.Metadata()) }, update, meta, meta, meta},
		{"protocol / protocol", grown("clustering"), upgrade, prot, prot, ok},
		{"protocol with sleeping features / update", grown("clustering", "vacuumProtocolCheck"), update, ok, ok, ok},
		{"txn that I write", setsApp("app"), app1, txn, txn, ok},
		{"txn that I read", setsApp("app"), readsApp, txn, txn, ok},
		{"txn of others", setsApp("other"), app1, ok, ok, ok},
		{"domain that I set", setsDomain("d"), domain, txn, txn, ok},
		{"domain of others", setsDomain("e"), domain, ok, ok, ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			for level, want := range map[delta.Isolation]delta.ConflictKind{delta.Serializable: c.strict, delta.WriteSerializable: c.lax, delta.SnapshotIsolation: c.rearranging} {
				s := matrixTable(t)
				x := c.mine(s).Isolate(level)
				if level == delta.SnapshotIsolation {
					x = compact(s)
				}
				_, err := c.winner(s).Commit(t.Context())
				must(t, err)
				_, err = x.Commit(t.Context())
				var conflict *delta.ConflictError
				switch {
				case want == "" && err != nil:
					t.Errorf("%s: %v", level, err)
				case want != "" && (!asConflict(err, &conflict) || conflict.Kind != want || fault.KindOf(err) != fault.Stale):
					t.Errorf("%s: %v, want %s", level, err, want)
				}
			}
		})
	}
}

// matrixTable is the table of TestConflictMatrix. It has the features that the cases need.
func matrixTable(t testing.TB) *delta.Snapshot {
	t.Helper()
	table := delta.Open(mem.New(), "silver/orders", testOptions())
	m, p, err := table.NewMetadata(testSchema, []string{"name"}, map[string]string{"delta.enableDeletionVectors": "true"})
	must(t, err)
	p, err = p.Supporting(m, "domainMetadata")
	must(t, err)
	_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).
		Add(inPart("x1", "x", 0, 9), inPart("x2", "x", 10, 19), inPart("y1", "y", 0, 9)).Commit(t.Context())
	must(t, err)
	return latest(t, table)
}

// TestConflictsInDeltaRS: delta-rs lets the same operations through as we do.
func TestConflictsInDeltaRS(t *testing.T) {
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	answer, err := exec.CommandContext(t.Context(), interpreter, "testdata/interop.py", "conflicts", t.TempDir()).Output()
	must(t, err)
	var theirs map[string]string
	must(t, json.Unmarshal(answer, &theirs))

	type build func(s *delta.Snapshot) *delta.Txn
	adds := func(part string, lo, hi int) build {
		return func(s *delta.Snapshot) *delta.Txn {
			return s.Begin(write()).ReadNothing().Add(inPart(fmt.Sprintf("%s-%d-%d", part, lo, hi), part, lo, hi))
		}
	}
	deletes := func(part string, lo, hi int) build {
		where := delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{pred(delta.OpEq, "name", part),
			pred(delta.OpGe, "id", strconv.Itoa(lo)), pred(delta.OpLe, "id", strconv.Itoa(hi))}}
		return func(s *delta.Snapshot) *delta.Txn {
			hit := s.Prune(where).Files
			return s.Begin(write()).ReadWhere(where, hit...).Remove(true, hit...)
		}
	}
	optimize := func(s *delta.Snapshot) *delta.Txn {
		old := s.Prune(pred(delta.OpEq, "name", "x")).Files
		return s.Begin(write()).ReadFiles(old...).Remove(false, old...).Add(rearranged(inPart("packed", "x", 0, 19))).Isolate(delta.SnapshotIsolation)
	}
	properties := func(s *delta.Snapshot) *delta.Txn { return s.Begin(write()).ReadNothing().SetMetadata(s.Metadata()) }
	ours := map[string][2]build{
		"append / append":              {adds("x", 1, 1), adds("x", 2, 2)},
		"append / delete there":        {adds("x", 5, 5), deletes("x", 0, 9)},
		"append of other ids / delete": {adds("x", 50, 59), deletes("x", 0, 9)},
		"append elsewhere / delete":    {adds("y", 1, 1), deletes("x", 0, 99)},
		"delete / the same delete":     {deletes("x", 0, 9), deletes("x", 0, 9)},
		"delete elsewhere / delete":    {deletes("y", 0, 99), deletes("x", 0, 99)},
		"delete of other ids / delete": {deletes("x", 10, 10), deletes("x", 0, 0)},
		"optimize / delete":            {optimize, deletes("x", 0, 9)},
		"append / optimize":            {adds("x", 1, 1), optimize},
		"delete / optimize":            {deletes("x", 0, 0), optimize},
		"properties / append":          {properties, adds("x", 1, 1)},
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d cases, delta-rs has %d", len(ours), len(theirs))
	}
	for name, pair := range ours {
		s := matrixTable(t)
		mine := pair[1](s)
		_, err := pair[0](s).Commit(t.Context())
		must(t, err)
		_, err = mine.Commit(t.Context())
		their, known := theirs[name]
		if !known || (err == nil) != (their == "") {
			t.Errorf("%s: we say %v, delta-rs %q", name, err, their)
		}
	}
}

// TestForeignProtocols: what other writers may do to the protocol while a transaction runs.
func TestForeignProtocols(t *testing.T) {
	for name, c := range map[string]struct {
		protocol string
		want     delta.ConflictKind
	}{
		"drops a feature": {`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors","appendOnly","invariants"]}`, delta.ProtocolChanged},
		"row ids":         {`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors","appendOnly","invariants","domainMetadata","rowTracking"]}`, delta.ProtocolChanged},
		"unknown":         {`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors","x"],"writerFeatures":["deletionVectors","appendOnly","invariants","domainMetadata","x"]}`, delta.ProtocolChanged},
		"sleeping":        {`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors","appendOnly","invariants","domainMetadata","allowColumnDefaults"]}`, ""},
	} {
		lake := mem.New()
		table := delta.Open(lake, "t", testOptions())
		m, p, err := table.NewMetadata(testSchema, nil, map[string]string{"delta.enableDeletionVectors": "true"})
		must(t, err)
		p, err = p.Supporting(m, "domainMetadata")
		must(t, err)
		_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Commit(t.Context())
		must(t, err)
		x := latest(t, table).Begin(write()).ReadNothing().Add(file("a"))
		putText(t, lake, "t/_delta_log/00000000000000000001.json", `{"protocol":`+c.protocol+`}`)
		_, err = x.Commit(t.Context())
		var conflict *delta.ConflictError
		if (err == nil) != (c.want == "") || err != nil && (!asConflict(err, &conflict) || conflict.Kind != c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIsolationOfTable(t *testing.T) {
	for property, want := range map[string]delta.ConflictKind{"": "", "Serializable": delta.ConcurrentAppend} {
		config := map[string]string{}
		if property != "" {
			config["delta.isolationLevel"] = property
		}
		table := newTable(t, mem.New(), config)
		s := latest(t, table)
		x := s.Begin(write()).Add(file("a")).Isolate(delta.WriteSerializable)
		_, err := s.Begin(write()).ReadNothing().Add(file("b")).Commit(t.Context())
		must(t, err)
		_, err = x.Commit(t.Context())
		var conflict *delta.ConflictError
		if (err == nil) != (want == "") || err != nil && (!asConflict(err, &conflict) || conflict.Kind != want) {
			t.Errorf("%q: %v", property, err)
		}
		if err == nil {
			history, err := table.History(t.Context(), 1)
			must(t, err)
			if got := history[0].Info.IsolationLevel; got != "WriteSerializable" {
				t.Error(got)
			}
		}
	}
	s := latest(t, newTable(t, mem.New(), nil))
	for name, x := range map[string]*delta.Txn{
		"rows change": s.Begin(write()).Add(file("a")).Isolate(delta.SnapshotIsolation),
		"no level":    s.Begin(write()).Add(file("a")).Isolate("ReadCommitted"),
	} {
		if _, err := x.Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBackoff: between lost races a commit waits longer and longer, but for the first, and no longer than its context.
func TestBackoff(t *testing.T) {
	lake := mem.New()
	newTable(t, lake, nil)
	rival := delta.Open(lake, "silver/orders", testOptions())
	var waits []time.Duration
	o := testOptions()
	o.Jitter = func() float64 { return 0.5 }
	o.NewID = nil
	races := 0
	o.Sleep = func(ctx context.Context, d time.Duration) error { waits = append(waits, d); return ctx.Err() }
	o.Now = func() time.Time { // looked at for each try: somebody is always faster
		if races++; races <= 12 {
			_, err := latest(t, rival).Begin(write()).ReadNothing().SetTxn("rival", int64(races)).Commit(t.Context())
			must(t, err)
		}
		return time.Unix(0, 0)
	}
	v, err := latest(t, delta.Open(lake, "silver/orders", o)).Begin(write()).ReadNothing().Add(file("a")).Commit(t.Context())
	must(t, err)
	want := "[5ms 10ms 20ms 40ms 80ms 160ms 320ms 500ms 500ms 500ms 500ms]"
	if got := fmt.Sprint(waits); got != want || v != 13 {
		t.Errorf("version %d after %s", v, got)
	}
	races = 0
	ctx, cancel := context.WithCancel(t.Context())
	o.Sleep = func(ctx context.Context, d time.Duration) error { cancel(); return context.Cause(ctx) }
	_, err = latest(t, delta.Open(lake, "silver/orders", o)).Begin(write()).ReadNothing().Add(file("b")).Commit(ctx)
	if fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

// bench is a table whose rows are known: a model of the engine, in which operations can be run again on another version.
type bench struct {
	t       *testing.T
	table   *delta.Table
	content map[string][]int // ids by path
	names   int
}

// operation is something that a user may ask for. It gives the rows that it leaves of those that it finds.
type operation struct {
	kind string // append, delete, update, mark, copy (to partition z), compact, overwrite
	part string
	lo   int // of the ids that it is about: lo..lo+4
	rows []int
}

func (o operation) matches(part string, id int) bool {
	return part == o.part && id >= o.lo && id < o.lo+5
}

// predicate is what matches says, as the log understands it.
func (o operation) predicate() delta.Predicate {
	return delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{pred(delta.OpEq, "name", o.part),
		pred(delta.OpGe, "id", strconv.Itoa(o.lo)), pred(delta.OpLt, "id", strconv.Itoa(o.lo+5))}}
}

// serial is what the operation makes of a table.
func (o operation) serial(rows map[string][]int) map[string][]int {
	out := map[string][]int{}
	for part, ids := range rows {
		for _, id := range ids {
			switch {
			case o.kind == "overwrite" && part == o.part:
			case (o.kind == "delete" || o.kind == "mark") && o.matches(part, id):
			case o.kind == "update" && o.matches(part, id):
				out[part] = append(out[part], id+7)
			case o.kind == "copy" && o.matches(part, id):
				out[part] = append(out[part], id)
				out["z"] = append(out["z"], id)
			default:
				out[part] = append(out[part], id)
			}
		}
	}
	if o.kind == "append" || o.kind == "overwrite" {
		out[o.part] = append(out[o.part], o.rows...)
	}
	return sorted(out)
}

func sorted(rows map[string][]int) map[string][]int {
	maps.DeleteFunc(rows, func(_ string, ids []int) bool { return len(ids) == 0 })
	for _, ids := range rows {
		slices.Sort(ids)
	}
	return rows
}

// rows are those of the live files.
func (b *bench) rows(s *delta.Snapshot) map[string][]int {
	out := map[string][]int{}
	for _, a := range s.Files() {
		part := *a.PartitionValues["name"]
		out[part] = append(out[part], b.live(a)...)
	}
	return sorted(out)
}

// live are the ids of a file that its deletion vector, here a list of ids, leaves.
func (b *bench) live(a delta.Add) []int {
	var gone []string
	if a.DeletionVector != nil {
		gone = strings.Split(a.DeletionVector.PathOrInlineDV, ",")
	}
	return slices.DeleteFunc(slices.Clone(b.content[a.Path]), func(id int) bool { return slices.Contains(gone, strconv.Itoa(id)) })
}

func (b *bench) file(part string, ids []int, change bool) delta.Add {
	b.names++
	name := fmt.Sprintf("f%d", b.names)
	b.content[name] = ids
	a := inPart(name, part, slices.Min(ids), slices.Max(ids))
	a.DataChange = change
	return a
}

// plan makes a transaction of the operation, on a snapshot, as package dml does it.
func (b *bench) plan(s *delta.Snapshot, o operation) *delta.Txn {
	x := s.Begin(write())
	switch o.kind {
	case "append":
		return x.ReadNothing().Add(b.file(o.part, o.rows, true))
	case "overwrite":
		old := s.Prune(pred(delta.OpEq, "name", o.part)).Files
		return x.ReadWhere(pred(delta.OpEq, "name", o.part), old...).Remove(true, old...).Add(b.file(o.part, o.rows, true))
	case "compact":
		old := s.Prune(pred(delta.OpEq, "name", o.part)).Files
		var ids []int
		for _, a := range old {
			ids = append(ids, b.live(a)...)
		}
		x.ReadFiles(old...).Remove(false, old...).Isolate(delta.SnapshotIsolation)
		if len(ids) > 0 {
			x.Add(b.file(o.part, ids, false))
		}
		return x
	}
	var touched []delta.Add
	var copied []int
	for _, a := range s.Prune(o.predicate()).Files {
		live := b.live(a)
		hit := slices.DeleteFunc(slices.Clone(live), func(id int) bool { return !o.matches(o.part, id) })
		if len(hit) == 0 {
			continue
		}
		touched = append(touched, a)
		switch o.kind {
		case "copy":
			copied = append(copied, hit...)
			continue
		case "mark":
			gone := slices.DeleteFunc(slices.Clone(b.content[a.Path]), func(id int) bool { return slices.Contains(live, id) && !o.matches(o.part, id) })
			x.SetDeletionVector(a, dv(strings.Trim(strings.ReplaceAll(fmt.Sprint(gone), " ", ","), "[]")))
			continue
		}
		x.Remove(true, a)
		if rest := o.serial(map[string][]int{o.part: live})[o.part]; len(rest) > 0 {
			x.Add(b.file(o.part, rest, true))
		}
	}
	if len(copied) > 0 {
		x.Add(b.file("z", copied, true))
	}
	return x.ReadWhere(o.predicate(), touched...)
}

// TestCommitsAreSerial plans random operations on the same version and commits them one after the other. Under Serializable,
// each that gets through leaves the rows that it would have left had it been planned on the version before it;
// of two under WriteSerializable, some order gives the rows.
func TestCommitsAreSerial(t *testing.T) {
	through, lost := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		b := &bench{t: t, table: nil, content: map[string][]int{}}
		table := delta.Open(mem.New(), "t", testOptions())
		m, p, err := table.NewMetadata(testSchema, []string{"name"}, map[string]string{"delta.enableDeletionVectors": "true"})
		must(t, err)
		x := table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p)
		draw := func() operation {
			return operation{
				kind: rapid.SampledFrom([]string{"append", "delete", "update", "mark", "copy", "compact", "overwrite"}).Draw(rt, "kind"),
				part: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "part"), lo: rapid.IntRange(0, 20).Draw(rt, "lo"),
				rows: rapid.SliceOfNDistinct(rapid.IntRange(0, 25), 1, 3, func(i int) int { return i }).Draw(rt, "rows"),
			}
		}
		for range rapid.IntRange(0, 4).Draw(rt, "files") {
			o := draw()
			x.Add(b.file(o.part, o.rows, true))
		}
		_, err = x.Commit(t.Context())
		must(t, err)
		base := latest(t, table)
		level := rapid.SampledFrom([]delta.Isolation{delta.Serializable, delta.WriteSerializable}).Draw(rt, "level")
		n := 2
		if level == delta.Serializable {
			n = rapid.IntRange(2, 5).Draw(rt, "operations")
		}
		var done []operation
		var txns []*delta.Txn
		var operations []operation
		for range n {
			o := draw()
			x := b.plan(base, o)
			if o.kind != "compact" {
				x.Isolate(level)
			}
			operations, txns = append(operations, o), append(txns, x)
		}
		for i, x := range txns {
			before := latest(t, table)
			_, err := x.Commit(t.Context())
			var conflict *delta.ConflictError
			if asConflict(err, &conflict) {
				lost++
				continue
			}
			must(t, err)
			if i > 0 {
				through++
			}
			done = append(done, operations[i])
			want := operations[i].serial(b.rows(before))
			if got := b.rows(latest(t, table)); level == delta.Serializable && fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("%+v: %v, serial %v", operations[i], got, want)
			}
		}
		got := fmt.Sprint(b.rows(latest(t, table)))
		if level == delta.WriteSerializable && len(done) == 2 {
			one, two := done[1].serial(done[0].serial(b.rows(base))), done[0].serial(done[1].serial(b.rows(base)))
			if got != fmt.Sprint(one) && got != fmt.Sprint(two) {
				rt.Fatalf("%+v\n%+v: %s; serial %v or %v", done[0], done[1], got, one, two)
			}
		}
	})
	if through == 0 || lost == 0 {
		t.Errorf("%d rebased, %d lost", through, lost)
	}
}
