package message

import (
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

// orders is a schema of ten fields.
const orders = `{"type":"record","name":"Order","fields":[
{"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"email","type":["null","string"]},
{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
{"name":"quantity","type":"int"},{"name":"price","type":"double"},{"name":"paid","type":"boolean"},
{"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SHIPPED"]}},
{"name":"created","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"note","type":["null","string"]}]}`

func order(t testing.TB) []byte {
	b, err := avro.MustParse(orders).Encode(map[string]any{"id": int64(12345678), "customer": "customer-12345", "email": "somebody@example.com", "amount": []byte{1, 2, 3},
		"quantity": int32(3), "price": 12.5, "paid": true, "status": "PAID", "created": time.Unix(1_790_000_000, 0), "note": nil})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkRows(b *testing.B) {
	r := newRegistry(b)
	r.schemas[1] = Schema{Text: orders}
	client := r.client()
	m := &kgo.Record{Topic: "orders", Key: []byte("customer-12345"), Value: wired(1, string(order(b))).Value, Timestamp: time.UnixMilli(1_790_000_000_000)}
	rows := NewRows(Options{Dir: b.TempDir(), Origin: "orders", Value: Avro, Key: Text, Registry: client})
	defer rows.Abort()
	b.ReportAllocs()
	for b.Loop() {
		if err := rows.Add(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// Other formats, with the same ten fields.
func BenchmarkFormats(b *testing.B) {
	const text = `{"id":12345678,"customer":"customer-12345","email":"somebody@example.com","amount":"660.51","quantity":3,"price":12.5,"paid":true,"status":"PAID","created":"2026-09-21T15:33:20Z","note":null}`
	r := newRegistry(b)
	r.schemas[1] = Schema{Type: "PROTOBUF", Text: `syntax = "proto3"; import "google/protobuf/timestamp.proto"; message Order { int64 id = 1; string customer = 2; optional string email = 3; string amount = 4;
		int32 quantity = 5; double price = 6; bool paid = 7; enum Status { NEW = 0; PAID = 1; } Status status = 8; google.protobuf.Timestamp created = 9; optional string note = 10; }`}
	r.schemas[2] = Schema{Type: "JSON", Text: `{"type":"object","properties":{"id":{"type":"integer"},"customer":{"type":"string"},"price":{"type":"number"},"paid":{"type":"boolean"},"quantity":{"type":"integer"}},"required":["id"]}`}
	proto := "\x00\x08\xce\xc2\xf1\x05\x12\x0ecustomer-12345\x1a\x14somebody@example.com\x22\x06660.51\x28\x03\x31\x00\x00\x00\x00\x00\x00\x29\x40\x38\x01\x40\x01\x4a\x06\x08\x80\xa6\xc4\xd5\x06"
	for _, c := range []struct {
		format  Format
		message *kgo.Record
	}{{Protobuf, wired(1, proto)}, {JSONSchema, wired(2, text)}, {JSON, value(text)}, {Text, value(text)}} {
		b.Run(string(c.format), func(b *testing.B) {
			rows := NewRows(Options{Dir: b.TempDir(), Origin: "orders", Value: c.format, Key: Text, Registry: r.client()})
			defer rows.Abort()
			b.ReportAllocs()
			for b.Loop() {
				if err := rows.Add(b.Context(), c.message); err != nil {
					b.Fatal(err)
				}
			}
			if _, bad := rows.Rows(); bad > 0 {
				b.Fatal(rows.rejects.bad[0])
			}
		})
	}
}
