package kafka

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/shared/connector"
)

// tenFields is what an order looks like.
const tenFields = `{"type":"record","name":"Order","fields":[
{"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"email","type":["null","string"]},
{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
{"name":"quantity","type":"int"},{"name":"price","type":"double"},{"name":"paid","type":"boolean"},
{"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SHIPPED"]}},
{"name":"created","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"note","type":["null","string"]}]}`

// fill writes n orders, compressed, to the partitions of a topic.
func (l *lab) fill(topic string, partitions int32, n int) {
	l.t.Helper()
	head := l.register(topic+"-value", tenFields, sr.TypeAvro)
	s := avro.MustParse(tenFields)
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(50*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	must(l.t, err)
	defer c.Close()
	for i := range n {
		b, err := s.AppendEncode(head[:5:5], map[string]any{"id": i, "customer": fmt.Sprintf("customer-%d", i%5000), "email": fmt.Sprintf("somebody-%d@example.com", i%5000), "amount": []byte{byte(i >> 8), byte(i)},
			"quantity": i % 7, "price": float64(i) / 4, "paid": i%2 == 0, "status": []string{"NEW", "PAID", "SHIPPED"}[i%3], "created": int64(1_790_000_000_000 + i), "note": nil})
		must(l.t, err)
		c.Produce(l.t.Context(), &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Key: fmt.Appendf(nil, "customer-%d", i%5000), Value: b}, func(_ *kgo.Record, err error) {
			if err != nil {
				l.t.Error(err)
			}
		})
	}
	must(l.t, c.Flush(l.t.Context()))
}

// Rows a second by the clock and by the processor, and the most memory that the process had.
func BenchmarkNext(b *testing.B) {
	l := newLab(b, true)
	topic := l.topic(6)
	const n = 1_000_000
	l.fill(topic, 6, n)
	load := newLoader(b, l.config(topic, "avro"))
	for b.Loop() {
		src := load.open()
		debug.FreeOSMemory()
		resetPeak()
		before := peak()
		start, cpu := time.Now(), used()
		page, err := src.Next(b.Context(), connector.Request{Stream: "s", Dir: b.TempDir(), Limit: connector.Limit{Bytes: 1 << 30}})
		must(b, err)
		took, cost := time.Since(start), used()-cpu
		if rows := page.Parts[0].Files[0].Rows; rows != n {
			b.Fatalf("%d rows", rows)
		}
		b.ReportMetric(n/took.Seconds(), "rows/s")
		b.ReportMetric(n/cost.Seconds(), "rows/cpu-s")
		b.ReportMetric(float64(peak()-before)/1024, "MB-more")
		must(b, src.Close())
	}
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o644) }

// peak is the most that the process had in memory, in KiB.
func peak() (kb int) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &kb)
	}
	return kb
}

// How long it takes to open a source and to see that there is nothing new: what a loop of micro-batches does most.
func BenchmarkIdle(b *testing.B) {
	l := newLab(b, false)
	topic := l.topic(6)
	l.send(numbers(topic, 6, 0, 60)...)
	load := newLoader(b, secured(b, l, topic, "SASL_SSL", "SCRAM-SHA-512", saslTLS(b)))
	load.all()
	for b.Loop() {
		if p := load.pending(); p.Items != 0 {
			b.Fatalf("%+v", p)
		}
	}
}
