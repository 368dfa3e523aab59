package servicetest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/lakestep/lakestep/tools/servicetest"
)

func kafkaClient(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func aMinute(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func makeTopic(t *testing.T, address, topic string) {
	t.Helper()
	admin := kadm.NewClient(kafkaClient(t, kgo.SeedBrokers(address)))
	if _, err := admin.CreateTopic(aMinute(t), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, topic, value string, options ...kgo.Opt) {
	t.Helper()
	c := kafkaClient(t, options...)
	if err := c.ProduceSync(aMinute(t), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume reads so many records from the start of a topic.
func consume(t *testing.T, topic string, n int, options ...kgo.Opt) (values []string) {
	t.Helper()
	c := kafkaClient(t, append(options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	for ctx := aMinute(t); len(values) < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestKafka(t *testing.T) {
	k := servicetest.Kafka(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(k.CA))
	encrypted := kgo.DialTLSConfig(&tls.Config{RootCAs: pool})
	mechanisms := map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: k.User, Pass: k.Password}.AsMechanism(),
		"SCRAM-SHA-256": scram.Auth{User: k.User, Pass: k.Password}.AsSha256Mechanism(),
		"SCRAM-SHA-512": scram.Auth{User: k.User, Pass: k.Password}.AsSha512Mechanism(),
	}
	ways := map[string][]kgo.Opt{
		"plaintext": {kgo.SeedBrokers(k.Plaintext)},
		"TLS":       {kgo.SeedBrokers(k.TLS), encrypted},
	}
	for name, m := range mechanisms {
		ways[name] = []kgo.Opt{kgo.SeedBrokers(k.SASLPlaintext), kgo.SASL(m)}
		ways[name+" over TLS"] = []kgo.Opt{kgo.SeedBrokers(k.SASLTLS), encrypted, kgo.SASL(m)}
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			topic := "ways." + strings.ReplaceAll(name, " ", "-")
			makeTopic(t, k.Plaintext, topic)
			produce(t, topic, name, way...)
			if got := consume(t, topic, 1, way...); got[0] != name {
				t.Errorf("consumed %q", got)
			}
		})
	}
}

// The users have no other password.
func TestKafkaRefuses(t *testing.T) {
	k := servicetest.Kafka(t)
	for name, m := range map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: k.User, Pass: "wrong"}.AsMechanism(),
		"SCRAM-SHA-256": scram.Auth{User: k.User, Pass: "wrong"}.AsSha256Mechanism(),
	} {
		c := kafkaClient(t, kgo.SeedBrokers(k.SASLPlaintext), kgo.SASL(m), kgo.RequestRetries(0))
		if err := c.Ping(aMinute(t)); err == nil || !strings.Contains(fmt.Sprint(err), "SASL_AUTHENTICATION_FAILED") {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
}

func TestKafkaStopsAndStarts(t *testing.T) {
	t.Parallel()
	k := servicetest.OwnKafka(t, "message.max.bytes=2000")
	makeTopic(t, k.Plaintext, "x")
	produce(t, "x", "before", kgo.SeedBrokers(k.Plaintext))
	k.Stop(t)
	if c, err := net.Dial("tcp", k.Plaintext); err == nil {
		c.Close()
		t.Error("a stopped broker takes connections")
	}
	k.Start(t)
	produce(t, "x", "between", kgo.SeedBrokers(k.Plaintext))
	k.Kill(t)
	k.Start(t)
	produce(t, "x", "after", kgo.SeedBrokers(k.Plaintext))
	if got := consume(t, "x", 3, kgo.SeedBrokers(k.Plaintext)); strings.Join(got, " ") != "before between after" {
		t.Errorf("consumed %q", got)
	}
	large := &kgo.Record{Topic: "x", Value: make([]byte, 10_000)}
	c := kafkaClient(t, kgo.SeedBrokers(k.Plaintext), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := c.ProduceSync(aMinute(t), large).FirstErr(); err == nil {
		t.Error("the broker took more than message.max.bytes")
	}
}
