package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/kafka/internal/message"
	"github.com/lakestep/lakestep/shared/fault"
)

// valueSubject is where serializers put the schema of a topic's values, unless told otherwise.
func valueSubject(topic string) string { return topic + "-value" }

// Discover lists the topics that the user may see.
func (s *source) Discover(ctx context.Context) (out []connector.Discovered, err error) {
	var topics []*topic
	var starts, ends map[string]map[int32]int64
	err = again(ctx, func() error {
		if topics, err = s.metadata(ctx); err != nil {
			return err
		}
		topics = slices.DeleteFunc(topics, func(t *topic) bool { return t.internal })
		for _, t := range topics { // those without a leader have no offsets now
			t.partitions = slices.DeleteFunc(t.partitions, func(l leader) bool { return l.broker < 0 })
		}
		if starts, err = s.offsets(ctx, topics, logStart, false); err != nil {
			return err
		}
		ends, err = s.offsets(ctx, topics, logEnd, s.committed)
		return err
	})
	if err != nil {
		return nil, s.failed(ctx, "list topics of", s.cfg.Name, err)
	}
	for _, t := range topics {
		d := connector.Discovered{Name: t.name, Items: len(t.partitions), Unit: "partitions"}
		for id, end := range ends[t.name] {
			d.Rows += max(0, end-starts[t.name][id])
		}
		for _, name := range slices.Sorted(maps.Keys(s.streams)) {
			if st := s.streams[name]; st.topic == t.name && d.Stream == "" {
				d.Stream, d.Modes, d.Columns = name, []string{string(st.value)}, message.PlainColumns(st.value)
			}
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b connector.Discovered) int { return cmp.Compare(a.Name, b.Name) })
	return out, s.discoverColumns(ctx, out)
}

// discoverColumns asks the registry for the schemas of the topics that have one.
func (s *source) discoverColumns(ctx context.Context, all []connector.Discovered) error {
	if s.registry == nil || len(all) == 0 {
		return nil
	}
	subjects, err := s.registry.Subjects(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range all {
		d := &all[i]
		if !slices.Contains(subjects, valueSubject(d.Name)) {
			continue
		}
		group.Go(func() error {
			schema, err := s.registry.Latest(ctx, valueSubject(d.Name))
			if err != nil || schema == nil {
				return err
			}
			columns, format, err := s.registry.Columns(ctx, schema)
			if err != nil {
				return unlessPlain(err)
			}
			if d.Modes == nil {
				d.Modes = []string{string(format)}
			}
			if d.Modes[0] == string(format) {
				d.Columns = columns
			}
			return nil
		})
	}
	return group.Wait()
}

// unlessPlain drops an error that is a schema's own: one that cannot be used is no reason not to list its topic.
func unlessPlain(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	return nil
}

// Check tries the way to the brokers and the registry, and what the user may do there.
func (s *source) Check(ctx context.Context) (out []connector.Finding) {
	if err := s.reach(ctx); err != nil {
		return append(out, found("reach the brokers and sign in", err))
	}
	out = append(out, connector.Finding{What: "reach the brokers and sign in", OK: true, Detail: strings.Join(s.brokers, ", ")})
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		out = append(out, s.checkTopic(ctx, s.streams[name])...)
	}
	out = append(out, s.checkGroup(ctx))
	if s.registry == nil {
		return out
	}
	if err := s.registry.Reach(ctx); err != nil {
		return append(out, found("reach the schema registry", err))
	}
	out = append(out, connector.Finding{What: "reach the schema registry", OK: true})
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		if st := s.streams[name]; st.value.NeedsRegistry() {
			out = append(out, s.checkSubject(ctx, st))
		}
	}
	return out
}

func found(what string, err error) connector.Finding {
	f := connector.Finding{What: what, OK: err == nil}
	if err != nil {
		f.Detail, f.Hint = err.Error(), fault.HintOf(err)
	}
	return f
}

func (s *source) reach(ctx context.Context) error {
	client, err := s.kafka()
	if err == nil {
		err = client.Ping(ctx)
	}
	return s.failed(ctx, "reach", strings.Join(s.brokers, ", "), err)
}

// checkTopic looks at a stream's topic, and reads the first message that there is, if any.
func (s *source) checkTopic(ctx context.Context, st stream) []connector.Finding {
	describe, read := fmt.Sprintf("describe topic %s", st.topic), fmt.Sprintf("read topic %s", st.topic)
	sp, err := s.begin(ctx, st, nil, true)
	if err != nil {
		return []connector.Finding{found(describe, err)}
	}
	out := []connector.Finding{{What: describe, OK: true, Detail: fmt.Sprintf("%d partitions, about %d messages", len(sp.parts), sp.left())}}
	f, err := s.fetcher(st, sp)
	if err != nil {
		return append(out, found(read, err))
	}
	err = f.taste(ctx)
	return append(out, found(read, s.failed(ctx, "read topic", st.topic, err)))
}

// checkGroup asks for something that needs the same privilege as a commit, and does nothing: a sign of life of a member that there is not.
func (s *source) checkGroup(ctx context.Context) connector.Finding {
	what := "commit offsets to group " + s.group
	client, err := s.kafka()
	if err != nil {
		return found(what, err)
	}
	err = again(ctx, func() error {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = s.group, "lakestep-check", 1
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); passing(err) || errors.Is(err, kerr.GroupAuthorizationFailed) {
			return err
		}
		return nil // what there is to say of a member is of no interest
	})
	return found(what, s.failed(ctx, "commit offsets to group", s.group, err))
}

func (s *source) checkSubject(ctx context.Context, st stream) connector.Finding {
	f := connector.Finding{What: "find a schema of topic " + st.topic}
	schema, err := s.registry.Latest(ctx, valueSubject(st.topic))
	switch {
	case err != nil:
		return found(f.What, err)
	case schema == nil: // no fault: messages say themselves which schema they have
		f.OK, f.Detail = true, "the registry has no subject "+valueSubject(st.topic)+": nobody has written yet, or by another naming strategy"
		return f
	}
	columns, format, err := s.registry.Columns(ctx, schema)
	switch {
	case err != nil:
		f = found(f.What, err)
		if f.Hint == "" {
			f.Hint = "messages of this schema would go to the rejected rows"
		}
	case format != st.value:
		f.Detail, f.Hint = fmt.Sprintf("subject %s is %s, value_format is %s", valueSubject(st.topic), format, st.value), fmt.Sprintf("set value_format: %s (%s)", format, st.at)
	default:
		f.OK, f.Detail = true, fmt.Sprintf("subject %s, %d columns", valueSubject(st.topic), len(columns))
	}
	return f
}

// Preview gives the newest messages of a topic.
func (s *source) Preview(ctx context.Context, r connector.Request) (page connector.Page, err error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return page, err
	}
	sp, err := s.begin(ctx, st, nil, true)
	if err != nil {
		return page, err
	}
	most := r.Limit.Rows
	if most <= 0 {
		most = previewRows
	}
	for _, p := range sp.parts {
		p.pos = max(p.pos, p.target-most)
	}
	newest, err := s.newest(ctx, st, sp, int(min(most, maxPreview)))
	if err != nil {
		return page, err
	}
	rows := s.rows(st, r.Dir)
	defer rows.Abort()
	for _, m := range newest {
		if err := rows.Add(ctx, m); err != nil {
			return page, err
		}
	}
	return page, rows.Finish(&page)
}

const (
	previewRows = 10
	maxPreview  = 10_000
)

// newest reads a span and keeps the newest messages, in the order of their time.
func (s *source) newest(ctx context.Context, st stream, sp *span, most int) (kept []*kgo.Record, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks, result, err := s.fetch(reading, st, sp)
	if err != nil {
		return nil, err
	}
	for c := range chunks {
		kept = append(kept, c.records...)
		slices.SortStableFunc(kept, func(a, b *kgo.Record) int { return a.Timestamp.Compare(b.Timestamp) })
		kept = slices.Clone(kept[max(0, len(kept)-most):])
	}
	return kept, result()
}
