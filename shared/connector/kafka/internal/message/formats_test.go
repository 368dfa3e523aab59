package message

import (
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// encode writes a value of a schema.
func encode(t testing.TB, schema string, v any) string {
	t.Helper()
	b, err := avro.MustParse(schema).Encode(v)
	must(t, err)
	return string(b)
}

const (
	v1 = `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}`
	v2 = `{"type":"record","name":"R","fields":[{"name":"id","type":"string"},{"name":"more","type":{"type":"array","items":"int"}},
{"name":"nested","type":{"type":"record","name":"N","fields":[{"name":"x","type":["null","int","string"]},{"name":"self","type":["null","N"]}]}}]}`
)

// Each writer's schema gives its own columns, also in the middle of a page.
func TestAvroSchemas(t *testing.T) {
	r := newRegistry(t)
	r.schemas[7], r.schemas[8] = Schema{Text: v1}, Schema{Text: v2, Type: "AVRO"}
	r.schemas[9] = Schema{Text: `"string"`}
	r.schemas[10] = Schema{Text: `["null",` + v1 + `]`}
	one := func(id int64, name any) *kgo.Record {
		return wired(7, encode(t, v1, map[string]any{"id": id, "name": name}))
	}
	two := wired(8, encode(t, v2, map[string]any{"id": "x", "more": []int32{1, 2}, "nested": map[string]any{"x": "s", "self": map[string]any{"x": int32(1), "self": nil}}}))
	p := build(t, Options{Value: Avro, Key: Text, Registry: r.client()}, one(1, "a"), two, one(2, nil), wired(9, "\x02s"), wired(10, "\x00"), wired(10, "\x02\x06\x00"), &kgo.Record{})
	equal(t, "rows", p.table("_op", "_schema_id", "id", "name", "more", "nested", "value"),
		`upsert 7 1 a - - -|upsert 8 x - [1,2] {"x":"s","self":{"x":1,"self":null}} -|upsert 7 2 - - - -|upsert 9 - - - - s|upsert 10 - - - - -|upsert 10 3 - - - -|delete - - - - - -`)
	equal(t, "bad", p.errors(), "[]")
	equal(t, "requests", len(r.asked), 4)
}

func TestAvroPoison(t *testing.T) {
	r := newRegistry(t)
	r.schemas[7], r.schemas[8], r.schemas[9], r.schemas[6] = Schema{Text: v1}, Schema{Text: `{"type":"nonsense"}`}, Schema{Type: "JSON", Text: `{}`}, Schema{Text: `"a.Missing"`, References: []reference{{"a.Missing", "gone", 3}}}
	good := wired(7, encode(t, v1, map[string]any{"id": 1, "name": nil}))
	p := build(t, Options{Value: Avro, Key: Avro, Registry: r.client()}, good, value(""), value("{}"), value("\x00\x00\x00\x00"), wired(404, "x"), wired(404, "y"), wired(8, ""), wired(9, "{}"),
		wired(7, ""), wired(7, "\x02\x02\x06ab"), wired(7, "\x02\x00z"), wired(7, "\x02\x02\x02\xff"), wired(6, ""), &kgo.Record{Key: []byte("k"), Value: good.Value})
	equal(t, "rows", p.table("id", "name"), "1 -")
	equal(t, "bad", strings.Join(p.errors(), "\n"), `topic/0/1: a value without a schema id
topic/0/2: no schema id before the value: it was not written with a schema registry's serializer
topic/0/3: no schema id before the value: it was not written with a schema registry's serializer
topic/0/4: schema 404: the registry does not have it
topic/0/5: schema 404: the registry does not have it
topic/0/6: schema 8: unknown primitive "nonsense"
topic/0/7: schema 9: it is of type JSON, the stream's format is avro
topic/0/8: the value ends too early
topic/0/9: the value ends too early
topic/0/10: 1 bytes are left behind the value
topic/0/11: a string that is not UTF-8
topic/0/12: schema 6: its reference a.Missing (subject gone, version 3): the registry does not have it
topic/0/13: the key: no schema id before the value: it was not written with a schema registry's serializer`)
}

func TestAvroReferences(t *testing.T) {
	r := newRegistry(t)
	const money = `{"type":"record","name":"Money","namespace":"a.b","fields":[{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},{"name":"currency","type":"a.c.Currency"}]}`
	r.subjects["/subjects/currency/versions/2"] = Schema{Text: `{"type":"enum","name":"Currency","namespace":"a.c","symbols":["EUR","USD"]}`}
	r.subjects["/subjects/money/versions/1"] = Schema{Text: money, References: []reference{{"a.c.Currency", "currency", 2}}}
	r.schemas[1] = Schema{Text: `{"type":"record","name":"Order","namespace":"a.b","fields":[{"name":"price","type":"Money"},{"name":"in","type":"a.c.Currency"}]}`,
		References: []reference{{"a.b.Money", "money", 1}, {"a.c.Currency", "currency", 2}}}
	p := build(t, Options{Value: Avro, Key: Text, Registry: r.client()}, wired(1, "\x04\x04\xd2\x02\x00"))
	equal(t, "rows", p.table("price", "in"), `{"amount":12.34,"currency":"USD"} EUR`)
}

// What a column's type cannot hold stands beside it, as text.
func TestAvroValuesBesideTheirColumns(t *testing.T) {
	r := newRegistry(t)
	r.schemas[1] = Schema{Text: `{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}},{"name":"day","type":{"type":"int","logicalType":"date"}},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"days","type":{"type":"array","items":{"type":"int","logicalType":"date"}}},{"name":"big","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":40}}]}`}
	const far = "\xfe\xff\xff\xff\x0f" // the greatest int
	p := build(t, Options{Value: Avro, Key: Text, Registry: r.client()},
		wired(1, "\x04\x03\xe7"+"\x00"+"\x00"+"\x02\x02\x00"+"\x02\x07"),
		wired(1, "\x04\x03\xe8"+far+"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"+"\x04\x00"+far+"\x00"+"\x02\xff"))
	equal(t, "rows", p.table("d", "d__v_text", "day", "day__v_text", "at", "at__v_text", "days", "days__v_text"),
		`99.9 - 1970-01-01 - 1970-01-01T00:00:00Z - ["1970-01-02"] -|- 100.0 - 2147483647 - 9223372036854775807 - ["1970-01-01",2147483647]`)
	equal(t, "big", p.table("big"), "0.0000000000000000000000000000000000000007|-0.0000000000000000000000000000000000000001")
}

func TestAvroKeys(t *testing.T) {
	r := newRegistry(t)
	for id, schema := range []string{`"string"`, `"long"`, v1, `["null","string"]`, `{"type":"int","logicalType":"date"}`, `"bytes"`} {
		r.schemas[id+1] = Schema{Text: schema}
	}
	key := func(id int, k string) *kgo.Record { return &kgo.Record{Key: wired(id, k).Value, Value: []byte("{}")} }
	p := build(t, Options{Value: JSON, Key: Avro, Registry: r.client()}, key(1, "\x04\"x"), key(2, "\x54"), key(3, "\x02\x02\x02n"), key(4, "\x00"), key(4, "\x02\x02k"), key(5, "\x02"), key(6, "\x02\xff"))
	equal(t, "keys", p.table("_key"), `"x|42|{"id":1,"name":"n"}|-|k|1970-01-02|/w==`)
}

const protoSchema = `syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "confluent/meta.proto"; import "other/money.proto";
message Unused { message Inner { string x = 1; } }
message Order {
  message Line { string item = 1; int64 count = 2; }
  enum Status { NEW = 0; PAID = 1; }
  int64 id = 1; string name = 2; optional string note = 3; Status status = 4; google.protobuf.Timestamp at = 5; google.protobuf.Int64Value maybe = 6;
  repeated int32 numbers = 7; repeated Line lines = 8; map<string, Line> by = 9; uint64 large = 10; bytes raw = 11; double d = 12; float f = 13; bool b = 14; uint32 u = 15;
  oneof choice { string left = 16; Line right = 17; }
  other.Money price = 18 [(confluent.field_meta).doc = "what it costs"]; map<int32, double> plain = 19; repeated Status all = 20; repeated google.protobuf.Timestamp times = 21;
}`

// protoMessage writes a message from its JSON.
func protoMessage(t testing.TB, r *registry, path, text string) string {
	t.Helper()
	c, err := newProto(t.Context(), protoSchema, []named{{"other/money.proto", r.subjects["/subjects/money/versions/1"].Text}}, path)
	must(t, err)
	m := dynamicpb.NewMessage(c.message)
	must(t, protojson.UnmarshalOptions{Resolver: c.write.Resolver}.Unmarshal([]byte(text), m))
	b, err := proto.Marshal(m)
	must(t, err)
	return string(b)
}

func protoRegistry(t testing.TB) *registry {
	r := newRegistry(t)
	r.subjects["/subjects/money/versions/1"] = Schema{Text: `syntax = "proto3"; package other; message Money { int64 units = 1; string currency = 2; }`, Type: "PROTOBUF"}
	r.schemas[1] = Schema{Text: protoSchema, Type: "PROTOBUF", References: []reference{{"other/money.proto", "money", 1}}}
	return r
}

func TestProtobuf(t *testing.T) {
	r := protoRegistry(t)
	full := protoMessage(t, r, "1/", `{"id":"7","name":"n","note":"","status":"PAID","at":"2024-01-02T03:04:05.123456789Z","maybe":"3","numbers":[1,2],"lines":[{"item":"a","count":"2"}],
		"by":{"z":{"item":"b"},"k":{}},"large":"18446744073709551615","raw":"/w==","d":1.5,"f":0.1,"b":true,"u":4294967295,"right":{"count":"1"},"price":{"units":"5","currency":"EUR"},
		"plain":{"2":1.5,"1":2},"all":["PAID","NEW"],"times":["1970-01-01T00:00:01Z"]}`)
	p := build(t, Options{Value: Protobuf, Key: Protobuf, Registry: r.client()}, wired(1, "\x02\x02"+full), wired(1, "\x02\x02"), wired(1, "\x04\x00\x00\x0a\x01x"),
		&kgo.Record{Key: wired(1, "\x00").Value, Value: wired(1, "\x02\x02\x20\x63").Value}, &kgo.Record{Key: wired(1, "\x02\x02\x08\x07").Value})
	equal(t, "rows", p.table("id", "name", "note", "status", "at", "maybe", "numbers", "lines", "by", "large", "raw"),
		`7 n  PAID 2024-01-02T03:04:05.123456Z 3 [1,2] [{"item":"a","count":"2"}] {"k":{"item":"","count":"0"},"z":{"item":"b","count":"0"}} 18446744073709551615 /w==|`+
			`0  - NEW - - [] [] {} 0 |- - - - - - - - - - -|0  - 99 - - [] [] {} 0 |- - - - - - - - - - -`)
	equal(t, "more", p.table("d", "f", "b", "u", "left", "right", "price", "plain", "all", "times", "x"),
		`1.5 0.1 true 4294967295 - {"item":"","count":"1"} {"units":"5","currency":"EUR"} {"1":2,"2":1.5} ["PAID","NEW"] ["1970-01-01T00:00:01Z"] -|`+
			`0 0 false 0 - - - {} [] [] -|- - - - - - - - - - x|0 0 false 0 - - - {} [] [] -|- - - - - - - - - - -`)
	equal(t, "first types", p.types()[0], "id long, name string, note string, status string, at timestamp, maybe long, numbers array<integer>, lines string, by string, large decimal(20,0), "+
		"raw binary, d double, f float, b boolean, u long, left string, right string, price string, plain string, all array<string>, times array<timestamp>")
	keys := p.table("_key")
	if !strings.HasPrefix(keys, `-|-|-|{}|{"id":"7","name":"","status":"NEW",`) {
		t.Errorf("keys: %s", keys)
	}
}

func TestProtobufPoison(t *testing.T) {
	r := protoRegistry(t)
	r.schemas[2] = Schema{Text: `syntax = "proto3"; message`, Type: "PROTOBUF"}
	r.schemas[3] = Schema{Text: `syntax = "proto2"; message M { optional string s = 1; repeated N n = 2; } message N { required int32 i = 1; optional M m = 2; }`, Type: "PROTOBUF"}
	p := build(t, Options{Value: Protobuf, Key: Text, Registry: r.client()}, wired(1, "\x02\x02\x08"), wired(1, ""), wired(1, "\x02\x08"), wired(1, "\x01"), wired(2, "\x00"), wired(3, "\x00\x0a\x01\xff"), wired(3, "\x00\x12\x00"),
		wired(1, "\x02\x02\x2a\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x01"))
	for i, want := range []string{"cannot parse invalid wire-format data", "no path to the message's type", "it has no message 4/", "no path to the message's type", "schema 2: schema.proto", "a string that is not UTF-8", "required field N.i not set"} {
		if i >= len(p.Bad) || !strings.Contains(p.Bad[i].Error, want) {
			t.Errorf("%d: %v, want %s", i, p.errors(), want)
		}
	}
	equal(t, "far away", p.table("at", "at__v_text"), "- 9223372036854775807.000000001")
}

func TestJSONSchema(t *testing.T) {
	r := newRegistry(t)
	r.schemas[1] = Schema{Type: "JSON", Text: `{"$id":"http://shop/order.json","type":"object","properties":{"id":{"type":"integer"},"sum":{"oneOf":[{"type":"null"},{"type":"number"}]},"at":{"type":"string","format":"date-time"},
		"on":{"type":["null","boolean"]},"who":{"$ref":"customer.json"},"any":{},"tags":{"type":"array"},"code":{"type":["string","integer"]},"p":{"type":"string","pattern":"^(?!x).*$"}},"required":["id"]}`,
		References: []reference{{"customer.json", "customer", 1}}}
	r.subjects["/subjects/customer/versions/1"] = Schema{Type: "JSON", Text: `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`}
	p := build(t, Options{Value: JSONSchema, Key: JSONSchema, Registry: r.client()},
		wired(1, `{"id":1,"sum":2,"at":"2024-01-01T00:00:00Z","on":true,"who":{"name":"n"},"any":[1],"tags":["a"],"code":5,"extra":7,"p":"y"}`),
		wired(1, `{"id":1.0,"sum":null,"code":"c"}`), wired(1, `{"id":12345678901234567890,"sum":0.12345678901234567890}`),
		wired(1, `{"sum":1}`), wired(1, `{"id":"1"}`), wired(1, `{"id":1,"who":{}}`), wired(1, `{"id":1,"at":"yesterday"}`), wired(1, `{`),
		&kgo.Record{Key: wired(1, `{"id": 5}`).Value, Value: wired(1, `{"id":2}`).Value})
	equal(t, "rows", p.table("id", "id__v_text", "sum", "sum__v_text", "at", "on", "who", "any", "tags", "code", "extra", "p", "_key"),
		`1 - 2 - 2024-01-01T00:00:00Z true {"name":"n"} [1] ["a"] 5 7 y -|1 - - - - - - - - c - - -|- 12345678901234567890 - 0.12345678901234567890 - - - - - - - - -|2 - - - - - - - - - - - {"id":5}`)
	equal(t, "types", strings.Join(p.types(), "; "), "id long, sum double, at string, on boolean, who string, any string, tags string, code string, extra string, p string, id__v_text string, sum__v_text string")
	for i, want := range []string{"missing property 'id'", "at '/id': got string, want integer", "at '/who': missing property 'name'", "'yesterday' is not valid date-time", "the value is not JSON"} {
		if i >= len(p.Bad) || !strings.Contains(p.Bad[i].Error, want) {
			t.Errorf("%d: %s, want %s", i, strings.Join(p.errors(), "\n"), want)
		}
	}
	r.schemas[2] = Schema{Type: "JSON", Text: `{"type":"integer"}`}
	r.schemas[3] = Schema{Type: "JSON", Text: `{"$ref":"http://elsewhere/x.json"}`}
	p = build(t, Options{Value: JSONSchema, Key: Text, Registry: r.client()}, wired(2, "5"), wired(2, "null"), wired(3, "{}"))
	equal(t, "values that are no objects", p.table("value"), "5")
	if len(p.Bad) != 2 || !strings.Contains(p.Bad[1].Error, "http://elsewhere/x.json, which is not among its references") {
		t.Errorf("bad: %v", p.errors())
	}
}
