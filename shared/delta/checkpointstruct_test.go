package delta

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/store/mem"
)

const structSchema = `{"type":"struct","fields":[` +
	`{"name":"p","type":"date","nullable":true,"metadata":{}},{"name":"q","type":"decimal(38,3)","nullable":true,"metadata":{}},` +
	`{"name":"i","type":"long","nullable":true,"metadata":{}},{"name":"b","type":"byte","nullable":true,"metadata":{}},` +
	`{"name":"f","type":"float","nullable":true,"metadata":{}},{"name":"d","type":"double","nullable":true,"metadata":{}},` +
	`{"name":"s","type":"string","nullable":true,"metadata":{}},{"name":"day","type":"date","nullable":true,"metadata":{}},` +
	`{"name":"at","type":"timestamp","nullable":true,"metadata":{}},{"name":"wall","type":"timestamp_ntz","nullable":true,"metadata":{}},` +
	`{"name":"d9","type":"decimal(9,2)","nullable":true,"metadata":{}},{"name":"d18","type":"decimal(18,0)","nullable":true,"metadata":{}},` +
	`{"name":"d38","type":"decimal(38,2)","nullable":true,"metadata":{}},{"name":"yes","type":"boolean","nullable":true,"metadata":{}},` +
	`{"name":"raw","type":"binary","nullable":true,"metadata":{}},` +
	`{"name":"in","nullable":true,"metadata":{},"type":{"type":"struct","fields":[{"name":"x","type":"integer","nullable":true,"metadata":{}},` +
	`{"name":"l","type":{"type":"array","elementType":"long","containsNull":true},"nullable":true,"metadata":{}}]}}]}`

// structTable is a table whose checkpoints hold statistics as columns.
func structTable(t *testing.T, configuration map[string]string) *Snapshot {
	t.Helper()
	s, err := Open(mem.New(), "t", Options{}).Empty().With([]Action{
		Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{"timestampNtz"}, WriterFeatures: []string{"timestampNtz"}},
		Metadata{ID: "x", SchemaString: structSchema, PartitionColumns: []string{"p", "q"}, Configuration: configuration},
		Add{Path: "a", Size: 1, PartitionValues: map[string]*string{"p": ptr("1969-12-31"), "q": ptr("-12345678901234567890123456789012345.678")}, Stats: `{"numRecords":3,"tightBounds":false,` +
			`"minValues":{"i":-9223372036854775808,"b":-128,"f":0.1,"d":"-Infinity","s":"ü","day":"0001-01-01","at":"1969-12-31T23:59:59.999-08:00","wall":"9999-12-31T23:59:59.999","d9":-0.01,"d18":999999999999999999,"d38":-99999999999999999999.99,"in":{"x":5}},` +
			`"maxValues":{"i":9223372036854775807,"b":127,"f":0.1,"d":1.5,"s":"z\u007f","day":"9999-12-31","at":"2024-02-29T00:00:00.123Z","wall":"9999-12-31T23:59:59.999","d9":0.01,"d18":999999999999999999,"d38":1E+20,"in":{"x":6}},` +
			`"nullCount":{"i":0,"b":1,"s":2,"yes":3,"raw":0,"in":{"x":1,"l":2}}}`},
		Add{Path: "b", Size: 1, PartitionValues: map[string]*string{"p": nil, "q": ptr("")}},
		Add{Path: "c", Size: 1, PartitionValues: map[string]*string{"p": nil, "q": ptr("0.000")}, Stats: `{"numRecords":1,"minValues":{"i":"x","d9":0.001,"d":"NaN","in":7},"nullCount":{"in":{"x":1.5}}}`},
		Remove{Path: "d", DeletionTimestamp: ptr(int64(1) << 60)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCheckpointStatsAsStruct: statistics and partition values survive as typed columns, alone and beside the text.
func TestCheckpointStatsAsStruct(t *testing.T) {
	for _, c := range []struct {
		asJSON, asStruct string
		text, columns    bool
	}{{"", "", true, false}, {"true", "true", true, true}, {"false", "true", false, true}, {"false", "false", false, false}} {
		s := structTable(t, map[string]string{propStatsAsJSON: c.asJSON, propStatsAsStruct: c.asStruct})
		if c.asJSON == "" {
			delete(s.metadata.Configuration, propStatsAsJSON)
		}
		var body bytes.Buffer
		if err := s.writeCheckpoint(&body); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(body.String(), "stats_parsed"); got != c.columns {
			t.Errorf("%+v: columns %v", c, got)
		}
		got := newState()
		err := scanParquet(bytes.NewReader(body.Bytes()), int64(body.Len()), "checkpoint", func(l line) error {
			var one Commit
			one.take(l)
			got.apply(one)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.adds) != 3 || len(got.removes) != 1 || got.protocol == nil {
			t.Fatalf("%+v", got)
		}
		for id, want := range s.state.adds {
			a := got.adds[id]
			if diff := cmp.Diff(want.PartitionValues, a.PartitionValues); diff != "" {
				t.Error(diff)
			}
			switch {
			case c.text && a.Stats != want.Stats, !c.text && !c.columns && a.Stats != "":
				t.Errorf("%+v: %s", c, a.Stats)
			case !c.text && c.columns:
				compareKnowledge(t, s, want, a)
			}
		}
	}
}

// compareKnowledge compares what two entries say about each column.
func compareKnowledge(t *testing.T, s *Snapshot, want, got Add) {
	t.Helper()
	for _, name := range []string{"i", "b", "f", "d", "s", "day", "at", "wall", "d9", "d18", "d38", "yes", "raw", "in.x", "in.l"} {
		column, ok := s.testedColumn(strings.Split(name, "."))
		if !ok {
			t.Fatal(name)
		}
		text := func(a Add) string {
			k := column.known(&fileFacts{add: &a})
			return fmt.Sprint(k.nulls, k.values, k.lo, k.hi)
		}
		was := text(want)
		if want.Path == "c" {
			was = "true true <nil> <nil>" // nothing in its statistics fits its column
		}
		if is := text(got); is != was {
			t.Errorf("%s of %s: %s, was %s", name, want.Path, is, was)
		}
	}
	was, known := ParseStats(want.Stats)
	is, stillKnown := ParseStats(got.Stats)
	if was.NumRecords != is.NumRecords || known != stillKnown || cmp.Diff(was.TightBounds, is.TightBounds) != "" {
		t.Errorf("%s: %+v, was %+v", want.Path, is, was)
	}
}

// TestCheckpointDifferences: nothing of a checkpoint may be other than in the commits, but for what depends on when it was written.
func TestCheckpointDifferences(t *testing.T) {
	build := func(change func(*state)) *state {
		s := newState()
		s.apply(Commit{
			Protocol: &Protocol{MinReaderVersion: 1, MinWriterVersion: 7, WriterFeatures: []string{"domainMetadata"}},
			Metadata: &Metadata{ID: "x", SchemaString: `{"type":"struct","fields":[]}`, Configuration: map[string]string{"a": "b"}},
			Adds:     []Add{{Path: "f", Size: 1}}, Removes: []Remove{{Path: "g"}},
			Txns: []SetTransaction{{AppID: "app", Version: 3}}, Domains: []DomainMetadata{{Domain: "d", Configuration: "c"}},
		})
		change(s)
		return s
	}
	for want, change := range map[string]func(*state){
		"[]": func(s *state) {
			clear(s.removes)
			s.txns["app"] = SetTransaction{AppID: "app", Version: 3, LastUpdated: ptr(int64(1))}
		},
		"[files]":            func(s *state) { s.add(Add{Path: "f", Size: 2}) },
		"[metadata domains]": func(s *state) { s.domains["d"] = DomainMetadata{Domain: "d", Configuration: "e"} },
		"[protocol]": func(s *state) {
			s.protocol = &Protocol{MinReaderVersion: 1, MinWriterVersion: 7, WriterFeatures: []string{}}
		},
		"[metadata]":     func(s *state) { s.metadata = &Metadata{ID: "x", SchemaString: s.metadata.SchemaString} },
		"[transactions]": func(s *state) { delete(s.txns, "app") },
	} {
		if got := fmt.Sprint(build(change).differences(build(func(*state) {}))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	forgetful := func(s *state) { s.metadata.Configuration[propTxnRetention] = "interval 1 day" }
	if got := build(func(s *state) { forgetful(s); clear(s.txns) }).differences(build(forgetful)); len(got) > 0 {
		t.Errorf("where transactions are forgotten: %s", got)
	}
}
