package kafka

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

const (
	order1 = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}`
	order2 = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"paid","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}]}`
)

// avros are messages of a schema with the ids from..from+n-1.
func avros(t testing.TB, topic string, partitions int32, head []byte, schema string, from, n int) (out []*kgo.Record) {
	t.Helper()
	s := avro.MustParse(schema)
	for i := from; i < from+n; i++ {
		b, err := s.AppendEncode(head[:len(head):len(head)], map[string]any{"id": i, "name": fmt.Sprintf("row %d", i), "paid": int64(i) * 1000})
		must(t, err)
		out = append(out, &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Key: fmt.Append(nil, i), Value: b})
	}
	return out
}

// The schema changes in the middle of a page: both kinds of rows come, each with its columns.
func TestSchemaEvolution(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic := l.topic(1)
	one, two := l.register(topic+"-value", order1, sr.TypeAvro), l.register(topic+"-value", order2, sr.TypeAvro)
	for i := range 5 {
		l.send(avros(t, topic, 1, one, order1, i*20, 10)...)
		l.send(avros(t, topic, 1, two, order2, i*20+10, 10)...)
	}
	load := newLoader(t, l.config(topic, "avro"))
	load.all()
	load.holds(0, 100)
	equal(t, "pages", load.pages, 1)
	equal(t, "paid", load.column("paid")[9:11], "[NULL 1970-01-01T00:00:10Z]")
	ids := map[string]int{}
	for _, id := range load.column("_schema_id") {
		ids[id]++
	}
	equal(t, "schemas", len(ids), 2)
}

func TestRegistryFormats(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic := l.topic(1)
	l.register(topic+"-money", `syntax = "proto3"; package shop; message Money { int64 units = 1; string currency = 2; }`, sr.TypeProtobuf)
	proto := l.register(topic+"-value", `syntax = "proto3"; package shop; import "money.proto"; message Other {} message Order { int32 id = 1; Money price = 2; }`, sr.TypeProtobuf,
		sr.SchemaReference{Name: "money.proto", Subject: topic + "-money", Version: 1})
	l.send(&kgo.Record{Topic: topic, Value: append(proto, "\x02\x02\x08\x07\x12\x07\x08\x05\x12\x03EUR"...)})
	load := newLoader(t, l.config(topic, "protobuf"))
	load.all()
	equal(t, "protobuf", load.column("id")[0]+load.column("price")[0], `7{"units":"5","currency":"EUR"}`)

	topic = l.topic(1)
	l.register(topic+"-who", `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`, sr.TypeJSON)
	json := l.register(topic+"-value", `{"type":"object","properties":{"id":{"type":"integer"},"who":{"$ref":"who.json"}}}`, sr.TypeJSON, sr.SchemaReference{Name: "who.json", Subject: topic + "-who", Version: 1})
	key := l.register(topic+"-key", `{"type":"record","name":"K","fields":[{"name":"k","type":"int"}]}`, sr.TypeAvro)
	for _, v := range []string{`{"id":1,"who":{"name":"n"}}`, `{"id":2,"who":{}}`} {
		l.send(&kgo.Record{Topic: topic, Key: append(key[:5:5], 4), Value: append(json[:5:5], v...)})
	}
	load = newLoader(t, l.config(topic, "json_schema", "key_format=avro"))
	load.all()
	equal(t, "json_schema", load.column("id")[0]+load.column("who")[0]+load.column("_key")[0], `1{"name":"n"}{"k":2}`)
	if len(load.rows) != 1 || len(load.bad) != 1 || load.bad[0].Key != topic+"/0/1" {
		t.Errorf("%d rows, bad %v", len(load.rows), load.bad)
	}
}

// The registry goes away: nothing is consumed, nothing rejected; when it is back, the load goes on.
func TestRegistryGoesAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic := l.topic(1)
	head := l.register(topic+"-value", order1, sr.TypeAvro)
	l.send(avros(t, topic, 1, head, order1, 0, 10)...)
	load := newLoader(t, l.config(topic, "avro", "schema_registry_url=http://"+nobody(t)))
	load.fails(fault.Unavailable, "schema registry", "schema_registry_url")
	if load.pages != 0 || len(load.bad) != 0 {
		t.Errorf("%d pages, %d bad", load.pages, len(load.bad))
	}
	load.cfg = l.config(topic, "avro")
	load.all()
	load.holds(0, 10)
}

func TestGuardedRegistry(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic := l.topic(1)
	head := l.register(topic+"-value", order1, sr.TypeAvro)
	l.send(avros(t, topic, 1, head, order1, 0, 10)...)
	guarded := servicetest.Registry(t).Guarded(t, "loader", "registry-secret")
	with := func(more ...string) connector.Config {
		return l.config(topic, "avro", append(more, "schema_registry_url="+guarded)...)
	}
	load := newLoader(t, with("schema_registry_username=loader", "schema_registry_password=env:wrong"))
	f := load.fails(fault.InvalidInput, "schema_registry_username (pipeline.yaml:1:1), schema_registry_password from env:wrong")
	if strings.Contains(f.Error()+f.Hint, " wrong") {
		t.Error(f)
	}
	newLoader(t, with()).fails(fault.InvalidInput)
	load = newLoader(t, with("schema_registry_username=env:loader", "schema_registry_password=env:registry-secret"))
	load.all()
	load.holds(0, 10)
}

func TestExplore(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	topic, other, plain := l.topic(3), l.topic(1), l.topic(2)
	head := l.register(topic+"-value", order2, sr.TypeAvro)
	l.register(other+"-value", `syntax = "proto3"; message M { int32 x = 1; }`, sr.TypeProtobuf)
	l.send(avros(t, topic, 3, head, order2, 0, 30)...)
	cfg := l.config(topic, "avro")
	cfg.Streams["other"] = set("topic="+other, "value_format=avro")
	cfg.Streams["plain"] = set("topic="+plain, "value_format=text")
	load := newLoader(t, cfg)
	src := load.open()
	defer src.Close()

	all, err := src.Discover(t.Context())
	must(t, err)
	found := map[string]connector.Discovered{}
	for _, d := range all {
		found[d.Name] = d
	}
	equal(t, "avro", fmt.Sprintf("%+v", found[topic]), fmt.Sprintf("{Name:%s Columns:[{Name:id Type:long} {Name:name Type:string} {Name:paid Type:timestamp}] Key:[] Items:3 Unit:partitions Rows:30 Bytes:0 Modes:[avro] Stream:s}", topic))
	equal(t, "text", fmt.Sprintf("%+v", found[plain]), fmt.Sprintf("{Name:%s Columns:[{Name:value Type:string}] Key:[] Items:2 Unit:partitions Rows:0 Bytes:0 Modes:[text] Stream:plain}", plain))
	if _, ok := found["__consumer_offsets"]; ok {
		t.Error("an internal topic")
	}

	var bad []connector.Finding
	for _, f := range src.Check(t.Context()) {
		if !f.OK {
			bad = append(bad, f)
		}
	}
	if len(bad) != 1 || !strings.Contains(bad[0].Detail, "is protobuf, value_format is avro") || !strings.Contains(bad[0].Hint, "value_format: protobuf") {
		t.Errorf("check: %+v", bad)
	}

	before := load.pending()
	r := load.request()
	r.Limit.Rows = 5
	page, err := src.Preview(t.Context(), r)
	must(t, err)
	if page.Cursor != nil || page.More {
		t.Errorf("a preview moves: %+v", page)
	}
	load.take(page)
	equal(t, "rows of the preview", len(load.rows), 5)
	equal(t, "pending", load.pending(), before)
	r = connector.Request{Stream: "plain", Dir: t.TempDir()}
	page, err = src.Preview(t.Context(), r)
	must(t, err)
	if !page.Empty() {
		t.Errorf("a preview of nothing: %+v", page)
	}
	cfg.Streams["gone"] = set("topic=no-such-topic", "value_format=text")
	maps.Copy(cfg.Settings, set("schema_registry_url=http://"+nobody(t)))
	src = newLoader(t, cfg).open()
	defer src.Close()
	bad = nil
	for _, f := range src.Check(t.Context()) {
		if !f.OK {
			bad = append(bad, f)
		}
	}
	if len(bad) != 2 || bad[0].Hint == "" || bad[1].Hint == "" {
		t.Errorf("check: %+v", bad)
	}
}
