package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// position is how far a topic has been read: the cursor in a table's commit.
type position struct {
	Version int             `json:"v"`
	Cluster string          `json:"cluster,omitempty"`
	Topic   string          `json:"topic"`
	TopicID string          `json:"topic_id,omitempty"`
	Offsets map[int32]int64 `json:"offsets"`          // the next one of each partition
	Epochs  map[int32]int32 `json:"epochs,omitempty"` // of the leader that the last message before was written under
}

// parse reads a position; nil is the beginning.
func parse(st stream, seen connector.Position) (*position, error) {
	if len(seen.Cursor) == 0 {
		return nil, nil
	}
	var p position
	if err := json.Unmarshal(seen.Cursor, &p); err != nil || p.Version != 1 || p.Offsets == nil {
		return nil, fault.New(fault.SourceLost, "read topic", st.topic, "the table's position is not one of a topic: %w", errors.Join(err, fmt.Errorf("version %d", p.Version))).
			WithHint("the table was loaded from another kind of source, or by a newer lakestep")
	}
	return &p, nil
}

// lost says that messages are gone which were not read, or that others stand in their place.
func lost(st stream, format string, args ...any) *fault.Fault {
	return fault.New(fault.SourceLost, "read topic", st.topic, format, args...).WithHint("nothing was skipped, and nothing will be read before you decide. "+
		"To load what the topic has now, from its beginning: lakestep run --full-refresh TABLE, behind reading \"SourceLost\" in docs/sources-kafka.md. "+
		"Stream %s (%s)", st.name, st.at)
}

// span is what a page reads: each partition from where to where.
type span struct {
	topic *topic
	parts []*part // by number
	moved bool    // the position is another than before, whatever is read
}

// part is a partition of a span.
type part struct {
	id     int32
	pos    int64 // the next offset
	target int64 // and where the span ends
	epoch  int32 // of the leader that the last message before pos was written under; -1: unknown
}

// left is how many offsets there are to read.
func (s *span) left() (n int64) {
	for _, p := range s.parts {
		n += max(0, p.target-p.pos)
	}
	return n
}

// open gives the partitions that have something left.
func (s *span) open() (n int) {
	for _, p := range s.parts {
		if p.pos < p.target {
			n++
		}
	}
	return n
}

// position is how far the span has been read.
func (s *span) position() *position {
	p := &position{Version: 1, Cluster: s.topic.cluster, Topic: s.topic.name, TopicID: s.topic.idText(), Offsets: map[int32]int64{}, Epochs: map[int32]int32{}}
	for _, part := range s.parts {
		p.Offsets[part.id] = part.pos
		if part.epoch >= 0 {
			p.Epochs[part.id] = part.epoch
		}
	}
	return p
}

// String is for people: the next offset of each partition, as many as fit a line.
func (p *position) String() string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(p.Offsets)) {
		if len(out) == 8 {
			out = append(out, fmt.Sprintf("and %d more", len(p.Offsets)-8))
			break
		}
		out = append(out, fmt.Sprintf("%d:%d", id, p.Offsets[id]))
	}
	return strings.Join(out, " ")
}

// begin says what lies beyond a position, and that nothing before it is missing. fresh is the beginning by an operator's word.
func (s *source) begin(ctx context.Context, st stream, seen *position, fresh bool) (sp *span, err error) {
	err = again(ctx, func() (err error) {
		sp, err = s.look(ctx, st, seen, fresh)
		return err
	})
	if isUnknownTopic(err) {
		return nil, s.noTopic(st, seen != nil, err)
	}
	return sp, s.failed(ctx, "read topic", st.topic, err)
}

func (s *source) look(ctx context.Context, st stream, seen *position, fresh bool) (*span, error) {
	t, err := s.topic(ctx, st.topic)
	if err != nil {
		return nil, err
	}
	if err := same(st, seen, t); err != nil {
		return nil, err
	}
	starts, err := s.offsets(ctx, []*topic{t}, logStart, false)
	if err != nil {
		return nil, err
	}
	ends, err := s.offsets(ctx, []*topic{t}, logEnd, s.committed)
	if err != nil {
		return nil, err
	}
	sp := &span{topic: t, moved: seen == nil && s.latest && !fresh}
	for _, l := range t.partitions {
		start, end := starts[t.name][l.partition], ends[t.name][l.partition]
		p := &part{id: l.partition, pos: start, target: max(start, end), epoch: -1}
		if sp.moved { // a topic that was never read begins at its end: the first page says where that is
			p.pos = p.target
		}
		if offset, ok := seen.offset(l.partition); ok {
			if offset < start {
				return nil, lost(st, "%d messages of partition %d were deleted before they were read: the position is offset %d, the partition begins at %d", start-offset, l.partition, offset, start)
			}
			p.pos, p.epoch = offset, seen.epoch(l.partition)
		}
		sp.parts = append(sp.parts, p)
	}
	if seen == nil {
		return sp, nil
	}
	if err := s.ends(ctx, st, sp); err != nil {
		return nil, err
	}
	return sp, s.epochs(ctx, st, sp)
}

func (p *position) offset(partition int32) (int64, bool) {
	if p == nil {
		return 0, false
	}
	offset, ok := p.Offsets[partition]
	return offset, ok
}

func (p *position) epoch(partition int32) int32 {
	if epoch, ok := p.Epochs[partition]; ok {
		return epoch
	}
	return -1
}

// same checks that a position is of this topic.
func same(st stream, seen *position, t *topic) error {
	switch {
	case seen == nil:
		return nil
	case seen.Topic != t.name:
		return lost(st, "the table was loaded from the topic %s", seen.Topic)
	case seen.Cluster != "" && t.cluster != "" && seen.Cluster != t.cluster:
		return lost(st, "the position %s is one of cluster %s, this is %s: its offsets are others", seen, seen.Cluster, t.cluster)
	case seen.TopicID != "" && t.idText() != "" && seen.TopicID != t.idText():
		return lost(st, "the topic was deleted and made anew (its id was %s and is %s): the position %s is one of the old one, of which all that was not read is gone", seen.TopicID, t.idText(), seen)
	}
	for _, id := range slices.Sorted(maps.Keys(seen.Offsets)) {
		if !slices.ContainsFunc(t.partitions, func(l leader) bool { return l.partition == id }) {
			return lost(st, "partition %d, which was read to offset %d, is gone", id, seen.Offsets[id])
		}
	}
	return nil
}

// ends checks that no partition ends before its position. Where an open transaction makes it end early for those who read committed messages
// only, and its position is one that others left there, there is just nothing to read.
func (s *source) ends(ctx context.Context, st stream, sp *span) error {
	beyond := slices.DeleteFunc(slices.Clone(sp.parts), func(p *part) bool { return p.pos <= p.target })
	if len(beyond) == 0 {
		return nil
	}
	ends, err := s.offsets(ctx, []*topic{sp.topic}, logEnd, false)
	if err != nil {
		return err
	}
	for _, p := range beyond {
		if end := ends[sp.topic.name][p.id]; p.pos > end {
			return lost(st, "partition %d ends at offset %d, and was read to offset %d: the last %d messages that were read are gone from it, and others may have taken their place", p.id, end, p.pos, p.pos-end)
		}
		p.target = p.pos
	}
	return nil
}

// epochs checks that what was read is still there: a leader that took over without having all messages writes others at the same offsets.
func (s *source) epochs(ctx context.Context, st stream, sp *span) error {
	known := map[int32]int32{}
	for _, p := range sp.parts {
		if p.epoch >= 0 {
			known[p.id] = p.epoch
		}
	}
	if len(known) == 0 {
		return nil
	}
	ends, err := s.epochEnds(ctx, sp.topic, known)
	if err != nil {
		return err
	}
	for _, p := range sp.parts {
		if end, ok := ends[p.id]; ok && end >= 0 && end < p.pos {
			return lost(st, "partition %d lost its messages from offset %d on when another broker took it over, and was read to offset %d: %d messages that were read are gone from it, and others may have taken their place", p.id, end, p.pos, p.pos-end)
		}
	}
	return nil
}
