package bench_test

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

var (
	topic    = flag.String("topic", "", "the topic to make and to fill")
	messages = flag.Int64("messages", 0, "how many messages")
	brokers  = flag.String("kafka-address", "", "of the broker")
	registry = flag.String("registry-url", "", "of the schema registry")
)

const (
	partitions    = 6
	messageSchema = `{"type": "record", "name": "Order", "namespace": "bench", "fields": [
	{"name": "id", "type": "long"},
	{"name": "quantity", "type": "int"},
	{"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
	{"name": "ratio", "type": "double"},
	{"name": "active", "type": "boolean"},
	{"name": "customer", "type": "string"},
	{"name": "product", "type": "string"},
	{"name": "note", "type": ["null", "string"], "default": null},
	{"name": "day", "type": {"type": "int", "logicalType": "date"}},
	{"name": "changed_at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}`
)

// BenchmarkProduce makes a topic and fills it. The key of a message is its id, its partition the id modulo 6.
func BenchmarkProduce(b *testing.B) {
	ctx := b.Context()
	schemas, err := sr.NewClient(sr.URLs(*registry))
	if err != nil {
		b.Fatal(err)
	}
	schema, err := schemas.CreateSchema(ctx, *topic+"-value", sr.Schema{Schema: messageSchema})
	if err != nil {
		b.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(*brokers), kgo.DefaultProduceTopic(*topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, *topic); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for id := range *messages {
		client.Produce(ctx, &kgo.Record{Key: strconv.AppendInt(nil, id, 10), Value: appendMessage(nil, schema.ID, id), Partition: int32(id % partitions)}, func(_ *kgo.Record, err error) {
			if err != nil {
				stop(err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		b.Fatal(err, context.Cause(ctx))
	}
	if err := context.Cause(ctx); err != nil {
		b.Fatal(err)
	}
}

// appendMessage appends the message of an id in Avro, in Confluent's frame: the same values as those of the table, see jobs.py.
func appendMessage(dst []byte, schema int, id int64) []byte {
	text := func(s string) {
		dst = append(binary.AppendVarint(dst, int64(len(s))), s...) // Avro's integers are Go's
	}
	dst = binary.BigEndian.AppendUint32(append(dst, 0), uint32(schema))
	dst = binary.AppendVarint(dst, id)
	dst = binary.AppendVarint(dst, id%100)
	dst = append(dst, 8, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(dst[len(dst)-4:], uint32(id*7919%10_000_000))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(id%1000)/8))
	if id%3 == 0 {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	text("customer-" + strconv.FormatInt(id%100_000, 10))
	text("product-" + md5Prefix(id))
	if id%4 == 0 {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 2)
		text("a note on order " + strconv.FormatInt(id, 10))
	}
	dst = binary.AppendVarint(dst, firstDay+id%2000)
	return binary.AppendVarint(dst, firstDay*86_400_000_000+id*1_000_003)
}

const firstDay = 18_262 // 2020-01-01

func md5Prefix(id int64) string {
	sum := md5.Sum(strconv.AppendInt(nil, id, 10))
	return hex.EncodeToString(sum[:6])
}

// What the generator writes by hand is what the schema says.
func TestMessages(t *testing.T) {
	schema := avro.MustParse(messageSchema)
	for id, want := range map[int64]string{
		0: `{"id":0,"quantity":0,"amount":"\u0000","ratio":0,"active":true,"customer":"customer-0","product":"product-cfcd208495d5","note":null,"day":18262,"changed_at":1577836800000000}`,
		// the amount is 1234567 * 7919 % 10000000 = 0x63bb89, in cents
		1_234_567: `{"id":1234567,"quantity":67,"amount":"c\u00bb\u0089","ratio":70.875,"active":false,"customer":"customer-34567","product":"product-fcea920f7412","note":"a note on order 1234567","day":18829,"changed_at":1579071370703701}`,
	} {
		message := appendMessage(nil, 7, id)
		if got := fmt.Sprintf("%x", message[:5]); got != "0000000007" {
			t.Errorf("frame %s", got)
		}
		var row any
		rest, err := schema.Decode(message[5:], &row)
		if err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
		got, err := schema.EncodeJSON(row)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}
