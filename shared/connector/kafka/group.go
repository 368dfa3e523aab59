package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/lakestep/lakestep/shared/fault"
)

// heard tells whether a position is older than one that the group was told: words may come late.
func (s *source) heard(name string, p *position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told[name]
	if told == nil || told.TopicID != p.TopicID {
		return false
	}
	for id, offset := range p.Offsets {
		if offset > told.Offsets[id] {
			return false
		}
	}
	return true
}

// commit tells the consumer group how far the topic has been read. The group has no members: nobody reads by it.
func (s *source) commit(ctx context.Context, st stream, p *position) error {
	client, err := s.kafka()
	if err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	for id, offset := range p.Offsets {
		offsets.Add(kadm.Offset{Topic: p.Topic, Partition: id, At: offset, LeaderEpoch: -1})
	}
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	if err := kadm.NewClient(client).CommitAllOffsets(ctx, s.group, offsets); err != nil {
		return s.notCommitted(st, err)
	}
	s.mu.Lock()
	s.told[st.name] = p
	s.mu.Unlock()
	return nil
}

// notCommitted is worth another try, whatever it was: the rows are safe, and the next run goes on from them.
func (s *source) notCommitted(st stream, err error) error {
	f := fault.New(fault.Unavailable, "commit offsets of", st.topic, "group %s: %w", s.group, err)
	var e *kerr.Error
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed):
		return f.WithHint("the user needs READ on the group and on the topic: docs/sources-kafka.md has the commands. The rows are safe: their own commit has the offsets")
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration):
		return f.WithHint("another program consumes as group %s: give this source a group.id of its own. The rows are safe", s.group)
	case errors.As(err, &e):
		return f.WithHint("the rows are safe: their own commit has the offsets")
	}
	return f.WithHint("the rows are safe, and the group is told the next time")
}
