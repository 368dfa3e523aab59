package delta_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func show(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// TestProtocolGrows: a protocol gets what metadata needs, and keeps all that its numbers implied.
func TestProtocolGrows(t *testing.T) {
	table := delta.Open(mem.New(), "t", testOptions())
	lists := func(s ...string) []string { return s }
	for name, c := range map[string]struct {
		from     delta.Protocol
		config   map[string]string
		features []string
		want     string
	}{
		"nothing":            {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, nil, nil, `{"minReaderVersion":1,"minWriterVersion":2}`},
		"constraint":         {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, map[string]string{"delta.constraints.x": "id > 0"}, nil, `{"minReaderVersion":1,"minWriterVersion":3}`},
		"feed keeps mapping": {delta.Protocol{MinReaderVersion: 2, MinWriterVersion: 5}, map[string]string{"delta.enableChangeDataFeed": "true"}, nil, `{"minReaderVersion":2,"minWriterVersion":5}`},
		"vectors": {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, map[string]string{"delta.enableDeletionVectors": "true"}, nil,
			`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["appendOnly","invariants","deletionVectors"]}`},
		"vectors over mapping": {delta.Protocol{MinReaderVersion: 2, MinWriterVersion: 5}, map[string]string{"delta.enableDeletionVectors": "true"}, nil,
			`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["columnMapping","deletionVectors"],` +
				`"writerFeatures":["appendOnly","invariants","checkConstraints","changeDataFeed","generatedColumns","columnMapping","deletionVectors"]}`},
		"timestamps need no reader": {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, map[string]string{"delta.enableInCommitTimestamps": "true"}, nil,
			`{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly","invariants","inCommitTimestamp"]}`},
		"clustering": {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 7, WriterFeatures: lists()}, nil, lists("clustering"),
			`{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["clustering","domainMetadata"]}`},
		"a preview will do": {delta.Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: lists("typeWidening-preview"), WriterFeatures: lists("typeWidening-preview")},
			map[string]string{"delta.enableTypeWidening": "true", "delta.checkpointPolicy": "v2"}, nil,
			`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["typeWidening-preview","v2Checkpoint"],"writerFeatures":["typeWidening-preview","v2Checkpoint"]}`},
		"not written": {delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, nil, lists("rowTracking"), ""},
	} {
		m, _, err := table.NewMetadata(testSchema, nil, c.config)
		must(t, err)
		got, err := c.from.Supporting(m, c.features...)
		if c.want == "" {
			if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), c.features[0]) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		must(t, err)
		if d := cmp.Diff(c.want, show(t, got)); d != "" {
			t.Errorf("%s\n%s", name, d)
		}
	}
}

func TestConstraints(t *testing.T) {
	required := delta.StructType{Fields: []delta.Field{{Name: "x", Type: delta.Long}}}
	invariant := map[string]json.RawMessage{"delta.invariants": json.RawMessage(`"{\"expression\":{\"expression\":\"a > 3\"}}"`)}
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "a", Type: delta.Long, Nullable: true, Metadata: invariant},
		{Name: "b", Type: delta.Long},
		{Name: "s", Type: required, Nullable: true},
		{Name: "l", Type: delta.ArrayType{Element: required}, Nullable: true},
		{Name: "m", Type: delta.MapType{Key: delta.String, Value: delta.Long, ValueContainsNull: true}, Nullable: true},
	}}
	lake := mem.New()
	table := delta.Open(lake, "t", testOptions())
	m, p, err := table.NewMetadata(schema, nil, map[string]string{"delta.constraints.upper": "b < 9"})
	must(t, err)
	_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	var got []string
	for _, c := range s.Constraints() {
		got = append(got, fmt.Sprintf("%s:%s:%s", c.Name, c.SQL, strings.Join(c.Column, ".")))
	}
	if d := cmp.Diff(":a > 3:a ::b ::s.x ::l.element ::l.element.x upper:b < 9:", strings.Join(got, " ")); d != "" {
		t.Error(d)
	}
	// Rows come in only when somebody says that they were checked; also from a staged document.
	if _, err := s.Begin(write()).Add(file("a")).Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "a > 3") {
		t.Error(err)
	}
	staged, err := s.Begin(write()).Add(file("a")).ConstraintsHold().Stage(t.Context(), 1)
	must(t, err)
	x, err := table.LoadStaged(t.Context(), staged)
	must(t, err)
	_, err = x.Commit(t.Context())
	must(t, err)
}

func TestDeletionVectors(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.enableDeletionVectors": "true"})
	bare := file("bare")
	bare.Stats = ""
	full := file("full")
	full.Stats = `{"numRecords":3,"minValues":{"id":9007199254740993},"maxValues":{"id":9007199254740993},"nullCount":{"id":0}}`
	_, err := latest(t, table).Begin(write()).Add(full, bare).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	first := &delta.DeletionVector{StorageType: "u", PathOrInlineDV: "ab^-aqEH.-t@S}K{vb[*k^", Offset: new(int32), SizeInBytes: 40, Cardinality: 1}
	second := *first
	second.Cardinality, second.PathOrInlineDV = 2, "xb^-aqEH.-t@S}K{vb[*k^"
	_, err = s.Begin(write()).SetDeletionVector(s.Files()[1], first).Commit(t.Context())
	must(t, err)
	next := latest(t, table)
	a := next.Files()[1]
	want := `{"numRecords":3,"tightBounds":false,"minValues":{"id":9007199254740993},"maxValues":{"id":9007199254740993},"nullCount":{"id":0}}`
	if a.Path != "full" || a.Stats != want || cmp.Diff(first, a.DeletionVector) != "" || next.NumFiles() != 2 {
		t.Errorf("%+v", a)
	}
	tooMany := second
	tooMany.Cardinality = 4
	other := second.PathOrInlineDV
	for name, x := range map[string]*delta.Txn{
		"no statistics":            next.Begin(write()).SetDeletionVector(next.Files()[0], &second),
		"more rows than there are": next.Begin(write()).SetDeletionVector(a, &tooMany),
		"of an older entry":        next.Begin(write()).SetDeletionVector(s.Files()[1], &second),
		"twice":                    next.Begin(write()).SetDeletionVector(a, &second).SetDeletionVector(a, first),
		"added beside":             next.Begin(write()).Add(delta.Add{Path: "full", Size: 100, Stats: want, DataChange: true, DeletionVector: &second}),
		"the same again":           next.Begin(write()).SetDeletionVector(a, first),
		"without numRecords":       next.Begin(write()).Add(delta.Add{Path: "n", Size: 100, DataChange: true, DeletionVector: &second}),
	} {
		if _, err := x.Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = next.Begin(write()).SetDeletionVector(a, &second).Commit(t.Context())
	must(t, err)
	if got := latest(t, table).Files()[1].DeletionVector.PathOrInlineDV; got != other {
		t.Error(got)
	}
	// Two writers mark rows of one file.
	var conflict *delta.ConflictError
	_, err = next.Begin(write()).ReadNothing().SetDeletionVector(a, &second).Commit(t.Context())
	if !asConflict(err, &conflict) || conflict.Kind != delta.ConcurrentDeleteDelete {
		t.Error(err)
	}
	// A table that has the feature, but not the property, gets no new ones.
	m := latest(t, table).Metadata()
	m.Configuration = nil
	_, err = latest(t, table).Begin(write()).SetMetadata(m).Commit(t.Context())
	must(t, err)
	now := latest(t, table)
	if _, err := now.Begin(write()).SetDeletionVector(now.Files()[1], first).Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
	_, err = now.Begin(write()).SetDeletionVector(now.Files()[1], nil).Commit(t.Context())
	must(t, err)
}

func TestDomainsAndClustering(t *testing.T) {
	lake := mem.New()
	table := delta.Open(lake, "t", testOptions())
	m, p, err := table.NewMetadata(testSchema, nil, nil)
	must(t, err)
	domain, err := delta.Clustering([]string{"id"}, []string{"name"})
	must(t, err)
	if _, err := table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).SetDomain(domain).Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
	p, err = p.Supporting(m, "clustering")
	must(t, err)
	_, err = table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).SetDomain(domain).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	if columns, ok := s.ClusteringColumns(); !ok || fmt.Sprint(columns) != "[[id] [name]]" {
		t.Error(columns, ok)
	}
	mine := delta.DomainMetadata{Domain: "mine", Configuration: "1"}
	winner, loser := s.Begin(write()).ReadNothing().SetDomain(mine), s.Begin(write()).ReadNothing().SetDomain(mine)
	beside := s.Begin(write()).ReadNothing().SetDomain(delta.DomainMetadata{Domain: "other"})
	_, err = winner.Commit(t.Context())
	must(t, err)
	var conflict *delta.ConflictError
	if _, err := loser.Commit(t.Context()); !asConflict(err, &conflict) || conflict.Kind != delta.ConcurrentTransaction {
		t.Error(err)
	}
	_, err = beside.Commit(t.Context())
	must(t, err)
	mine.Removed = true
	_, err = latest(t, table).Begin(write()).SetDomain(mine).Commit(t.Context())
	must(t, err)
	if _, ok := latest(t, table).Domain("mine"); ok {
		t.Error("a removed domain is there")
	}
	if _, err := s.Begin(write()).SetDomain(mine).SetDomain(mine).Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
}

// TestInCommitTimestampsWritten: the timestamps grow though the clock goes back, also over a lost race, and the metadata
// says where they begin.
func TestInCommitTimestampsWritten(t *testing.T) {
	lake := mem.New()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	clock := start
	o := testOptions()
	o.Now = func() time.Time { return clock }
	lake.Now = o.Now
	newTable(t, lake, nil)
	table := delta.Open(lake, "silver/orders", o)
	s := latest(t, table)
	m := s.Metadata()
	m.Configuration = map[string]string{"delta.enableInCommitTimestamps": "true", "delta.inCommitTimestampEnablementVersion": "77"}
	p, err := s.Protocol().Supporting(m)
	must(t, err)
	on := s.Begin(write()).ReadNothing().SetMetadata(m).SetProtocol(p)
	_, err = latest(t, table).Begin(write()).ReadNothing().SetTxn("other", 1).Commit(t.Context()) // the first comes second
	must(t, err)
	clock = start.Add(-time.Hour)
	v, err := on.Commit(t.Context())
	must(t, err)
	s = latest(t, table)
	c := s.Metadata().Configuration
	if v != 2 || c["delta.inCommitTimestampEnablementVersion"] != "2" || c["delta.inCommitTimestampEnablementTimestamp"] != fmt.Sprint(start.UnixMilli()+1) {
		t.Errorf("version %d: %v", v, c)
	}
	if !s.Timestamp().Equal(start.Add(time.Millisecond)) {
		t.Error(s.Timestamp())
	}
	slow := s.Begin(write()).ReadNothing().Add(file("slow"))
	clock = start.Add(time.Hour)
	_, err = s.Begin(write()).ReadNothing().Add(file("fast")).Commit(t.Context())
	must(t, err)
	clock = start
	_, err = slow.Commit(t.Context())
	must(t, err)
	if at := latest(t, table).Timestamp(); !at.Equal(start.Add(time.Hour + time.Millisecond)) {
		t.Error(at)
	}
	line, _, _ := strings.Cut(text(t, lake, "silver/orders/_delta_log/00000000000000000004.json"), "\n")
	if !strings.HasPrefix(line, `{"commitInfo":{"inCommitTimestamp":`) {
		t.Error(line)
	}
	// On both sides of the moment when they were switched on.
	for at, want := range map[time.Duration]int64{0: 0, time.Millisecond: 2, time.Hour - 1: 2, time.Hour: 3, time.Hour + time.Millisecond: 4} {
		asked := start.Add(at)
		s, err := table.Snapshot(t.Context(), delta.AsOf{Timestamp: &asked})
		must(t, err)
		if s.Version() != want {
			t.Errorf("%s after the start: version %d, want %d", at, s.Version(), want)
		}
	}
	// A new table that begins with this metadata, as a clone does, has carried timestamps from its start.
	m = latest(t, table).Metadata()
	clone := delta.Open(mem.New(), "clone", testOptions())
	_, err = clone.Empty().Begin(write()).SetMetadata(m).SetProtocol(latest(t, table).Protocol()).Commit(t.Context())
	must(t, err)
	if c := latest(t, clone).Metadata().Configuration; len(c) != 1 {
		t.Error(c)
	}
	// Other metadata keeps the moment; switched off, it is forgotten.
	m.Configuration = map[string]string{"delta.enableInCommitTimestamps": "true"}
	_, err = latest(t, table).Begin(write()).SetMetadata(m).Commit(t.Context())
	must(t, err)
	if c := latest(t, table).Metadata().Configuration; c["delta.inCommitTimestampEnablementVersion"] != "2" {
		t.Error(c)
	}
	m = latest(t, table).Metadata()
	m.Configuration["delta.enableInCommitTimestamps"] = "false"
	_, err = latest(t, table).Begin(write()).SetMetadata(m).Commit(t.Context())
	must(t, err)
	if c := latest(t, table).Metadata().Configuration; len(c) != 1 || latest(t, table).Timestamp().After(start) {
		t.Error(c, latest(t, table).Timestamp())
	}
}

// TestErasure: the mark is in the commit, staged or not.
func TestErasure(t *testing.T) {
	table := newTable(t, mem.New(), nil)
	_, err := latest(t, table).Begin(write()).Add(file("a")).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	staged, err := s.Begin(delta.Operation{Name: "DELETE", Erasure: "request 7"}).Remove(true, s.Files()...).Stage(t.Context(), 3)
	must(t, err)
	x, err := table.LoadStaged(t.Context(), staged)
	must(t, err)
	_, err = x.Commit(t.Context())
	must(t, err)
	for c, err := range table.Changes(t.Context(), 0, 2) {
		must(t, err)
		if id, ok := c.Erasure(); ok != (c.Version == 2) || ok && id != "request 7" {
			t.Errorf("version %d: %q %v", c.Version, id, ok)
		}
	}
}

// TestVectorsUnderConstraints: rows that only leave need no check; those of another file do.
func TestVectorsUnderConstraints(t *testing.T) {
	table := newTable(t, mem.New(), map[string]string{"delta.enableDeletionVectors": "true", "delta.constraints.x": "id > 0"})
	a := file("a")
	a.Stats = `{"numRecords":3}`
	_, err := latest(t, table).Begin(write()).Add(a).ConstraintsHold().Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	if _, err := s.Begin(write()).SetDeletionVector(s.Files()[0], dv("x")).Add(file("b")).Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
	_, err = s.Begin(write()).SetDeletionVector(s.Files()[0], dv("x")).Commit(t.Context())
	must(t, err)
}

// TestRequiredPartition: NULL is refused where the partition column may not be it.
func TestRequiredPartition(t *testing.T) {
	table := delta.Open(mem.New(), "t", testOptions())
	m, p, err := table.NewMetadata(delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: true}, {Name: "p", Type: delta.Long}}}, []string{"p"}, nil)
	must(t, err)
	one, empty := "1", ""
	for value, refused := range map[*string]bool{nil: true, &empty: true, &one: false} {
		a := file("a")
		a.PartitionValues = map[string]*string{"p": value}
		_, err := table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Add(a).Commit(t.Context())
		if refused != (fault.KindOf(err) == fault.InvalidInput) || !refused && err != nil {
			t.Errorf("%v: %v", value, err)
		}
	}
}

// TestVerifyChangeFiles: files of the change data feed must be there, too.
func TestVerifyChangeFiles(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.enableChangeDataFeed": "true"})
	x := latest(t, table).Begin(write()).CDC(delta.CDC{Path: "_change_data/c", Size: 5})
	if err := x.VerifyFiles(t.Context()); fault.KindOf(err) != fault.Internal {
		t.Error(err)
	}
	putText(t, lake, "silver/orders/_change_data/c", "12345")
	must(t, x.VerifyFiles(t.Context()))
}
