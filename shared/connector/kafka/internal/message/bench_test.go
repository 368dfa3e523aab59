package message

import (
	"testing"
	"time"

	"github.com/twmb/avro"
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

func BenchmarkAvroDecode(b *testing.B) {
	payload := order(b)
	codec, err := newAvro(orders, nil)
	if err != nil {
		b.Fatal(err)
	}
	var in input
	row := make([]cell, len(codec.cols))
	b.ReportAllocs()
	for b.Loop() {
		if err := codec.decode(&in, payload, row); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAvroOracle(b *testing.B) {
	payload, schema := order(b), avro.MustParse(orders)
	b.ReportAllocs()
	for b.Loop() {
		var v any
		if _, err := schema.Decode(payload, &v); err != nil {
			b.Fatal(err)
		}
	}
}
