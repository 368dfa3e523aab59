package kafka

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
	"github.com/lakestep/lakestep/tools/servicetest"
)

const (
	rowSchema   = `{"type":"record","name":"Row","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}`
	extraSchema = `{"type":"record","name":"Row","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"extra","type":["null","string"]}]}`
	oddSchema   = `{"type":"record","name":"Row","fields":[{"name":"id","type":"long"},{"name":"odd","type":{"type":"map","values":["null","string","long"]}}]}`
)

// topicRig is a topic of Avro on the real broker, read over TLS by a user of its own.
type topicRig struct {
	*lab
	name string
	ids  int
	user string
}

var users atomic.Int64

// setPassword makes a SCRAM user, or gives it another password.
func (r *topicRig) setPassword(t testing.TB, password string) {
	t.Helper()
	results, err := r.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: r.user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	must(t, err)
	must(t, results.Error())
	settle(t, func() bool { // the broker hears of it a little later
		c, err := kgo.NewClient(kgo.SeedBrokers(servicetest.Kafka(t).SASLPlaintext), kgo.SASL(scram.Auth{User: r.user, Pass: password}.AsSha512Mechanism()))
		must(t, err)
		defer c.Close()
		return c.Ping(t.Context()) == nil
	})
}

// write writes n rows of a schema, and gives their ids.
func (r *topicRig) write(schema string, n int, fields func(id int64) map[string]any) (ids []string) {
	r.t.Helper()
	head := r.register(r.name+"-value", schema, sr.TypeAvro)
	s := avro.MustParse(schema)
	var messages []*kgo.Record
	for range n {
		r.ids++
		ids = append(ids, strconv.Itoa(r.ids))
		b, err := s.AppendEncode(head[:5:5], fields(int64(r.ids)))
		must(r.t, err)
		messages = append(messages, &kgo.Record{Topic: r.name, Partition: int32(r.ids % 3), Key: []byte(strconv.Itoa(r.ids)), Value: b})
	}
	r.send(messages...)
	return ids
}

func (r *topicRig) named(id int64) map[string]any {
	return map[string]any{"id": id, "name": fmt.Sprintf("name of %d", id), "extra": "more"}
}

func (r *topicRig) rig(open func(context.Context) (connector.Source, error)) connectortest.Rig {
	return connectortest.Rig{
		Open: open, Stream: "s", Limit: connector.Limit{Rows: 5}, Secrets: []string{"scram-secret", "another-secret", servicetest.Kafka(r.t).Password},
		Append: func(_ testing.TB, n int) []string { return r.write(rowSchema, n, r.named) },
		Bulk: func(_ testing.TB, n int) {
			for n > 0 {
				some := min(n, 50_000)
				r.write(rowSchema, some, r.named)
				n -= some
			}
		},
		SchemaChange: func(_ testing.TB, n int) ([]string, string) { return r.write(extraSchema, n, r.named), "extra" },
		UnknownType: func(_ testing.TB, n int) (map[string]string, string) {
			texts := map[string]string{}
			for _, id := range r.write(oddSchema, n, func(id int64) map[string]any {
				return map[string]any{"id": id, "odd": map[string]any{"k": id}}
			}) {
				texts[id] = fmt.Sprintf(`{"k":%s}`, id)
			}
			return texts, "odd"
		},
		Malformed: func(_ testing.TB, n int) {
			for i := range n {
				r.send(&kgo.Record{Topic: r.name, Value: fmt.Appendf(nil, "no wire format %d", i)})
			}
		},
	}
}

// Not beside other tests: it counts goroutines.
func TestConformance(t *testing.T) {
	connectortest.Run(t, func(t *testing.T) connectortest.Rig {
		if name := filepath.Base(t.Name()); name == "unavailable" || name == "slow" {
			return troubled(t, name == "slow")
		}
		if name := filepath.Base(t.Name()); name == "everything_once" || name == "expired_credentials" || name == "rotated_credentials" {
			return scramRig(t)
		}
		l := newLab(t, true)
		r := &topicRig{lab: l, name: l.topic(3)}
		cfg := secured(t, l, r.name, "SASL_SSL", "PLAIN", servicetest.Kafka(t).SASLTLS)
		cfg.Streams["s"]["value_format"] = connector.Setting{Text: "avro"}
		return r.rig(func(ctx context.Context) (connector.Source, error) { return New(ctx, cfg) })
	})
}

// scramRig reads by a user of its own, whose password changes.
func scramRig(t *testing.T) connectortest.Rig {
	l := newLab(t, true)
	r := &topicRig{lab: l, name: l.topic(3), user: fmt.Sprintf("user%d", users.Add(1))}
	r.setPassword(t, "scram-secret")
	cfg := secured(t, l, r.name, "SASL_SSL", "SCRAM-SHA-512", servicetest.Kafka(t).SASLTLS, "sasl.username="+r.user)
	cfg.Streams["s"]["value_format"] = connector.Setting{Text: "avro"}
	vault := connectortest.NewVault(map[string]string{"env:KAFKA_PASSWORD": "scram-secret"})
	vault.Serve(&cfg)
	rig := r.rig(func(ctx context.Context) (connector.Source, error) { return New(ctx, cfg) })
	rig.ExpireAuth = func(t testing.TB) func() {
		r.setPassword(t, "another-secret")
		return func() { r.setPassword(t, "scram-secret") }
	}
	rig.Rotate = func(t testing.TB) {
		r.setPassword(t, "another-secret")
		vault.Put("env:KAFKA_PASSWORD", "another-secret")
	}
	return rig
}

// troubled is a rig of a broker that goes away, or that is slow: of its own, and the slow one is no real broker.
func troubled(t *testing.T, slow bool) connectortest.Rig {
	schemas := newLab(t, true)
	var l *lab
	var broker *servicetest.KafkaBroker
	var fake *kfake.Cluster
	if slow {
		fake = kfake.MustCluster(kfake.NumBrokers(2))
		t.Cleanup(fake.Close)
		l = labAt(t, fake.ListenAddrs()[0])
	} else {
		broker = servicetest.OwnKafka(t)
		l = labAt(t, broker.Plaintext)
	}
	l.schemas, l.url = schemas.schemas, schemas.url
	r := &topicRig{lab: l, name: l.topic(3)}
	cfg := l.config(r.name, "avro")
	rig := r.rig(func(ctx context.Context) (connector.Source, error) { return New(ctx, cfg) })
	if slow {
		rig.Slow = func(testing.TB) func() {
			var over atomic.Bool
			fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
				fake.KeepControl()
				fake.SleepControl(func() {
					for i := 0; i < 600 && !over.Load(); i++ {
						time.Sleep(100 * time.Millisecond)
					}
				})
				return nil, nil, false
			})
			return func() { over.Store(true) }
		}
	} else {
		rig.Break = func(t testing.TB) func() {
			broker.Kill(t)
			return func() { broker.Start(t) }
		}
	}
	return rig
}
