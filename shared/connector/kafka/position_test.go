package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

func (l *loader) cursor() (p position) {
	l.t.Helper()
	must(l.t, json.Unmarshal(l.seen.Cursor, &p))
	return p
}

func (l *loader) put(p position) {
	b, err := json.Marshal(p)
	must(l.t, err)
	l.seen.Cursor = b
}

func (l *loader) pending() connector.Backlog {
	l.t.Helper()
	src := l.open()
	defer src.Close()
	b, err := src.Pending(l.t.Context(), "s", l.seen)
	must(l.t, err)
	return b
}

// A load is killed at any moment, page after page, while messages keep coming: each stands in the table once.
func TestKills(t *testing.T) {
	t.Parallel()
	kills := 10
	if os.Getenv("LAKESTEP_LONG") != "" {
		kills = 100
	}
	l := newLab(t, false)
	topic := l.topic(3)
	const batch = 500
	load := newLoader(t, l.config(topic, "json"))
	load.limit.Rows = batch * 2
	sent, killed, most := 0, 0, 60*time.Millisecond
	for tries := 0; killed < kills && tries < 20*kills; tries++ {
		l.send(numbers(topic, 3, sent, batch)...)
		sent += batch
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(most))
		start := time.Now()
		_, err := load.step(ctx)
		cancel()
		if err == nil {
			most = max(time.Since(start), time.Millisecond) // so that about every second one is killed
			continue
		}
		if killed++; fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("a killed load: %v", err)
		}
	}
	load.all()
	load.holds(0, sent)
	t.Logf("SCORE: %s: %d loads of %d killed, %d messages each once", t.Name(), killed, load.pages+killed, sent)
}

// A new partition is read from its beginning, whatever auto.offset.reset says.
func TestPartitionGrowth(t *testing.T) {
	t.Parallel()
	for _, reset := range []string{"earliest", "latest"} {
		l := newLab(t, false)
		topic := l.topic(1)
		load := newLoader(t, l.config(topic, "json", "auto.offset.reset="+reset))
		l.send(numbers(topic, 1, -5, 5)...)
		load.all()
		load.rows = nil
		l.send(numbers(topic, 1, 0, 10)...)
		_, err := l.admin.CreatePartitions(t.Context(), 2, topic)
		must(t, err)
		settle(t, func() bool { return len(load.partitions()) == 3 })
		labAt(t, l.broker).send(numbers(topic, 3, 10, 30)...) // whose client knows of them
		if b := load.pending(); b.Items != 3 || b.Rows != 40 {
			t.Errorf("pending: %+v", b)
		}
		load.all()
		load.holds(0, 40)
	}
}

func (l *loader) partitions() []leader {
	src := l.open()
	defer src.Close()
	t, err := src.topic(l.t.Context(), src.streams["s"].topic)
	if err != nil {
		return nil
	}
	return t.partitions
}

func settle(t testing.TB, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("what was waited for did not come")
}

// A topic that is read from its end on: what comes behind the first look counts.
func TestLatest(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(2)
	l.send(numbers(topic, 2, 0, 10)...)
	load := newLoader(t, l.config(topic, "json", "auto.offset.reset=latest"))
	if b := load.pending(); b.Items == 0 || b.Rows != 0 {
		t.Errorf("before the first look nothing would make a run look: %+v", b)
	}
	load.all()
	if len(load.rows) != 0 || load.pages != 1 {
		t.Errorf("%d rows, %d pages", len(load.rows), load.pages)
	}
	l.send(numbers(topic, 2, 10, 10)...)
	load.all()
	load.holds(10, 10)
	again := newLoader(t, l.config(topic, "json", "auto.offset.reset=latest"))
	src := again.open()
	defer src.Close()
	r := again.request()
	r.Refresh = true
	page, err := src.Next(t.Context(), r)
	must(t, err)
	again.take(page)
	again.holds(0, 20)
}

func TestRetentionGap(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(2)
	l.send(numbers(topic, 2, 0, 20)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	l.send(numbers(topic, 2, 20, 20)...)
	must(t, l.deleteBefore(topic, 1, 13))
	f := load.fails(fault.SourceLost, "3 messages of partition 1", "position is offset 10", "begins at 13", topic, "--full-refresh", "pipeline.yaml:1:1")
	if !strings.Contains(f.Error(), "deleted before they were read") {
		t.Error(f)
	}
	src := load.open()
	defer src.Close()
	if _, err := src.Pending(t.Context(), "s", load.seen); fault.KindOf(err) != fault.SourceLost {
		t.Errorf("pending: %v", err)
	}
	must(t, l.deleteBefore(topic, 0, 10)) // what has been read may go
	fresh := newLoader(t, l.config(topic, "json"))
	fresh.all()
	equal(t, "what is left", len(fresh.rows), 10+7)
}

func (l *lab) deleteBefore(topic string, partition int32, offset int64) error {
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
	r, err := l.admin.DeleteRecords(l.t.Context(), offsets)
	if err == nil {
		err = r.Error()
	}
	return err
}

func TestRecreatedTopic(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 5)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	_, err := l.admin.DeleteTopic(t.Context(), topic)
	must(t, err)
	settle(t, func() bool { return len(load.partitions()) == 0 })
	load.fails(fault.SourceLost, "the topic is gone")
	newLoader(t, l.config(topic, "json")).fails(fault.InvalidInput, "no such topic")
	l.create(topic, 1)
	l.client.PurgeTopicsFromClient(topic)
	l.send(numbers(topic, 1, 5, 20)...)
	load.fails(fault.SourceLost, "deleted and made anew", "position 0:5")
}

// Positions of other places are refused, whatever their offsets.
func TestForeignPositions(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 5)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	good := load.cursor()
	for _, c := range []struct {
		change func(*position)
		words  string
	}{
		{func(p *position) { p.Cluster = "another" }, "is one of cluster another"},
		{func(p *position) { p.Topic = "another" }, "loaded from the topic another"},
		{func(p *position) { p.Offsets = map[int32]int64{0: 9} }, "partition 0 ends at offset 5, and was read to offset 9: the last 4 messages"},
		{func(p *position) { p.Offsets = map[int32]int64{0: 5, 3: 1} }, "partition 3, which was read to offset 1, is gone"},
		{func(p *position) { p.Version = 2 }, "not one of a topic"},
	} {
		p := good
		c.change(&p)
		load.put(p)
		load.fails(fault.SourceLost, c.words)
	}
}

// transact writes messages in a transaction, and commits or aborts it.
func (l *lab) transact(id string, commit bool, messages ...*kgo.Record) {
	l.t.Helper()
	l.begin(id, messages...)(commit)
	l.decided(messages[0].Topic)
}

// decided waits until no transaction is open in a topic: the broker answers before it has put the end of one into the log.
func (l *lab) decided(topic string) {
	l.t.Helper()
	settle(l.t, func() bool {
		stable, err := l.admin.ListCommittedOffsets(l.t.Context(), topic)
		must(l.t, err)
		ends, err := l.admin.ListEndOffsets(l.t.Context(), topic)
		must(l.t, err)
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(topic, o.Partition)
			open = open || s.Offset != o.Offset
		})
		return !open
	})
}

// begin opens a transaction with messages in it, which end commits or aborts.
func (l *lab) begin(id string, messages ...*kgo.Record) (end func(commit bool)) {
	l.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(l.broker), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(100*time.Millisecond))
	must(l.t, err)
	must(l.t, c.BeginTransaction())
	must(l.t, c.ProduceSync(l.t.Context(), messages...).FirstErr())
	return func(commit bool) {
		l.t.Helper()
		defer c.Close()
		must(l.t, c.EndTransaction(l.t.Context(), kgo.TransactionEndTry(commit)))
	}
}

// Aborted messages are not read, open ones not yet, and a topic that ends in either comes to its end.
func TestTransactions(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	load, dirty := newLoader(t, l.config(topic, "json")), newLoader(t, l.config(topic, "json", "isolation.level=read_uncommitted"))
	id := topic
	l.transact(id, true, numbers(topic, 1, 0, 3)...)
	l.transact(id, false, numbers(topic, 1, 100, 3)...)
	l.transact(id, true, numbers(topic, 1, 3, 3)...)
	l.transact(id, false, numbers(topic, 1, 200, 3)...)
	load.all()
	load.holds(0, 6)
	equal(t, "the position is behind the last control record", load.cursor(), position{1, load.cursor().Cluster, topic, load.cursor().TopicID, map[int32]int64{0: 16}, map[int32]int32{0: 0}})
	if b := load.pending(); b.Items != 0 {
		t.Errorf("pending: %+v", b)
	}
	l.transact(id, false, numbers(topic, 1, 300, 3)...)
	if b := load.pending(); b.Rows != 4 {
		t.Errorf("pending: %+v", b)
	}
	load.all() // nothing but the position comes of it
	load.holds(0, 6)
	equal(t, "position", load.cursor().Offsets[0], 20)

	end := l.begin(id, numbers(topic, 1, 6, 3)...)
	aborted := l.begin(id+"-other", numbers(topic, 1, 400, 3)...)
	l.send(numbers(topic, 1, 9, 3)...)
	aborted(false) // before the open one's end: its marker lies behind what can be read
	load.all()
	load.holds(0, 6)
	end(true)
	l.decided(topic)
	load.all()
	load.holds(0, 12)
	dirty.all()
	equal(t, "uncommitted rows", len(dirty.rows), 12+12)
}

// Who has read uncommitted messages may go over to committed ones: where an open transaction is before the position, there is nothing to read.
func TestPositionBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	end := l.begin(topic, numbers(topic, 1, 0, 3)...)
	l.send(numbers(topic, 1, 3, 3)...)
	load := newLoader(t, l.config(topic, "json", "isolation.level=read_uncommitted"))
	load.all()
	load.holds(0, 6)
	load.cfg = l.config(topic, "json")
	load.all()
	end(true)
	l.decided(topic)
	l.send(numbers(topic, 1, 6, 3)...)
	load.all()
	load.holds(0, 9)
}

// A compacted topic has gaps, also at its end.
func TestCompacted(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1, "cleanup.policy=compact", "min.cleanable.dirty.ratio=0.0", "segment.ms=100", "delete.retention.ms=0", "min.compaction.lag.ms=0", "max.compaction.lag.ms=100")
	load := newLoader(t, l.config(topic, "json"))
	for range 3 {
		for i := range 10 {
			l.send(text(topic, 0, fmt.Sprint(i), fmt.Sprintf(`{"id":%d}`, i)))
		}
	}
	time.Sleep(150 * time.Millisecond)
	l.send(text(topic, 0, "10", `{"id":10}`))
	compacted := func() bool {
		load = newLoader(t, l.config(topic, "json"))
		load.all()
		return len(load.rows) < 31
	}
	settle(t, func() bool { time.Sleep(200 * time.Millisecond); return compacted() })
	equal(t, "position", load.cursor().Offsets[0], 31)
	ids := map[string]bool{}
	for _, id := range load.column("id") {
		ids[id] = true
	}
	equal(t, "keys", len(ids), 11)
	l.send(text(topic, 0, "11", `{"id":11}`))
	load.all()
	equal(t, "new", load.column("id")[len(load.rows)-1], "11")
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(2)
	l.send(numbers(topic, 2, 0, 20)...)
	load := newLoader(t, l.config(topic, "json"))
	load.limit.Rows = 8
	src := load.open()
	defer src.Close()
	_, err := load.step(t.Context())
	must(t, err)
	first := load.seen
	load.all()
	must(t, src.Acknowledge(t.Context(), "s", connector.Position{}))
	must(t, src.Acknowledge(t.Context(), "s", load.seen))
	must(t, src.Acknowledge(t.Context(), "s", first)) // late
	group := "group-of-" + topic
	got, err := l.admin.FetchOffsets(t.Context(), group)
	must(t, err)
	for partition := range int32(2) {
		if o, ok := got.Lookup(topic, partition); !ok || o.At != 10 {
			t.Errorf("partition %d: %+v", partition, o)
		}
	}
	lag, err := l.admin.Lag(t.Context(), group)
	must(t, err)
	if n := lag[group].Lag.Total(); n != 0 {
		t.Errorf("lag %d", n)
	}
}

// A group that others consume by cannot be told; the rows are safe all the same.
func TestAcknowledgeToAGroupInUse(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 5)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	other, err := kgo.NewClient(kgo.SeedBrokers(l.broker), kgo.ConsumerGroup("group-of-"+topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
	must(t, err)
	defer other.Close()
	other.PollFetches(t.Context())
	src := load.open()
	defer src.Close()
	err = src.Acknowledge(t.Context(), "s", load.seen)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "group.id of its own") {
		t.Errorf("%v | %s", err, fault.HintOf(err))
	}
}
