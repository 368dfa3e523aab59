package kafka

import (
	"context"
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/kafka/internal/message"
	"github.com/lakestep/lakestep/shared/fault"
)

// Pending asks the brokers how many messages lie beyond a position. They are counted by offsets: some may be of aborted transactions, or were
// compacted away.
func (s *source) Pending(ctx context.Context, name string, seen connector.Position) (connector.Backlog, error) {
	st, err := s.stream(name)
	if err != nil {
		return connector.Backlog{}, err
	}
	from, err := parse(st, seen)
	if err != nil {
		return connector.Backlog{}, err
	}
	sp, err := s.begin(ctx, st, from, false)
	if err != nil {
		return connector.Backlog{}, err
	}
	b := connector.Backlog{Items: sp.open(), Rows: sp.left()}
	if sp.moved { // the first page fixes where the topic begins
		b.Items = max(1, b.Items)
	}
	return b, nil
}

// Next gives what lies between a position and the ends that the partitions have now.
func (s *source) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	if r.Window != nil {
		return connector.Page{}, fault.New(fault.InvalidInput, "read topic", st.topic, "a topic has no ranges to read again").
			WithHint("read all that it still has again: lakestep run --full-refresh TABLE")
	}
	from, err := parse(st, r.Seen)
	if err != nil {
		return connector.Page{}, err
	}
	sp, err := s.begin(ctx, st, from, r.Refresh)
	if err != nil {
		return connector.Page{}, err
	}
	if sp.left() == 0 {
		if !sp.moved {
			return connector.Page{}, nil
		}
		return connector.Page{Cursor: cursor(sp)}, nil
	}
	return s.page(ctx, st, r, sp)
}

func cursor(sp *span) json.RawMessage {
	b, err := json.Marshal(sp.position())
	if err != nil {
		panic(err) // numbers and texts
	}
	return b
}

// taker takes the messages of a page.
type taker struct {
	request connector.Request
	span    *span
	rows    *message.Rows
	bytes   int64
	start   time.Time
	shown   time.Time
	first   int64 // what was left in the beginning
}

func (s *source) rows(st stream, dir string) *message.Rows {
	return message.NewRows(message.Options{Dir: dir, Origin: st.topic, Value: st.value, Key: st.key, Registry: s.registry})
}

func (s *source) page(ctx context.Context, st stream, r connector.Request, sp *span) (page connector.Page, err error) {
	t := &taker{request: r, span: sp, rows: s.rows(st, r.Dir), start: time.Now(), first: sp.left()}
	defer t.rows.Abort()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks, result, err := s.fetch(reading, st, sp)
	if err != nil {
		return page, err
	}
	more := false
	for c := range chunks {
		if more || err != nil {
			continue // until the reader has noticed that it is to stop
		}
		more, err = t.take(ctx, c)
		if more || err != nil {
			stop()
		}
		t.progress(false)
	}
	if err == nil && !more {
		err = result()
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return page, s.failed(ctx, "read topic", st.topic, err)
	}
	if err := t.rows.Finish(&page); err != nil {
		return connector.Page{}, err
	}
	t.progress(true)
	page.Cursor, page.More = cursor(sp), more && sp.left() > 0
	return page, nil
}

// take takes the messages of a chunk, up to the target; full tells that the page has enough.
func (t *taker) take(ctx context.Context, c chunk) (full bool, err error) {
	p := t.part(c.part)
	for i, m := range c.records {
		if m.Offset >= p.target {
			break
		}
		if i%1000 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if t.full(size(m)) {
			t.reached(p, c, m.Offset)
			return true, nil
		}
		if err := t.rows.Add(ctx, m); err != nil {
			return false, err
		}
		t.bytes += size(m)
	}
	t.reached(p, c, min(c.next, p.target))
	return t.full(0) && t.span.left() > 0, nil
}

func (t *taker) part(id int32) *part {
	for _, p := range t.span.parts {
		if p.id == id {
			return p
		}
	}
	panic("a chunk of a partition that is not in the span")
}

// reached moves a partition's position.
func (t *taker) reached(p *part, c chunk, offset int64) {
	p.epoch = epochBefore(c.epochs, offset, p.epoch)
	p.pos = offset
}

// full tells whether the page has enough, or a message of so many bytes would be too much: one it has at least.
func (t *taker) full(next int64) bool {
	rows, rejected := t.rows.Rows()
	limit := t.request.Limit
	return limit.Reached(rows+rejected, t.bytes) || t.rows.Full() || limit.Bytes > 0 && t.bytes > 0 && t.bytes+next > limit.Bytes
}

// size is about what a message brings, in bytes.
func size(m *kgo.Record) int64 {
	n := len(m.Key) + len(m.Value) + 24
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}

// progress tells how far the page has come, a few times a second.
func (t *taker) progress(last bool) {
	now := time.Now()
	if t.request.Progress == nil || !last && now.Sub(t.shown) < 200*time.Millisecond {
		return
	}
	t.shown = now
	rows, rejected := t.rows.Rows()
	p := connector.Progress{Rows: rows + rejected, Bytes: t.bytes, Position: t.span.position().String()}
	if left := t.span.left(); left > 0 && left < t.first {
		p.Left = time.Duration(float64(now.Sub(t.start)) / float64(t.first-left) * float64(left))
	}
	t.request.Progress(p)
}

// Acknowledge commits a position to the consumer group, for those who watch its lag.
func (s *source) Acknowledge(ctx context.Context, name string, committed connector.Position) error {
	st, err := s.stream(name)
	if err != nil {
		return err
	}
	p, err := parse(st, committed)
	if err != nil || p == nil || s.heard(name, p) {
		return err
	}
	return s.commit(ctx, st, p)
}
