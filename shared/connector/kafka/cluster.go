package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/fault"
)

// topic is a topic as the cluster says it is at a moment.
type topic struct {
	cluster    string
	name       string
	id         [16]byte // zero of brokers before 2.8
	internal   bool
	partitions []leader
}

// leader is the broker that has a partition, and since when.
type leader struct {
	partition, broker, epoch int32
}

// idText is the topic's id as Kafka's own tools write it; "" when there is none.
func (t *topic) idText() string {
	if t.id == [16]byte{} {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(t.id[:])
}

// byBroker groups the partitions by who has them.
func (t *topic) byBroker() map[int32][]leader {
	out := map[int32][]leader{}
	for _, p := range t.partitions {
		out[p.broker] = append(out[p.broker], p)
	}
	return out
}

// metadata asks for topics; none named: all that the user may see.
func (s *source) metadata(ctx context.Context, names ...string) (all []*topic, err error) {
	client, err := s.kafka()
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			if len(names) > 0 {
				return nil, err
			}
			continue
		}
		one := &topic{name: *t.Topic, id: t.TopicID, internal: t.IsInternal}
		if resp.ClusterID != nil {
			one.cluster = *resp.ClusterID
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); p.Leader < 0 && err != nil && len(names) > 0 {
				return nil, err
			}
			one.partitions = append(one.partitions, leader{p.Partition, p.Leader, p.LeaderEpoch})
		}
		slices.SortFunc(one.partitions, func(a, b leader) int { return int(a.partition - b.partition) })
		all = append(all, one)
	}
	return all, nil
}

// topic asks for one topic.
func (s *source) topic(ctx context.Context, name string) (*topic, error) {
	all, err := s.metadata(ctx, name)
	if err == nil && len(all) != 1 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// noTopic says that a topic is not there, which is worse if it once was.
func (s *source) noTopic(st stream, wasThere bool, err error) error {
	if wasThere {
		return lost(st, "the topic is gone: %w", err)
	}
	return fault.New(fault.InvalidInput, "read topic", st.topic, "%w", err).WithHint("the cluster has no such topic, or the user may not DESCRIBE it (%s)", st.at)
}

func isUnknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID)
}

// Timestamps that stand for an end of a partition in a request for offsets.
const (
	logStart = -2
	logEnd   = -1
)

// offsets asks the brokers for the offset of a time stamp in each partition of some topics. The end is what can be read at an isolation level.
func (s *source) offsets(ctx context.Context, topics []*topic, timestamp int64, committed bool) (map[string]map[int32]int64, error) {
	client, err := s.kafka()
	if err != nil {
		return nil, err
	}
	reqs := map[int32]*kmsg.ListOffsetsRequest{}
	for _, t := range topics {
		for broker, leaders := range t.byBroker() {
			if reqs[broker] == nil {
				reqs[broker] = kmsg.NewPtrListOffsetsRequest()
				reqs[broker].IsolationLevel = isolation(committed)
			}
			one := kmsg.NewListOffsetsRequestTopic()
			one.Topic = t.name
			for _, l := range leaders {
				p := kmsg.NewListOffsetsRequestTopicPartition()
				p.Partition, p.CurrentLeaderEpoch, p.Timestamp = l.partition, l.epoch, timestamp
				one.Partitions = append(one.Partitions, p)
			}
			reqs[broker].Topics = append(reqs[broker].Topics, one)
		}
	}
	answers, err := ask(ctx, client, reqs)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32]int64{}
	for _, a := range answers {
		for _, t := range a.(*kmsg.ListOffsetsResponse).Topics {
			if out[t.Topic] == nil {
				out[t.Topic] = map[int32]int64{}
			}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, err
				}
				if p.Offset < 0 {
					return nil, kerr.OffsetNotAvailable
				}
				out[t.Topic][p.Partition] = p.Offset
			}
		}
	}
	return out, complete(topics, out)
}

// complete checks that there is an answer for each partition: one that lacks would be taken for an empty one.
func complete(topics []*topic, offsets map[string]map[int32]int64) error {
	for _, t := range topics {
		for _, l := range t.partitions {
			if _, ok := offsets[t.name][l.partition]; !ok {
				return kerr.LeaderNotAvailable
			}
		}
	}
	return nil
}

func isolation(committed bool) int8 {
	if committed {
		return 1
	}
	return 0
}

// epochEnds asks where the epochs of leaders end in which the last messages were read; -1 where the broker does not know the epoch.
func (s *source) epochEnds(ctx context.Context, t *topic, epochs map[int32]int32) (map[int32]int64, error) {
	client, err := s.kafka()
	if err != nil {
		return nil, err
	}
	reqs := map[int32]*kmsg.OffsetForLeaderEpochRequest{}
	for broker, leaders := range t.byBroker() {
		one := kmsg.NewOffsetForLeaderEpochRequestTopic()
		one.Topic = t.name
		for _, l := range leaders {
			if epoch, ok := epochs[l.partition]; ok {
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = l.partition, l.epoch, epoch
				one.Partitions = append(one.Partitions, p)
			}
		}
		if len(one.Partitions) > 0 {
			reqs[broker] = kmsg.NewPtrOffsetForLeaderEpochRequest()
			reqs[broker].ReplicaID = -1
			reqs[broker].Topics = append(reqs[broker].Topics, one)
		}
	}
	answers, err := ask(ctx, client, reqs)
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for _, a := range answers {
		for _, t := range a.(*kmsg.OffsetForLeaderEpochResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, err
				}
				out[p.Partition] = p.EndOffset
			}
		}
	}
	return out, nil
}

// ask sends each broker its request, all at once.
func ask[R kmsg.Request](ctx context.Context, client *kgo.Client, reqs map[int32]R) ([]kmsg.Response, error) {
	group, ctx := errgroup.WithContext(ctx)
	answers := make([]kmsg.Response, 0, len(reqs))
	ready := make(chan kmsg.Response, len(reqs))
	for broker, req := range reqs {
		group.Go(func() error {
			if broker < 0 {
				return kerr.LeaderNotAvailable
			}
			a, err := client.Broker(int(broker)).RetriableRequest(ctx, req)
			if err == nil {
				ready <- a
			}
			return err
		})
	}
	err := group.Wait()
	close(ready)
	for a := range ready {
		answers = append(answers, a)
	}
	return answers, err
}
