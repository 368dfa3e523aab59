package kafka

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/functions/bronze"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store/file"
)

// bronzeRig is a lake that takes a topic in by the bronze step.
type bronzeRig struct {
	t      testing.TB
	lake   *lake.Lake
	engine *engine.Engine
	step   step.Step
	digest string
}

func newBronze(t testing.TB, l *lab, topic, stream string, limit connector.Limit) *bronzeRig {
	t.Helper()
	r := &bronzeRig{t: t}
	var err error
	r.engine, err = engine.Open(engine.Options{MemoryMB: 500, Threads: 1, TempDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, r.engine.Close()) })
	s, err := file.New(t.TempDir())
	must(t, err)
	var attempts atomic.Int64
	r.lake = lake.New(lake.Options{Store: s, Now: time.Now, NewAttempt: func() int64 { return attempts.Add(1) }, NewID: uuid.NewString, Version: "test"})
	declared := fmt.Sprintf(`name: test
lake: lake
sources:
  in:
    connector: kafka
    bootstrap_servers: ["%s"]
    schema_registry_url: %q
    security.protocol: PLAINTEXT
    group.id: group-of-%s
    streams:
      s: { topic: %s, %s }
bronze:
  raw: { stream: in.s }
`, l.broker, cmp.Or(l.url, "http://localhost"), topic, topic, stream)
	r.digest, err = r.lake.Pin(t.Context(), pipeline.Bundle{Root: "pipeline.yaml", Files: map[string]string{"pipeline.yaml": declared}})
	must(t, err)
	r.step = bronze.New(bronze.Options{Lake: r.lake, Engine: r.engine, Limit: limit, Open: func(ctx context.Context, p *pipeline.Pipeline, src pipeline.Source) (connector.Source, error) {
		return New(ctx, src.Config(p.Name))
	}})
	return r
}

func (r *bronzeRig) call(ctx context.Context) (out bronze.Output, err error) {
	in, err := json.Marshal(bronze.Input{Run: "run-1", Bundle: r.digest, Table: "bronze.raw"})
	must(r.t, err)
	raw, err := r.step.Handle(ctx, in)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return out, err
}

func (r *bronzeRig) all() (sum bronze.Output) {
	r.t.Helper()
	for sum.More = true; sum.More; {
		out, err := r.call(r.t.Context())
		must(r.t, err)
		sum.Read, sum.Accepted, sum.Rejected, sum.More = sum.Read+out.Read, sum.Accepted+out.Accepted, sum.Rejected+out.Rejected, out.More
	}
	return sum
}

// rows runs "SELECT <columns> FROM <table> <rest>".
func (r *bronzeRig) rows(table, columns, rest string) string {
	r.t.Helper()
	tab, err := r.lake.Open(r.t.Context(), table)
	must(r.t, err)
	s, err := r.engine.Session(r.t.Context())
	must(r.t, err)
	defer s.Close()
	relation, err := s.Relation(r.t.Context(), tab.Live(tab.Snap))
	must(r.t, err)
	got, err := s.Strings(r.t.Context(), fmt.Sprintf("SELECT %s FROM %s %s", columns, relation, rest))
	must(r.t, err)
	return fmt.Sprint(got)
}

// The bronze step is killed at any moment, its commits too: each message stands in the Delta table once.
func TestBronzeKills(t *testing.T) {
	t.Parallel()
	kills := 10
	if os.Getenv("LAKESTEP_LONG") != "" {
		kills = 100
	}
	l := newLab(t, false)
	topic := l.topic(2)
	r := newBronze(t, l, topic, "value_format: json", connector.Limit{Rows: 300})
	sent, killed, most := 0, 0, 500*time.Millisecond
	for tries := 0; killed < kills && tries < 20*kills; tries++ {
		l.send(numbers(topic, 2, sent, 100)...)
		sent += 100
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(most))
		start := time.Now()
		_, err := r.call(ctx)
		late := ctx.Err() != nil
		cancel()
		if err == nil {
			most = max(time.Since(start)*3/2, 10*time.Millisecond)
			continue
		}
		if killed++; !late {
			t.Fatalf("a load that was not killed: %v", err)
		}
	}
	r.all()
	equal(t, "rows, different ones, first and last", r.rows("bronze.raw", "count(*), count(DISTINCT id), min(id), max(id), count(DISTINCT _offset * 2 + _partition)", ""),
		fmt.Sprintf("[[%d %d 0 %d %d]]", sent, sent, sent-1, sent))
	t.Logf("SCORE: %s: %d of %d calls killed, %d messages each once", t.Name(), killed, killed+int(sent/100), sent)
}

const allTypes = `{"type":"record","name":"All","fields":[{"name":"_id","type":"long"},{"name":"b","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"i","type":"int"},
{"name":"s","type":"string"},{"name":"raw","type":"bytes"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"dec","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":4}},
{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"moment","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"l","type":{"type":"array","items":["null","string"]}},
{"name":"ts","type":{"type":"array","items":{"type":"long","logicalType":"timestamp-millis"}}},{"name":"m","type":{"type":"map","values":"int"}},{"name":"n","type":["null","int"]}]}`

// What a table gets of a topic: types, tombstones, values that do not fit, rejected messages.
func TestBronzeTypes(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic := l.topic(1)
	head := l.register(topic+"-value", allTypes, sr.TypeAvro)
	s := avro.MustParse(allTypes)
	at := time.Date(2024, 1, 2, 3, 4, 5, 678900000, time.UTC)
	message := func(id int64, text string, day int32) *kgo.Record {
		b, err := s.AppendEncode(head[:5:5], map[string]any{"_id": id, "b": true, "f": float32(0.1), "d": 0.1, "i": 1, "s": text, "raw": []byte{0, 255}, "e": "B", "dec": []byte{1, 0, 0}, "day": day, "moment": at,
			"l": []any{"x", nil}, "ts": []any{at}, "m": map[string]any{"k": int32(1)}, "n": nil})
		must(t, err)
		return &kgo.Record{Topic: topic, Key: []byte("key"), Value: b, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
	}
	bad := strings.Repeat("no\n\"wire\",\r\nformat ", 10)
	l.send(message(1, "a\x00b ä \"q\"", 19724), message(2, "", 2147483647), &kgo.Record{Topic: topic, Key: []byte("key")}, &kgo.Record{Topic: topic, Value: []byte(bad)})
	r := newBronze(t, l, topic, "value_format: avro", connector.Limit{})
	equal(t, "counts", fmt.Sprintf("%+v", r.all()), "{Table: Status: Version:0 Items:0 Bytes:0 Read:4 Accepted:3 Known:0 Rejected:1 More:false}")
	equal(t, "values", r.rows("bronze.raw", "x_id, b, f, d, i, replace(s, chr(0), '0'), hex(raw), e, dec::VARCHAR, day, day__v_text, moment::TIMESTAMP::VARCHAR, l::VARCHAR, ts::VARCHAR, m, n", "ORDER BY _offset"),
		`[[1 true 0.1 0.1 1 a0b ä "q" 00FF B 6.5536 2024-01-02T00:00:00Z  2024-01-02 03:04:05.6789 [x, NULL] ['2024-01-02 03:04:05.678+00'] {"k":1} ] `+
			`[2 true 0.1 0.1 1  00FF B 6.5536  2147483647 2024-01-02 03:04:05.6789 [x, NULL] ['2024-01-02 03:04:05.678+00'] {"k":1} ] `+
			`[               ]]`)
	equal(t, "own columns", r.rows("bronze.raw", "_op, _topic, _partition, _offset, _key, _headers, _schema_id IS NOT NULL, _timestamp > TIMESTAMPTZ '2020-01-01', _source_file", "ORDER BY _offset"),
		fmt.Sprintf(`[[upsert %[1]s 0 0 key [["h","v"]] true true %[1]s] [upsert %[1]s 0 1 key [["h","v"]] true true %[1]s] [delete %[1]s 0 2 key  false true %[1]s]]`, topic))
	equal(t, "rejected", r.rows(lake.RejectedTable, "stream, file, line, raw_text = "+engine.Literal(bad)+", error", ""),
		fmt.Sprintf("[[in.s %s/0/3 0 true no schema id before the value: it was not written with a schema registry's serializer]]", topic))
	tab, err := r.lake.Open(t.Context(), "bronze.raw")
	must(t, err)
	types := map[string]string{}
	for _, f := range tab.Snap.Schema().Fields {
		types[f.Name] = f.Type.String()
	}
	for name, want := range map[string]string{"x_id": "long", "b": "boolean", "f": "float", "d": "double", "i": "integer", "s": "string", "raw": "binary", "dec": "decimal(38,4)", "day": "date", "moment": "timestamp",
		"l": "array<string>", "ts": "array<timestamp>", "m": "string", "n": "integer", "_offset": "long", "_partition": "integer", "_timestamp": "timestamp"} {
		if types[name] != want {
			t.Errorf("column %s is %s, want %s", name, types[name], want)
		}
	}
}
