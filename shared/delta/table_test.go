package delta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func TestNewMetadata(t *testing.T) {
	table := delta.Open(mem.New(), "t", testOptions())
	ntz := delta.Schema{Fields: []delta.Field{{Name: "a", Type: delta.StructType{Fields: []delta.Field{{Name: "t", Type: delta.TimestampNTZ}}}}}}
	cdf := map[string]string{"delta.enableChangeDataFeed": "true"}
	for _, c := range []struct {
		name   string
		schema delta.Schema
		config map[string]string
		want   string
	}{
		{"plain", testSchema, nil, `{"minReaderVersion":1,"minWriterVersion":2}`},
		{"feed", testSchema, cdf, `{"minReaderVersion":1,"minWriterVersion":4}`},
		{"ntz", ntz, nil, `{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["appendOnly","invariants","timestampNtz"]}`},
		{"ntz and feed", ntz, cdf, `{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["appendOnly","invariants","changeDataFeed","timestampNtz"]}`},
	} {
		m, p, err := table.NewMetadata(c.schema, nil, c.config)
		must(t, err)
		text, err := json.Marshal(p)
		must(t, err)
		if string(text) != c.want || m.ID == "" || m.SchemaString == "" || *m.CreatedTime == 0 {
			t.Errorf("%s: %s %+v", c.name, text, m)
		}
	}
	field := func(name string, typ delta.Type) delta.Schema {
		return delta.Schema{Fields: []delta.Field{{Name: name, Type: typ}, {Name: "z", Type: delta.Long}}}
	}
	array := delta.ArrayType{Element: delta.Long}
	for name, c := range map[string]struct {
		schema    delta.Schema
		partition []string
		config    map[string]string
	}{
		"no columns":               {schema: delta.Schema{}},
		"space in name":            {schema: field("a b", delta.Long)},
		"same name in other case":  {schema: field("Z", delta.Long)},
		"unknown type":             {schema: field("a", delta.Primitive("text"))},
		"precision 39":             {schema: field("a", delta.Decimal(39, 1))},
		"no type":                  {schema: field("a", nil)},
		"unknown partition column": {schema: field("a", delta.Long), partition: []string{"b"}},
		"partition by array":       {schema: field("a", array), partition: []string{"a"}},
		"partition by all":         {schema: field("a", delta.Long), partition: []string{"a", "z"}},
		"partition twice":          {schema: testSchema, partition: []string{"id", "id"}},
		"row tracking":             {schema: testSchema, config: map[string]string{"delta.enableRowTracking": "true"}},
		"neither true nor false":   {schema: testSchema, config: map[string]string{"delta.enableDeletionVectors": "yes"}},
		"isolation":                {schema: testSchema, config: map[string]string{"delta.isolationLevel": "WriteSerializable"}},
		"checkpoint interval":      {schema: testSchema, config: map[string]string{"delta.checkpointInterval": "0"}},
		"retention":                {schema: testSchema, config: map[string]string{"delta.logRetentionDuration": "soon"}},
		"feature as property":      {schema: testSchema, config: map[string]string{"delta.feature.deletionVectors": "supported"}},
		"column mapping":           {schema: testSchema, config: map[string]string{"delta.columnMapping.mode": "name"}},
		"constraint":               {schema: testSchema, config: map[string]string{"delta.constraints.x": " "}},
		"forgetful":                {schema: testSchema, config: map[string]string{"delta.setTransactionRetentionDuration": "interval 1 day"}},
	} {
		if _, _, err := table.NewMetadata(c.schema, c.partition, c.config); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCommitRefuses has transactions that no reader should ever meet.
func TestCommitRefuses(t *testing.T) {
	value := func(s string) map[string]*string { return map[string]*string{"name": &s} }
	with := func(change func(*delta.Add)) delta.Add {
		a := file("new")
		a.PartitionValues = value("x")
		change(&a)
		return a
	}
	for name, mistake := range map[string]func(x *delta.Txn, s *delta.Snapshot) *delta.Txn{
		"no partition value": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { return x.Add(file("new")) },
		"other partition column": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(with(func(a *delta.Add) { a.PartitionValues = map[string]*string{"id": nil} }))
		},
		"empty partition value": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(with(func(a *delta.Add) { a.PartitionValues = value("") }))
		},
		"path above the table": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(with(func(a *delta.Add) { a.Path = "../x" }))
		},
		"size 0": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(with(func(a *delta.Add) { a.Size = 0 }))
		},
		"stats no JSON": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(with(func(a *delta.Add) { a.Stats = "{" }))
		},
		"added twice":  func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { a := with(func(*delta.Add) {}); return x.Add(a, a) },
		"live already": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { return x.Add(s.Files()[0]) },
		"removed and added": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.Add(s.Files()[0]).Remove(true, s.Files()[0])
		},
		"removed twice":        func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { return x.Remove(true, s.Files()[0], s.Files()[0]) },
		"removed but not live": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { return x.Remove(true, file("ghost")) },
		"cdc without the feed": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.CDC(delta.CDC{Path: "_change_data/x", Size: 1, PartitionValues: value("x")})
		},
		"same app twice": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn { return x.SetTxn("a", 1).SetTxn("a", 2) },
		"metadata twice": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.SetMetadata(s.Metadata()).SetMetadata(s.Metadata())
		},
		"feed without protocol": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			m := s.Metadata()
			m.Configuration = map[string]string{"delta.enableChangeDataFeed": "true"}
			return x.SetMetadata(m)
		},
		"lower protocol": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.SetProtocol(delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 1})
		},
		"unknown feature": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			return x.SetProtocol(delta.Protocol{MinReaderVersion: 1, MinWriterVersion: 7, WriterFeatures: []string{"appendOnly", "invariants", "rowTracking"}})
		},
		"partition columns change": func(x *delta.Txn, s *delta.Snapshot) *delta.Txn {
			m := s.Metadata()
			m.PartitionColumns = []string{"id"}
			return x.SetMetadata(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t, mem.New(), nil, "name")
			first := file("a")
			first.PartitionValues = value("x")
			_, err := latest(t, table).Begin(write()).Add(first).Commit(t.Context())
			must(t, err)
			s := latest(t, table)
			x := mistake(s.Begin(write()), s)
			if _, err := x.Commit(t.Context()); fault.KindOf(err) != fault.InvalidInput {
				t.Errorf("commit: %v", err)
			}
			if _, err := x.Stage(t.Context(), 1); fault.KindOf(err) != fault.InvalidInput {
				t.Errorf("stage: %v", err)
			}
			if v := latest(t, table).Version(); v != 1 {
				t.Errorf("version %d", v)
			}
		})
	}
	table := newTable(t, mem.New(), map[string]string{"delta.appendOnly": "true"})
	_, err := latest(t, table).Begin(write()).Add(file("a")).Commit(t.Context())
	must(t, err)
	s := latest(t, table)
	if _, err := s.Begin(write()).Remove(true, s.Files()...).Commit(t.Context()); err == nil {
		t.Error("rows are removed from an append-only table")
	}
	if _, err := s.Begin(write()).Remove(false, s.Files()...).Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := table.Empty().Begin(write()).Add(file("a")).Commit(t.Context()); err == nil {
		t.Error("a first commit without metadata")
	}
}

func TestTimeTravel(t *testing.T) {
	lake := mem.New()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	// Versions 1 and 2 have the time of version 0, as after a copy: they count as 1 and 2 ms later.
	times := []time.Time{start, start, start, start.Add(time.Hour)}
	n := 0
	lake.Now = func() time.Time { at := times[min(n, len(times)-1)]; n++; return at }
	table := newTable(t, lake, nil)
	for i := range 3 {
		_, err := latest(t, table).Begin(write()).ReadNothing().Add(file(fmt.Sprint(i))).Commit(t.Context())
		must(t, err)
	}
	for after, want := range map[time.Duration]int64{0: 0, time.Millisecond: 1, 2 * time.Millisecond: 2, time.Hour - 1: 2, time.Hour: 3, 9 * time.Hour: 3} {
		at := start.Add(after)
		s, err := table.Snapshot(t.Context(), delta.AsOf{Timestamp: &at})
		must(t, err)
		if s.Version() != want {
			t.Errorf("%s after the start: version %d, want %d", after, s.Version(), want)
		}
	}
	before, v := start.Add(-1), int64(9)
	for name, at := range map[string]delta.AsOf{"before": {Timestamp: &before}, "version 9": {Version: &v}, "both": {Version: &v, Timestamp: &before}} {
		if _, err := table.Snapshot(t.Context(), at); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInCommitTimestamps: switched on at version 2, whose clock is far from the file's time.
func TestInCommitTimestamps(t *testing.T) {
	lake := mem.New()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	n := 0
	lake.Now = func() time.Time { n++; return start.Add(time.Duration(n) * time.Minute) }
	meta := func(config string) string {
		return `{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{` + config + `}}}`
	}
	protocol := `{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["inCommitTimestamp"]}}`
	on := start.Add(10 * time.Hour)
	info := func(d time.Duration) string {
		return fmt.Sprintf(`{"commitInfo":{"inCommitTimestamp":%d,"timestamp":1}}`, on.Add(d).UnixMilli())
	}
	enabled := fmt.Sprintf(`"delta.enableInCommitTimestamps":"true","delta.inCommitTimestampEnablementVersion":"2","delta.inCommitTimestampEnablementTimestamp":"%d"`, on.UnixMilli())
	for v, lines := range []string{protocol + "\n" + meta(""), `{"commitInfo":{}}`, info(0) + "\n" + meta(enabled), info(time.Hour)} {
		putText(t, lake, fmt.Sprintf("t/_delta_log/%020d.json", v), lines)
	}
	table := delta.Open(lake, "t", delta.Options{})
	for at, want := range map[time.Time]int64{start.Add(time.Minute): 0, start.Add(5 * time.Hour): 1, on: 2, on.Add(time.Hour - 1): 2, on.Add(time.Hour): 3} {
		s, err := table.Snapshot(t.Context(), delta.AsOf{Timestamp: &at})
		must(t, err)
		if s.Version() != want {
			t.Errorf("%s: version %d, want %d", at, s.Version(), want)
		}
	}
	if s := latest(t, table); !s.Timestamp().Equal(on.Add(time.Hour)) || s.CheckWritable() != nil {
		t.Errorf("%s, writable: %v", s.Timestamp(), s.CheckWritable())
	}
	// Also when a checkpoint has all of the version but its commitInfo.
	putText(t, lake, "t/_delta_log/00000000000000000003.checkpoint.11111111-2222-4333-8444-555555555555.json", protocol+"\n"+meta(enabled))
	if s := latest(t, table); !s.Timestamp().Equal(on.Add(time.Hour)) {
		t.Errorf("from the checkpoint: %s", s.Timestamp())
	}
	// A store that does not answer is no commit without a timestamp: the next commit's would be earlier.
	failing := inject.New(inject.Plan{How: inject.Fail, At: 1, Counts: func(o inject.Op) bool { return strings.HasSuffix(o.Key, "/"+commitFile(3)) }})
	if s, err := delta.Open(failing.Wrap(lake), "t", delta.Options{}).Snapshot(t.Context(), delta.AsOf{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without an answer: %v, %v", s, err)
	}
	// A damaged commit that the checkpoint covers is no reason not to read.
	putText(t, lake, "t/_delta_log/"+commitFile(3), `{"commitInfo":{"inCo`)
	if s := latest(t, table); s.Version() != 3 {
		t.Errorf("beside a damaged commit: version %d", s.Version())
	}
}

func TestChanges(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.enableChangeDataFeed": "true"})
	for i := range 4 {
		s := latest(t, table)
		x := s.Begin(write()).Add(file(fmt.Sprint(i))).SetTxn("app", int64(i))
		if i == 2 {
			x.Remove(true, s.Files()[0]).CDC(delta.CDC{Path: "_change_data/c", Size: 5})
		}
		_, err := x.Commit(t.Context())
		must(t, err)
	}
	var got []string
	for c, err := range table.Changes(t.Context(), 0, 4) {
		must(t, err)
		got = append(got, fmt.Sprintf("%d:+%d-%d cdc %d txn %d", c.Version, len(c.Adds), len(c.Removes), len(c.CDC), c.Txns[0].Version))
	}
	if d := cmp.Diff("1:+1-0 cdc 0 txn 0, 2:+1-0 cdc 0 txn 1, 3:+1-1 cdc 1 txn 2, 4:+1-0 cdc 0 txn 3", strings.Join(got, ", ")); d != "" {
		t.Error(d)
	}
	must(t, lake.Delete(t.Context(), "silver/orders/_delta_log/00000000000000000002.json"))
	var last error
	for c, err := range table.Changes(t.Context(), 0, 4) {
		if last = err; err == nil && c.Version != 1 {
			t.Errorf("version %d after the gap", c.Version)
		}
	}
	if fault.KindOf(last) != fault.SourceLost || fault.HintOf(last) == "" {
		t.Error(last)
	}
	if _, err := table.Snapshot(t.Context(), delta.AsOf{}); fault.KindOf(err) != fault.SourceLost {
		t.Error(err)
	}
}

func TestPartitionValues(t *testing.T) {
	for _, c := range []struct {
		typ  delta.Primitive
		v    any
		want string
	}{
		{delta.String, "a/b", "a/b"}, {delta.Long, int64(-1 << 63), "-9223372036854775808"}, {delta.Byte, 7, "7"},
		{delta.Double, 1e-7, "1.0E-7"}, {delta.Double, 12345678.0, "1.2345678E7"}, {delta.Double, 0.5, "0.5"}, {delta.Double, 3.0, "3.0"},
		{delta.Float, float32(0.1), "0.1"}, {delta.Double, math.NaN(), "NaN"}, {delta.Double, math.Inf(-1), "-Infinity"},
		{delta.Boolean, true, "true"}, {delta.Decimal(5, 2), json.Number("1.10"), "1.10"},
		{delta.Date, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "2024-02-29"},
		{delta.Timestamp, time.Date(2024, 2, 29, 1, 2, 3, 4000, time.UTC), "2024-02-29T01:02:03.000004Z"},
		{delta.TimestampNTZ, time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC), "2024-02-29 01:02:03.000000"},
		{delta.Binary, []byte{1, 'x'}, "\x01x"},
	} {
		text, err := delta.FormatPartitionValue(c.typ, c.v)
		if err != nil || text == nil || *text != c.want {
			t.Errorf("%s %v: %v %v", c.typ, c.v, text, err)
			continue
		}
		back, err := delta.ParsePartitionValue(c.typ, text)
		must(t, err)
		if again, err := delta.FormatPartitionValue(c.typ, back); err != nil || *again != c.want {
			t.Errorf("%s %v: read back as %v", c.typ, c.v, back)
		}
	}
	for _, v := range []any{nil, "", []byte{}} {
		if text, err := delta.FormatPartitionValue(delta.String, v); text != nil || err != nil {
			t.Errorf("%v: %v %v", v, text, err)
		}
	}
	for typ, bad := range map[delta.Primitive]string{delta.Byte: "128", delta.Integer: "abc", delta.Date: "2024-13-01", delta.Boolean: "yes", delta.Timestamp: "noon", delta.Decimal(3, 1): "1/2"} {
		if v, err := delta.ParsePartitionValue(typ, &bad); err == nil {
			t.Errorf("%s %q: %v", typ, bad, v)
		}
	}
}

func TestDiffSchemas(t *testing.T) {
	parse := func(fields string) delta.Schema {
		s, err := delta.ParseSchema(`{"type":"struct","fields":[` + fields + `]}`)
		must(t, err)
		return s
	}
	f := func(name, typ string) string {
		return fmt.Sprintf(`{"name":%q,"type":%s,"nullable":true,"metadata":{"x":1}}`, name, typ)
	}
	inner := func(fields string) string { return `{"type":"struct","fields":[` + fields + `]}` }
	from := parse(strings.Join([]string{f("a", `"long"`), f("b", `"string"`), f("s", inner(f("x", `"long"`)+","+f("y", `"long"`))), f("d", `"decimal(10, 2)"`)}, ","))
	to := parse(strings.Join([]string{f("s", inner(f("x", `"double"`)+","+f("z", `"long"`))), f("a", `"long"`), f("c", `"string"`), f("d", `"decimal(10,2)"`)}, ","))
	var got []string
	d := delta.DiffSchemas(from, to)
	for _, c := range d.Added {
		got = append(got, "+"+c.Path)
	}
	for _, c := range d.Dropped {
		got = append(got, "-"+c.Path)
	}
	for _, c := range d.Changed {
		got = append(got, fmt.Sprintf("%s %s>%s", c.Path, c.From, c.To))
	}
	if d := cmp.Diff("+s.z +c -b -s.y s.x long>double", strings.Join(got, " ")); d != "" {
		t.Error(d)
	}
	if !delta.DiffSchemas(from, from).Empty() {
		t.Error("a schema differs from itself")
	}
}

func TestHintIsOnlyAHint(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.checkpointInterval": "2"})
	for i := range 5 {
		_, err := latest(t, table).Begin(write()).Add(file(fmt.Sprint(i))).Commit(t.Context())
		must(t, err)
	}
	want := latest(t, table)
	for _, hint := range []string{"", "{", "null", "[]", `{"version":-1}`, `{"version":1}`, `{"version":2}`, `{"version":3}`, `{"version":99}`, `{"version":9223372036854775807}`} {
		putText(t, lake, "silver/orders/_delta_log/_last_checkpoint", hint)
		sameState(t, want, latest(t, table))
	}
	// A damaged checkpoint is passed over as long as the commits are there.
	putText(t, lake, "silver/orders/_delta_log/00000000000000000004.checkpoint.parquet", "PAR1")
	sameState(t, want, latest(t, table))
	must(t, lake.Delete(t.Context(), "silver/orders/_delta_log/00000000000000000000.json"))
	sameState(t, want, latest(t, table)) // from checkpoint 2
	must(t, lake.Delete(t.Context(), "silver/orders/_delta_log/00000000000000000002.checkpoint.parquet"))
	if _, err := table.Snapshot(t.Context(), delta.AsOf{}); err == nil || errors.Is(err, delta.ErrNoTable) {
		t.Error(err)
	}
}
