package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lab is a cluster to do things to.
type lab struct {
	t       testing.TB
	broker  string // its address without any security
	client  *kgo.Client
	admin   *kadm.Client
	schemas *sr.Client // nil without a registry
	url     string     // of the registry
}

var topics atomic.Int64

// newLab is the real broker, with the real registry where a test asks for it.
func newLab(t testing.TB, registry bool) *lab {
	t.Helper()
	l := labAt(t, servicetest.Kafka(t).Plaintext)
	if registry {
		l.url = servicetest.Registry(t).URL
		schemas, err := sr.NewClient(sr.URLs(l.url))
		must(t, err)
		l.schemas = schemas
	}
	return l
}

func labAt(t testing.TB, broker string) *lab {
	t.Helper()
	l := &lab{t: t, broker: broker}
	var err error
	l.client, err = kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(100*time.Millisecond))
	must(t, err)
	t.Cleanup(l.client.Close)
	l.admin = kadm.NewClient(l.client)
	return l
}

// topic makes a topic; settings are "name=value".
func (l *lab) topic(partitions int32, settings ...string) string {
	l.t.Helper()
	name := fmt.Sprintf("t%d-%s", topics.Add(1), strings.ToLower(strings.NewReplacer("/", "-", " ", "-", "_", "-").Replace(l.t.Name())))
	l.create(name, partitions, settings...)
	return name
}

func (l *lab) create(name string, partitions int32, settings ...string) {
	l.t.Helper()
	configs := map[string]*string{}
	for _, s := range settings {
		k, v, _ := strings.Cut(s, "=")
		configs[k] = &v
	}
	_, err := l.admin.CreateTopic(l.t.Context(), partitions, 1, configs, name)
	must(l.t, err)
}

// send writes messages, and waits until the broker has them.
func (l *lab) send(messages ...*kgo.Record) {
	l.t.Helper()
	must(l.t, l.client.ProduceSync(l.t.Context(), messages...).FirstErr())
}

func text(topic string, partition int32, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}
}

// numbers are messages {"id":n}, over all partitions in turn.
func numbers(topic string, partitions int32, from, n int) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		out = append(out, text(topic, int32(i)%partitions, fmt.Sprint(i), fmt.Sprintf(`{"id":%d,"name":"row %d"}`, i, i)))
	}
	return out
}

// register puts a schema into the registry, and gives the head of its messages.
func (l *lab) register(subject, text string, kind sr.SchemaType, references ...sr.SchemaReference) []byte {
	l.t.Helper()
	s, err := l.schemas.CreateSchema(l.t.Context(), subject, sr.Schema{Schema: text, Type: kind, References: references})
	must(l.t, err)
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(s.ID))
}

// set makes settings of "name=value"; lists have commas.
func set(pairs ...string) connector.Settings {
	out := connector.Settings{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		out[k] = connector.Setting{Text: v, List: strings.Split(v, ","), At: "pipeline.yaml:1:1"}
	}
	return out
}

// config is a source with the stream "s" of a topic.
func (l *lab) config(topic, format string, more ...string) connector.Config {
	settings := set("bootstrap_servers="+l.broker, "security.protocol=PLAINTEXT", "group.id=group-of-"+topic)
	if l.url != "" {
		maps.Copy(settings, set("schema_registry_url="+l.url))
	}
	stream := set("topic="+topic, "value_format="+format)
	for _, m := range more {
		if k, _, _ := strings.Cut(m, "="); slices.Contains([]string{"key_format", "max_wait"}, k) {
			maps.Copy(stream, set(m))
		} else {
			maps.Copy(settings, set(m))
		}
	}
	return connector.Config{Pipeline: "test", Name: "in", At: "pipeline.yaml:1:1", Settings: settings, Streams: map[string]connector.Settings{"s": stream},
		Secret: func(_ context.Context, ref string) (string, error) { return strings.TrimPrefix(ref, "env:"), nil }}
}

// loader loads a stream as the bronze step does: rows and position together, or neither.
type loader struct {
	t     testing.TB
	cfg   connector.Config
	limit connector.Limit
	seen  connector.Position
	rows  []map[string]string // "NULL" is not in it
	bad   []connector.Bad
	pages int
}

func newLoader(t testing.TB, cfg connector.Config) *loader { return &loader{t: t, cfg: cfg} }

func (l *loader) open() *source {
	l.t.Helper()
	src, err := New(l.t.Context(), l.cfg)
	must(l.t, err)
	return src.(*source)
}

func (l *loader) request() connector.Request {
	return connector.Request{Stream: "s", Seen: l.seen, Dir: l.t.TempDir(), Limit: l.limit}
}

// step takes in a page, of a source of its own.
func (l *loader) step(ctx context.Context) (more bool, err error) {
	src := l.open()
	defer src.Close()
	r := l.request()
	defer os.RemoveAll(r.Dir)
	page, err := src.Next(ctx, r)
	if err != nil {
		if left, _ := filepath.Glob(filepath.Join(r.Dir, "*")); len(left) > 0 {
			l.t.Errorf("a page that failed left %v", left)
		}
		return false, err
	}
	return l.take(page), nil
}

func (l *loader) take(page connector.Page) (more bool) {
	l.t.Helper()
	if page.Empty() {
		return false
	}
	l.pages++
	for _, part := range page.Parts {
		rows := readPart(l.t, part)
		if int64(len(rows)) != part.Files[0].Rows {
			l.t.Errorf("a file with %d rows, said to be %d", len(rows), part.Files[0].Rows)
		}
		l.rows = append(l.rows, rows...)
	}
	l.bad = append(l.bad, page.Bad...)
	l.bad = append(l.bad, readBad(l.t, page.BadFiles)...)
	if page.Cursor != nil {
		l.seen = connector.Position{Cursor: page.Cursor}
	}
	return page.More
}

// all loads until there is nothing more.
func (l *loader) all() {
	l.t.Helper()
	for {
		more, err := l.step(l.t.Context())
		must(l.t, err)
		if !more {
			return
		}
	}
}

// fails loads, and wants a fault.
func (l *loader) fails(kind fault.Kind, words ...string) *fault.Fault {
	l.t.Helper()
	_, err := l.step(l.t.Context())
	var f *fault.Fault
	if !errors.As(err, &f) || fault.KindOf(err) != kind {
		l.t.Fatalf("the error is %v (%s), want %s", err, fault.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error()+" | "+fault.HintOf(err), w) {
			l.t.Errorf("the fault does not say %q: %v | %s", w, err, fault.HintOf(err))
		}
	}
	if fault.HintOf(err) == "" {
		l.t.Errorf("no hint: %v", err)
	}
	return f
}

// column gives the values of a column, in the order of partition and offset.
func (l *loader) column(name string) (out []string) {
	l.sort()
	for _, r := range l.rows {
		v, ok := r[name]
		if !ok {
			v = "NULL"
		}
		out = append(out, v)
	}
	return out
}

func (l *loader) sort() {
	slices.SortStableFunc(l.rows, func(a, b map[string]string) int {
		place := func(r map[string]string) string { return fmt.Sprintf("%6s%12s", r["_partition"], r["_offset"]) }
		return strings.Compare(place(a), place(b))
	})
}

// holds checks that the rows are these, each once, by id.
func (l *loader) holds(from, n int) {
	l.t.Helper()
	seen := map[string]int{}
	for _, r := range l.rows {
		seen[r["id"]]++
	}
	for i := from; i < from+n; i++ {
		if c := seen[fmt.Sprint(i)]; c != 1 {
			l.t.Fatalf("row %d is there %d times", i, c)
		}
	}
	if len(l.rows) != n {
		l.t.Fatalf("%d rows, want %d", len(l.rows), n)
	}
}

func readPart(t testing.TB, part connector.Part) (rows []map[string]string) {
	t.Helper()
	pf, err := file.OpenParquetFile(part.Files[0].Path, false)
	must(t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4096}, memory.DefaultAllocator)
	must(t, err)
	rr, err := fr.GetRecordReader(t.Context(), nil, nil)
	must(t, err)
	defer rr.Release()
	for {
		batch, err := rr.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		must(t, err)
		for i := range int(batch.NumRows()) {
			row := map[string]string{}
			for c, name := range part.Columns {
				if a := batch.Column(c); a.IsValid(i) {
					row[name] = a.ValueStr(i)
				}
			}
			rows = append(rows, row)
		}
	}
}
