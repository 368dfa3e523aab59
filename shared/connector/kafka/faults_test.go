package kafka

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/lakestep/lakestep/shared/fault"
)

// fakeLab is a broker of a test's own that does as it is told: for what cannot be had of a real one.
func fakeLab(t testing.TB, opts ...kfake.Opt) (*lab, *kfake.Cluster) {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	must(t, err)
	t.Cleanup(fake.Close)
	return labAt(t, fake.ListenAddrs()[0]), fake
}

// Partitions change hands in the middle of a page: nobody notices.
func TestLeadersMove(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(3)
	var moves atomic.Int32
	fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if n := moves.Add(1); n%3 == 2 {
			_ = fake.MoveTopicPartition(topic, n%3, n%2)
		}
		return nil, nil, false
	})
	load := newLoader(t, l.config(topic, "json"))
	for i := range 10 {
		l.send(numbers(topic, 3, i*100, 100)...)
		for p := range int32(3) {
			must(t, fake.MoveTopicPartition(topic, p, int32(i+int(p))%3))
		}
		load.all()
	}
	load.holds(0, 1000)
}

// Answers of a broker in trouble, once each: the page is read all the same.
func TestPassingErrors(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	load := newLoader(t, l.config(topic, "json"))
	for i, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.KafkaStorageError, kerr.ReplicaNotAvailable, kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition, kerr.OffsetOutOfRange} {
		l.send(numbers(topic, 1, i*10, 10)...)
		fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			return refuse(req.(*kmsg.FetchRequest), e), nil, true
		})
		load.all()
	}
	load.holds(0, 80)
	for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.OffsetForLeaderEpoch} {
		fake.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			resp := req.ResponseKind()
			switch r := resp.(type) {
			case *kmsg.ListOffsetsResponse:
				r.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{{ErrorCode: kerr.NotLeaderForPartition.Code}}}}
			case *kmsg.OffsetForLeaderEpochResponse:
				r.Topics = []kmsg.OffsetForLeaderEpochResponseTopic{{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{{ErrorCode: kerr.FencedLeaderEpoch.Code}}}}
			}
			return resp, nil, true
		})
		l.send(numbers(topic, 1, 100, 10)...)
		load.rows = nil
		load.all()
		load.holds(100, 10)
	}
}

func refuse(req *kmsg.FetchRequest, e *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, e.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// A broker that has messages and does not send them is waited for as long as max_wait says.
func TestStalledBroker(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 10)...)
	for _, e := range []*kerr.Error{{}, kerr.NotLeaderForPartition} {
		fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			time.Sleep(5 * time.Millisecond)
			return refuse(req.(*kmsg.FetchRequest), e), nil, true
		})
		load := newLoader(t, l.config(topic, "json", "max_wait=1s"))
		start := time.Now()
		load.fails(fault.Unavailable, "no message of partition 0", "offset 0 of 10", "max_wait")
		if took := time.Since(start); took < time.Second || took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

// Messages that are damaged are not read, and not skipped.
func TestDamagedBatch(t *testing.T) {
	l, fake := fakeLab(t)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 10)...)
	fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		resp := refuse(req.(*kmsg.FetchRequest), &kerr.Error{}).(*kmsg.FetchResponse)
		batch := kmsg.RecordBatch{Magic: 2, NumRecords: 1, LastOffsetDelta: 0, CRC: 7, Records: []byte{1, 2, 3}}
		batch.Length = int32(len(batch.AppendTo(nil)) - 12)
		resp.Topics[0].Partitions[0].RecordBatches = batch.AppendTo(nil)
		return resp, nil, true
	})
	load := newLoader(t, l.config(topic, "json", "max_wait=300ms"))
	load.fails(fault.Unavailable, "crc")
	if load.pages > 0 {
		t.Error("a page came of it")
	}
}

// A leader took over that did not have all messages, and others stand at their offsets now.
func TestLogDiverged(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 10)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	if load.cursor().Epochs[0] < 0 || len(load.cursor().Epochs) != 1 {
		t.Fatalf("no epoch in %+v", load.cursor())
	}
	l.send(numbers(topic, 1, 10, 10)...)
	fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		resp.Topics = []kmsg.OffsetForLeaderEpochResponseTopic{{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{{EndOffset: 7}}}}
		return resp, nil, true
	})
	load.fails(fault.SourceLost, "lost its messages from offset 7 on", "read to offset 10", "3 messages")
}

// Messages are deleted, or the topic is made anew, while a page is being read.
func TestLostInTheMiddle(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	for _, c := range []struct {
		name  string
		do    func(topic string)
		words string
	}{
		{"deleted", func(topic string) { must(t, l.deleteBefore(topic, 0, 8)) }, "8 messages of partition 0 were deleted before they were read"},
		{"made anew", func(topic string) {
			_, err := l.admin.DeleteTopic(t.Context(), topic)
			must(t, err)
			l.create(topic, 1)
		}, "deleted and made anew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := l.topic(1)
			l.send(numbers(topic, 1, 0, 10)...)
			var first atomic.Bool
			fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
				if first.CompareAndSwap(false, true) {
					fake.SleepControl(func() { c.do(topic) })
				}
				return nil, nil, false
			})
			load := newLoader(t, l.config(topic, "json"))
			f := load.fails(fault.SourceLost, c.words)
			if load.pages > 0 || !strings.Contains(f.Error(), topic) {
				t.Errorf("%d pages: %v", load.pages, f)
			}
		})
	}
}

// A group is told again while its coordinator moves.
func TestCoordinatorMoves(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 10)...)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	for _, e := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		fake.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
			resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
			resp.Topics = []kmsg.OffsetCommitResponseTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitResponseTopicPartition{{ErrorCode: e.Code}}}}
			return resp, nil, true
		})
		src := load.open()
		must(t, src.Acknowledge(t.Context(), "s", load.seen))
		must(t, src.Close())
	}
}

// Brokers that know less: without ids of topics, and without the newest requests.
func TestOldBrokers(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]*kversion.Versions{"2.7": kversion.V2_7_0(), "2.8": kversion.V2_8_0(), "3.5": kversion.V3_5_0()} {
		t.Run(name, func(t *testing.T) {
			l, _ := fakeLab(t, kfake.MaxVersions(version))
			topic := l.topic(2)
			load := newLoader(t, l.config(topic, "json"))
			load.limit.Rows = 7
			for i := range 3 {
				l.send(numbers(topic, 2, i*10, 10)...)
				load.all()
			}
			load.holds(0, 30)
			if id := load.cursor().TopicID; (id != "") != (name != "2.7") {
				t.Errorf("topic id %q", id)
			}
			src := load.open()
			defer src.Close()
			must(t, src.Acknowledge(t.Context(), "s", load.seen))
			for _, f := range src.Check(t.Context()) {
				if !f.OK {
					t.Errorf("check: %+v", f)
				}
			}
			must(t, l.deleteBefore(topic, 0, 15))
			l.send(numbers(topic, 2, 30, 10)...)
			if name == "2.7" { // a topic made anew shows by its offsets only
				_, err := l.admin.DeleteTopic(t.Context(), topic)
				must(t, err)
				l.create(topic, 2)
				load.fails(fault.SourceLost, "ends at offset 0, and was read to offset 15")
			}
		})
	}
}

// Messages come between the look at the ends of the partitions and the reading: they are the next page's.
func TestArrivingBehindTheTarget(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	load := newLoader(t, l.config(topic, "json"))
	for i := range 5 {
		l.send(numbers(topic, 1, i*20, 10)...)
		var once sync.Once
		fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			once.Do(func() { fake.SleepControl(func() { l.send(numbers(topic, 1, i*20+10, 10)...) }) })
			return nil, nil, false
		})
		_, err := load.step(t.Context())
		must(t, err)
		equal(t, "rows of the page", len(load.rows), i*20+10)
		load.all()
	}
	load.holds(0, 100)
}

// A broker that does not answer for a partition has not said that it is empty.
func TestIncompleteAnswers(t *testing.T) {
	t.Parallel()
	l, fake := fakeLab(t)
	topic := l.topic(1)
	load := newLoader(t, l.config(topic, "json"))
	for i := range 3 {
		l.send(numbers(topic, 1, i*10, 10)...)
		for range 2 {
			fake.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) { return req.ResponseKind(), nil, true })
		}
		load.all()
	}
	load.holds(0, 30)
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	var batches []byte
	for _, b := range []kmsg.RecordBatch{{FirstOffset: 5, PartitionLeaderEpoch: 1, Magic: 2}, {FirstOffset: 8, PartitionLeaderEpoch: 1, Magic: 2, Records: []byte("xy")}, {FirstOffset: 10, PartitionLeaderEpoch: 3, Magic: 2}} {
		b.Length = int32(len(b.AppendTo(nil)) - 12)
		batches = b.AppendTo(batches)
	}
	for _, cut := range []int{0, 1} { // the last one may be cut off
		all := epochsOf(batches[:len(batches)-cut])
		equal(t, "epochs", all, "[{5 1} {10 3}]")
		for offset, want := range map[int64]int32{5: -1, 6: 1, 10: 1, 11: 3, 99: 3} {
			if got := epochBefore(all, offset, -1); got != want {
				t.Errorf("before %d: epoch %d, want %d", offset, got, want)
			}
		}
	}
}
