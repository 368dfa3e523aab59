package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/parquet-go/parquet-go"
)

const testMetadata = `{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{%s}}}`

func putLog(t *testing.T, s store.Store, name, text string) {
	t.Helper()
	if err := s.Put(t.Context(), "t/_delta_log/"+name, strings.NewReader(text), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestActionOrder: the order of actions in a commit means nothing, and files are told apart by deletion vector.
func TestActionOrder(t *testing.T) {
	add := func(dv string) string {
		return `{"add":{"path":"f","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true` + dv + `}}`
	}
	remove := func(dv string) string { return `{"remove":{"path":"f","dataChange":true` + dv + `}}` }
	dv := func(id string) string {
		return `,"deletionVector":{"storageType":"i","pathOrInlineDv":"` + id + `","sizeInBytes":1,"cardinality":1}`
	}
	protocol := `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}`
	start := protocol + "\n" + fmt.Sprintf(testMetadata, "") + "\n"
	for name, c := range map[string]struct {
		commits []string
		want    string
	}{
		"new vector, add first":    {[]string{add(""), add(dv("a")) + "\n" + remove("")}, "ia"},
		"new vector, remove first": {[]string{add(""), remove("") + "\n" + add(dv("a"))}, "ia"},
		"next vector":              {[]string{add(dv("a")), add(dv("b")) + "\n" + remove(dv("a"))}, "ib"},
		"add and remove of one":    {[]string{"", add("") + "\n" + remove("")}, ""},
		"removed":                  {[]string{add(dv("a")), remove(dv("a"))}, "none"},
		"two actions in a line":    {[]string{add(""), strings.TrimSuffix(add(dv("a")), "}") + "," + remove("")[1:]}, "ia"},
	} {
		lake := mem.New()
		for v, text := range c.commits {
			if v == 0 {
				text = start + text
			}
			putLog(t, lake, commitName(int64(v)), text)
		}
		s, err := Open(lake, "t", Options{}).Snapshot(t.Context(), AsOf{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := "none"
		if s.NumFiles() == 1 {
			got = s.Files()[0].DeletionVector.UniqueID()
		}
		if got != c.want || s.NumFiles() > 1 {
			t.Errorf("%s: %d files, vector %q, want %q", name, s.NumFiles(), got, c.want)
		}
	}
}

func TestRefusedLines(t *testing.T) {
	for _, text := range []string{
		`{"add":{"partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}`,
		`{"add":{"path":"a","partitionValues":{},"modificationTime":1,"dataChange":true}}`,
		`{"add":{"path":"a","size":-1}}`, `{"add":{"path":"a","size":9223372036854775808}}`, `{"add":{"path":"a","size":1.5}}`,
		`{"remove":{"dataChange":true}}`, `{"txn":{"version":1}}`, `{"txn":{"appId":"a","version":1e30}}`,
		`{"protocol":{"minReaderVersion":1}}`, `{"metaData":{"id":"x"}}`, `{"domainMetadata":{}}`, `{"cdc":{}}`,
		`{"add":{"path":"a","size":1,"deletionVector":{"storageType":"x","pathOrInlineDv":"a"}}}`,
		`{"add":{"path":"a","size":1}`, `[]`, `"x"`, "{\"add\":{\"path\":\"\xff\",\"size\":1}}",
	} {
		if err := scanLines(strings.NewReader(text), "log", func(line) error { return nil }); !damaged(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestTombstones: a checkpoint keeps the removes whose retention runs, and forgets the others.
func TestTombstones(t *testing.T) {
	for retention, want := range map[string]string{
		"": "b c", "interval 1 hour": "c", "interval 30 minutes 1 week": "b c", "nonsense": "a b c", "interval 60 MINUTES": "c",
	} {
		lake := mem.New()
		now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		ago := func(name string, d time.Duration) string {
			return fmt.Sprintf(`{"remove":{"path":%q,"dataChange":true,"deletionTimestamp":%d}}`, name, now.Add(-d).UnixMilli()) + "\n"
		}
		config := fmt.Sprintf(`"delta.deletedFileRetentionDuration":%q`, retention)
		if retention == "" {
			config = ""
		}
		putLog(t, lake, commitName(0), `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`+"\n"+fmt.Sprintf(testMetadata, config))
		putLog(t, lake, commitName(1), `{"remove":{"path":"a","dataChange":true}}`+"\n"+ago("b", 2*time.Hour)+ago("c", time.Minute))
		table := Open(lake, "t", Options{Now: func() time.Time { return now }})
		if err := table.Checkpoint(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		s, err := table.Snapshot(t.Context(), AsOf{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, id := range slices.Sorted(maps.Keys(s.state.removes)) {
			got = append(got, strings.TrimRight(id, "\x00"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("retention %q keeps %q, want %q", retention, got, want)
		}
	}
}

// TestSloppyCheckpoint reads what other writers got wrong: structs of NULLs for absent ones, empty lists for NULL.
func TestSloppyCheckpoint(t *testing.T) {
	type vector struct {
		StorageType    *string `parquet:"storageType,optional"`
		PathOrInlineDV *string `parquet:"pathOrInlineDv,optional"`
		SizeInBytes    *int32  `parquet:"sizeInBytes,optional"`
	}
	type add struct {
		Path            *string           `parquet:"path,optional"`
		PartitionValues map[string]string `parquet:"partitionValues,optional"`
		Size            *int64            `parquet:"size,optional"`
		DeletionVector  vector            `parquet:"deletionVector"`
	}
	type protocol struct {
		MinReaderVersion *int32   `parquet:"minReaderVersion,optional"`
		MinWriterVersion *int32   `parquet:"minWriterVersion,optional"`
		ReaderFeatures   []string `parquet:"readerFeatures,list"`
		WriterFeatures   []string `parquet:"writerFeatures,list"`
	}
	type metadata struct {
		ID           *string `parquet:"id,optional"`
		SchemaString *string `parquet:"schemaString,optional"`
	}
	type row struct {
		Add      add      `parquet:"add"`
		Protocol protocol `parquet:"protocol"`
		Metadata metadata `parquet:"metaData"`
		Extra    *int64   `parquet:"extra,optional"`
	}
	var body bytes.Buffer
	w := parquet.NewGenericWriter[row](&body)
	_, err := w.Write([]row{
		{Protocol: protocol{MinReaderVersion: ptr[int32](1), MinWriterVersion: ptr[int32](2)}},
		{Metadata: metadata{ID: ptr("x"), SchemaString: ptr(`{"type":"struct","fields":[]}`)}},
		{Add: add{Path: ptr("f"), Size: ptr[int64](7)}},
	})
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	lake := mem.New()
	putLog(t, lake, "00000000000000000003.checkpoint.parquet", body.String())
	s, err := Open(lake, "t", Options{}).Snapshot(t.Context(), AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Files(); len(f) != 1 || f[0].Path != "f" || f[0].Size != 7 || f[0].DeletionVector != nil || s.Protocol().WriterFeatures != nil {
		t.Errorf("%+v %+v", f, s.Protocol())
	}
}

// TestMultiPart: parts count only when all are there.
func TestMultiPart(t *testing.T) {
	lake := mem.New()
	putLog(t, lake, commitName(0), `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`+"\n"+fmt.Sprintf(testMetadata, ""))
	table := Open(lake, "t", Options{})
	part := func(number, of int, name string) {
		s, err := table.Empty().With([]Action{
			Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, Metadata{ID: "x", SchemaString: `{"type":"struct","fields":[]}`}, Add{Path: name, Size: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if err := s.writeCheckpoint(&body); err != nil {
			t.Fatal(err)
		}
		putLog(t, lake, fmt.Sprintf("%020d.checkpoint.%010d.%010d.parquet", 1, number, of), body.String())
	}
	files := func() string {
		s, err := table.Snapshot(t.Context(), AsOf{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s.Version(), " ", s.NumFiles())
	}
	part(1, 3, "a")
	part(3, 3, "c")
	part(2, 2, "other set")
	if got := files(); got != "0 0" {
		t.Errorf("incomplete: version and files %s", got)
	}
	part(2, 3, "b")
	if got := files(); got != "1 3" {
		t.Errorf("complete: version and files %s", got)
	}
}

func TestProtocolRules(t *testing.T) {
	list := func(s ...string) []string { return nonNil(s) }
	for name, c := range map[string]struct {
		p        Protocol
		readable bool
		writable bool
	}{
		"plain":                        {Protocol{1, 2, nil, nil}, true, true},
		"feed":                         {Protocol{1, 4, nil, nil}, true, true},
		"legacy column mapping":        {Protocol{2, 5, nil, nil}, true, true}, // while no column is mapped
		"identity columns":             {Protocol{1, 6, nil, nil}, true, true}, // while no column is one
		"empty lists":                  {Protocol{3, 7, list(), list()}, true, true},
		"writer list only":             {Protocol{1, 7, nil, list("appendOnly")}, true, true},
		"unknown writer feature":       {Protocol{1, 7, nil, list("liquid")}, true, false},
		"writer version 8":             {Protocol{1, 8, nil, list()}, true, false},
		"ntz":                          {Protocol{3, 7, list("timestampNtz"), list("timestampNtz")}, true, true},
		"vectors":                      {Protocol{3, 7, list("deletionVectors"), list("deletionVectors")}, true, true},
		"row tracking":                 {Protocol{1, 7, nil, list("rowTracking", "domainMetadata")}, true, false},
		"variants":                     {Protocol{3, 7, list("variantType"), list("variantType")}, true, false},
		"reader list too early":        {Protocol{2, 7, list(), list()}, false, true},
		"writer list too early":        {Protocol{1, 4, nil, list()}, false, true},
		"no reader list":               {Protocol{3, 7, nil, list()}, false, true},
		"no writer list":               {Protocol{1, 7, nil, nil}, false, true},
		"reader 3 with writer 6":       {Protocol{3, 6, list(), nil}, false, true},
		"reader feature not in writer": {Protocol{3, 7, list("timestampNtz"), list()}, false, true},
		"unknown reader feature":       {Protocol{3, 7, list("x"), list("x")}, false, false},
		"reader 0":                     {Protocol{0, 2, nil, nil}, false, true},
	} {
		if err := c.p.checkReadable(); (err == nil) != c.readable {
			t.Errorf("%s: readable: %v", name, err)
		}
		if err := checkWritable(c.p, Metadata{}, Schema{}); (err == nil) != c.writable {
			t.Errorf("%s: writable: %v", name, err)
		}
	}
	for field, writable := range map[string]bool{metaInvariants: true, "CURRENT_DEFAULT": true, metaGenerated: false, "delta.identity.start": false} {
		s, err := ParseSchema(`{"type":"struct","fields":[{"name":"s","nullable":true,"metadata":{},"type":{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{"` + field + `":"x"}}]}}]}`)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkWritable(Protocol{1, 4, nil, nil}, Metadata{}, s); (err == nil) != writable {
			t.Errorf("%s: %v", field, err)
		}
	}
	for mode, writable := range map[string]bool{"none": true, "name": false, "id": false} {
		if err := checkWritable(Protocol{2, 5, nil, nil}, Metadata{Configuration: map[string]string{propMapping: mode}}, Schema{}); (err == nil) != writable {
			t.Errorf("column mapping %s: %v", mode, err)
		}
	}
}

// TestCheckpointKeepsAll: every field of an action survives a checkpoint, absent ones as absent.
func TestCheckpointKeepsAll(t *testing.T) {
	dv := &DeletionVector{StorageType: "u", PathOrInlineDV: "ab", Offset: ptr[int32](0), SizeInBytes: 3, Cardinality: 1 << 40}
	null := map[string]*string{"p": nil, "q": ptr("v"), "r": ptr("")}
	full := Add{
		Path: "a%20b", PartitionValues: null, Size: 1<<62 + 1, ModificationTime: 5, Stats: `{"numRecords":1}`, Tags: map[string]string{"k": "v", "e": ""},
		DeletionVector: dv, BaseRowID: ptr(int64(0)), DefaultRowCommitVersion: ptr(int64(7)), ClusteringProvider: ptr("liquid"),
	}
	bare := Add{Path: "b", PartitionValues: map[string]*string{}}
	gone := Remove{
		Path: "c", DeletionTimestamp: ptr(int64(1) << 60), ExtendedFileMetadata: ptr(false), PartitionValues: null, Size: ptr(int64(0)),
		DeletionVector: &DeletionVector{StorageType: "i", PathOrInlineDV: "x", SizeInBytes: 1, Cardinality: 1}, BaseRowID: ptr(int64(9)),
	}
	features := []string{"deletionVectors", "columnMapping"} // the order is kept
	table := Open(mem.New(), "t", Options{})
	s, err := table.Empty().With([]Action{
		Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: features, WriterFeatures: features},
		Metadata{ID: "x", Name: "n", SchemaString: `{"type":"struct","fields":[]}`, PartitionColumns: []string{}, Configuration: map[string]string{"a": ""}, Format: Format{"parquet", map[string]string{"o": "1"}}},
		full, bare, gone, Remove{Path: "d", DeletionTimestamp: ptr(int64(1) << 60)},
		SetTransaction{AppID: "app", Version: -1}, SetTransaction{AppID: "b", Version: 1, LastUpdated: ptr(int64(3))},
		DomainMetadata{Domain: "d", Configuration: "{}"}, DomainMetadata{Domain: "gone", Removed: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := s.writeCheckpoint(&body); err != nil {
		t.Fatal(err)
	}
	got := newState()
	var rest Commit
	err = scanParquet(bytes.NewReader(body.Bytes()), int64(body.Len()), "checkpoint", func(l line) error {
		if l.Add != nil {
			got.add(*l.Add)
		} else if l.Remove != nil {
			got.remove(*l.Remove)
		} else {
			rest.take(l)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got.apply(rest)
	if d := cmp.Diff(s.state, got, cmp.AllowUnexported(state{})); d != "" {
		t.Errorf("-written +read\n%s", d)
	}
}

// TestLeafValues: what a checkpoint's stats_parsed holds becomes what the JSON form would say.
func TestLeafValues(t *testing.T) {
	decimal := func(n int64, scale int) any { return decimalNumber(unscaled(parquet.ValueOf(n)), scale) }
	for _, c := range []struct{ got, want any }{
		{decimal(-5, 3), json.Number("-0.005")}, {decimal(12345, 2), json.Number("123.45")}, {decimal(7, 0), json.Number("7")},
		{decimalNumber(unscaled(parquet.ValueOf(int32(-100))), 2), json.Number("-1.00")},
		{decimalNumber(unscaled(parquet.ValueOf([]byte{0xff, 0x00})), 1), json.Number("-25.6")},
		{decimalNumber(unscaled(parquet.ValueOf([]byte{0x00, 0xff})), 1), json.Number("25.5")},
		{floatValue(math.NaN()), "NaN"}, {floatValue(math.Inf(-1)), "-Infinity"}, {floatValue(math.Inf(1)), "Infinity"}, {floatValue(0.1), 0.1},
		{leafConverter(parquet.Timestamp(parquet.Microsecond).Type())(parquet.ValueOf(int64(-1))), "1969-12-31T23:59:59.999999Z"},
		{leafConverter(parquet.TimestampAdjusted(parquet.Millisecond, false).Type())(parquet.ValueOf(int64(1500))), "1970-01-01T00:00:01.500000"},
		{leafConverter(parquet.Date().Type())(parquet.ValueOf(int32(-1))), "1969-12-31"},
	} {
		if c.got != c.want {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

func TestSameType(t *testing.T) {
	array := func(e Type, null bool) Type { return ArrayType{e, null} }
	object := func(f ...Field) Type { return StructType{f} }
	types := []Type{
		Long, Decimal(5, 2), Decimal(5, 3), array(Long, true), array(Long, false), array(String, true), MapType{String, Long, true},
		MapType{String, Long, false}, MapType{String, object(), true}, object(), object(Field{"a", Long, true, nil}), object(Field{"a", Long, false, nil}),
		object(Field{"b", Long, true, nil}), array(object(Field{"a", Long, true, nil}), true),
	}
	for i, a := range types {
		for j, b := range types {
			if sameType(a, b) != (i == j) {
				t.Errorf("%s and %s: %v", a, b, sameType(a, b))
			}
		}
	}
}

// TestSharedValues: partition values are shared where they are equal, and nowhere else.
func TestSharedValues(t *testing.T) {
	long := strings.Repeat("x", maxValueSetKey)
	s := valueSets{}
	for _, c := range []map[string]*string{
		{"p": ptr("1")}, {"p": ptr("2")}, {"p": nil}, {"p": ptr("")}, {"q": ptr("1")}, {"p": ptr("1"), "q": nil}, {"p": ptr(`1","q`)},
		{"p": ptr(long + "1")}, {"p": ptr(long + "2")}, {"p": ptr(long), "q": ptr("1")}, {"p": ptr(long), "q": ptr("2")},
	} {
		for range 2 {
			if d := cmp.Diff(c, s.share(maps.Clone(c))); d != "" {
				t.Error(d)
			}
		}
	}
	for i := range 2 * maxValueSets {
		s.share(map[string]*string{"p": ptr(strconv.Itoa(i))})
	}
	if len(s) > maxValueSets {
		t.Errorf("%d are kept", len(s))
	}
}

// TestClusteringOfMappedColumns: the domain has physical names, in either notation; what the schema lacks is no clustering.
func TestClusteringOfMappedColumns(t *testing.T) {
	mapped := func(logical, physical string, id int, typ string) string {
		return fmt.Sprintf(`{"name":%q,"type":%s,"nullable":true,"metadata":{"delta.columnMapping.id":%d,"delta.columnMapping.physicalName":%q}}`, logical, typ, id, physical)
	}
	inner := `{"type":"struct","fields":[` + mapped("b", "col-2", 2, `"long"`) + `]}`
	schema := `{"type":"struct","fields":[` + mapped("a", "col-1", 1, inner) + `,` + mapped("col-1", "col-3", 3, `"long"`) + `]}`
	features := []string{featColumnMapping, featClustering, featDomains}
	for domain, want := range map[string]string{
		`{"clusteringColumns":[["col-1","col-2"],["col-3"]]}`: "[[a b] [col-1]] true",
		`{"clusteringColumns":["col-3"]}`:                     "[[col-1]] true",
		`{"clusteringColumns":[["a"]]}`:                       "[] false",
		`{"clusteringColumns":[["col-3","col-2"]]}`:           "[] false",
		`{"clusteringColumns":[]}`:                            "[] false",
		`{`:                                                   "[] false",
	} {
		s, err := logOf(t, nil).Empty().With([]Action{
			Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{featColumnMapping}, WriterFeatures: features},
			Metadata{ID: "x", SchemaString: schema, Configuration: map[string]string{propMapping: "name"}},
			DomainMetadata{Domain: clusteringDomain, Configuration: domain},
		})
		if err != nil {
			t.Fatal(err)
		}
		columns, ok := s.ClusteringColumns()
		if got := fmt.Sprint(columns, ok); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}
