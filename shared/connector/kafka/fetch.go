package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/fault"
)

// How much is asked of the brokers at once, so that a page takes little memory whatever its size. Messages are compressed on the way: what is
// asked for is so much that it is about batchBytes when it has been unpacked; in memory, split into messages, that is three times as much.
const (
	batchBytes = 4 << 20
	leastFetch = 64 << 10
	mostFetch  = 4 << 20
	firstRatio = 4                      // of unpacked bytes to those that are sent, before it is known
	brokerWait = 500 * time.Millisecond // of a broker for messages, when it has none
)

// chunk is a piece of a partition.
type chunk struct {
	part    int32
	records []*kgo.Record
	next    int64   // the offset behind it: also behind what is no message, or one of an aborted transaction
	epochs  []epoch // that its batches were written under
	bytes   int
}

// epoch says under which leader batches were written, from an offset on.
type epoch struct {
	from  int64
	epoch int32
}

// fetcher reads a span, ahead of those who take the messages. The requests are our own, not those of a consuming client: so it is known how far
// a partition has been read where nothing comes of it (control records, aborted transactions, what was compacted away), and a topic that was
// made anew is told apart by its id.
type fetcher struct {
	s      *source
	st     stream
	client *kgo.Client
	topic  *topic
	parts  []part  // how far they have been asked for
	ratio  float64 // of unpacked bytes to those that were sent
	turn   int     // whose turn it is to be first
	unzip  kgo.Decompressor
}

func (s *source) fetcher(st stream, sp *span) (*fetcher, error) {
	client, err := s.kafka()
	if err != nil {
		return nil, err
	}
	f := &fetcher{s: s, st: st, client: client, topic: sp.topic, ratio: firstRatio, unzip: kgo.DefaultDecompressor()}
	for _, p := range sp.parts {
		f.parts = append(f.parts, *p)
	}
	return f, nil
}

// fetch reads a span in the background until its end or the context's. The channel is closed in the end; the error is there then.
func (s *source) fetch(ctx context.Context, st stream, sp *span) (chunks <-chan chunk, result func() error, err error) {
	f, err := s.fetcher(st, sp)
	if err != nil {
		return nil, nil, err
	}
	out := make(chan chunk, 1)
	var failed error
	go func() {
		defer close(out)
		failed = f.run(ctx, out)
	}()
	return out, func() error { return failed }, nil
}

// taste reads something of the topic, if there is anything, to see whether it may.
func (f *fetcher) taste(ctx context.Context) error {
	return again(ctx, func() error {
		_, err := f.round(ctx, slices.Clone(f.parts))
		return err
	})
}

func (f *fetcher) run(ctx context.Context, out chan<- chunk) error {
	var idle time.Duration
	for try := 0; ; {
		todo := slices.DeleteFunc(slices.Clone(f.parts), func(p part) bool { return p.pos >= p.target })
		if len(todo) == 0 {
			return nil
		}
		start := time.Now()
		chunks, trouble := f.round(ctx, todo)
		for _, c := range chunks {
			idle, try = 0, 0
			select {
			case out <- c:
			case <-ctx.Done():
				return f.failed(ctx, ctx.Err())
			}
		}
		if trouble != nil {
			if err := f.recover(ctx, trouble, try); err != nil {
				return err
			}
			try++
		}
		if len(chunks) == 0 {
			if idle += time.Since(start); idle > f.st.wait {
				return f.stalled(todo[0], idle, trouble)
			}
		}
	}
}

func (f *fetcher) failed(ctx context.Context, err error) error {
	return f.s.failed(ctx, "read topic", f.st.topic, err)
}

// stalled says that messages that must be there do not come.
func (f *fetcher) stalled(p part, idle time.Duration, trouble error) error {
	if trouble == nil {
		trouble = errors.New("the broker sent nothing")
	}
	return fault.New(fault.Unavailable, "read topic", f.st.topic, "no message of partition %d for %s, at offset %d of %d: %w", p.id, idle.Round(time.Second), p.pos, p.target, trouble).
		WithHint("see the broker that leads the partition; max_wait says how long to wait (%s)", f.st.at)
}

// recover looks again who has the partitions, and whether what is to be read is still there.
func (f *fetcher) recover(ctx context.Context, trouble error, try int) error {
	if as := f.failed(ctx, trouble); !fault.KindOf(as).Retryable() || ctx.Err() != nil {
		return as
	}
	if pause(ctx, try) != nil {
		return f.failed(ctx, ctx.Err())
	}
	sp := &span{topic: f.topic}
	for i := range f.parts {
		sp.parts = append(sp.parts, &f.parts[i])
	}
	now, err := f.s.begin(ctx, f.st, sp.position(), false)
	if err != nil {
		return err
	}
	f.topic = now.topic
	return nil
}

// round asks all leaders for what is next of their partitions. The error is of some partition; others may have brought something.
func (f *fetcher) round(ctx context.Context, todo []part) ([]chunk, error) {
	f.turn++
	slices.SortStableFunc(todo, func(a, b part) int { return int(a.id - b.id) })
	todo = append(todo[f.turn%len(todo):], todo[:f.turn%len(todo)]...)
	var order []int32
	by := map[int32][]part{}
	leaders := map[int32]leader{}
	for _, l := range f.topic.partitions {
		leaders[l.partition] = l
	}
	for _, p := range todo {
		broker := leaders[p.id].broker
		if by[broker] == nil {
			order = append(order, broker)
		}
		by[broker] = append(by[broker], p)
	}
	budget := max(leastFetch, int(batchBytes/f.ratio)/len(order))
	results := make([]answer, len(order))
	group, ctx := errgroup.WithContext(ctx)
	for i, broker := range order {
		group.Go(func() error {
			results[i] = f.ask(ctx, broker, by[broker], leaders, min(budget, mostFetch))
			return nil
		})
	}
	_ = group.Wait() // nobody fails
	return f.gather(results)
}

// answer is what one broker sent.
type answer struct {
	chunks   []chunk
	sent     int // bytes, compressed
	unpacked int
	err      error
}

// gather puts answers together, and learns how well the messages are compressed.
func (f *fetcher) gather(results []answer) (chunks []chunk, err error) {
	sent, unpacked := 0, 0
	for _, r := range results {
		sent, unpacked = sent+r.sent, unpacked+r.unpacked
		if err == nil || !passing(r.err) && r.err != nil {
			err = r.err
		}
		for _, c := range r.chunks {
			i := slices.IndexFunc(f.parts, func(p part) bool { return p.id == c.part })
			f.parts[i].pos = c.next
			f.parts[i].epoch = epochBefore(c.epochs, c.next, f.parts[i].epoch)
			chunks = append(chunks, c)
		}
	}
	if sent > 0 {
		f.ratio = max(1, float64(unpacked)/float64(sent))
	}
	return chunks, err
}

func (f *fetcher) ask(ctx context.Context, broker int32, parts []part, leaders map[int32]leader, budget int) (a answer) {
	if broker < 0 {
		a.err = kerr.LeaderNotAvailable
		return a
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(brokerWait.Milliseconds()), 1, int32(budget)
	req.IsolationLevel, req.SessionEpoch = isolation(f.s.committed), -1
	one := kmsg.NewFetchRequestTopic()
	one.Topic, one.TopicID = f.topic.name, f.topic.id
	for _, p := range parts {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.CurrentLeaderEpoch = p.id, p.pos, leaders[p.id].epoch
		rp.PartitionMaxBytes = int32(max(leastFetch, budget/len(parts)))
		one.Partitions = append(one.Partitions, rp)
	}
	req.Topics = append(req.Topics, one)
	resp, err := f.client.Broker(int(broker)).RetriableRequest(ctx, req)
	if err != nil {
		a.err = err
		return a
	}
	got := resp.(*kmsg.FetchResponse)
	if a.err = kerr.ErrorForCode(got.ErrorCode); a.err != nil {
		return a
	}
	for _, t := range got.Topics {
		for i := range t.Partitions {
			f.unpack(&t.Partitions[i], parts, &a)
		}
	}
	return a
}

// unpack turns what came of a partition into a chunk.
func (f *fetcher) unpack(rp *kmsg.FetchResponseTopicPartition, parts []part, a *answer) {
	i := slices.IndexFunc(parts, func(p part) bool { return p.id == rp.Partition })
	if i < 0 {
		return
	}
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		a.err = err
		return
	}
	level := kgo.ReadUncommitted()
	if f.s.committed {
		level = kgo.ReadCommitted()
	}
	unpacked := 0
	o := kgo.ProcessFetchPartitionOpts{Offset: parts[i].pos, IsolationLevel: level, Topic: f.topic.name, Partition: rp.Partition}
	got, next := kgo.ProcessFetchPartition(o, rp, f.unzip, func(m kgo.FetchBatchMetrics) { unpacked += m.UncompressedBytes })
	a.sent, a.unpacked = a.sent+len(rp.RecordBatches), a.unpacked+unpacked
	if got.Err != nil {
		// Messages before it are whole; but the library may have gone on behind what it could not read.
		a.err = fmt.Errorf("partition %d at offset %d: %w", rp.Partition, parts[i].pos, got.Err)
		return
	}
	if next > parts[i].pos {
		a.chunks = append(a.chunks, chunk{part: rp.Partition, records: got.Records, next: next, epochs: epochsOf(rp.RecordBatches), bytes: unpacked})
	}
}

// epochsOf reads from the heads of batches under which leaders they were written.
func epochsOf(batches []byte) (all []epoch) {
	const head = 17 // offset, length, epoch, magic
	for len(batches) >= head && batches[16] == 2 {
		e := epoch{int64(binary.BigEndian.Uint64(batches)), int32(binary.BigEndian.Uint32(batches[12:]))}
		if len(all) == 0 || all[len(all)-1].epoch != e.epoch {
			all = append(all, e)
		}
		length := int64(binary.BigEndian.Uint32(batches[8:])) + 12
		if length > int64(len(batches)) {
			break
		}
		batches = batches[length:]
	}
	return all
}

// epochBefore is the epoch of what stands before an offset; or, when that is not in the chunk, what it was.
func epochBefore(all []epoch, offset int64, was int32) int32 {
	for _, e := range slices.Backward(all) {
		if e.from < offset {
			return e.epoch
		}
	}
	return was
}
