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
