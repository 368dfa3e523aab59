// Package postgres is the connector for PostgreSQL 14 and later. A stream is a table, read in one of three ways.
//
// Mode cdc reads the rows that a table has, and from there on every change, from a replication slot of the stream's own. Mode watermark asks
// again and again for the rows whose cursor column is beyond the greatest value so far. Mode full reads the whole table every time.
//
// A source remembers nothing from call to call but a connection: where it goes on is in the position alone. The server
// is told that it may forget changes only when the position behind them is in the table's own commit.
package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// source reads the tables of a database.
type source struct {
	cfg      connector.Config
	streams  map[string]stream
	timeout  time.Duration // of a statement that reads rows
	patience time.Duration // with somebody else who uses a slot
	slotTime time.Duration // to create a slot
	tries    uint          // to connect

	mu     sync.Mutex
	left   *conn // over from the last question
	closed bool
}

var (
	_ connector.Source       = (*source)(nil)
	_ connector.Acknowledger = (*source)(nil)
	_ connector.Explorer     = (*source)(nil)
)

// New makes a source. It connects when it is asked something.
func New(_ context.Context, cfg connector.Config) (connector.Source, error) {
	s := &source{cfg: cfg, streams: map[string]stream{}, timeout: cfg.Settings.Duration("statement_timeout", defaultTimeout), patience: busyTimeout, slotTime: slotTimeout, tries: connectTries}
	for name, settings := range cfg.Streams {
		st, err := newStream(cfg, name, settings)
		if err != nil {
			return nil, err
		}
		s.streams[name] = st
	}
	return s, nil
}

// Close ends the connection that may be left over.
func (s *source) Close() error {
	s.mu.Lock()
	left := s.left
	s.left, s.closed = nil, true
	s.mu.Unlock()
	left.close()
	return nil
}

func (s *source) stream(name string) (stream, error) {
	st, ok := s.streams[name]
	if !ok {
		return st, fault.New(fault.InvalidInput, "read stream", s.cfg.Name+"."+name, "no such stream")
	}
	return st, nil
}

// Next reads the next page into r.Dir.
func (s *source) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	cur, err := st.readCursor(r.Seen)
	if err != nil {
		return connector.Page{}, err
	}
	if r.Window != nil && st.mode != modeWatermark {
		return connector.Page{}, fault.New(fault.InvalidInput, "read again", s.object(st), "a stream of mode %s has no cursor column", st.mode).
			WithHint("only streams of mode watermark can read a range again (%s)", st.at)
	}
	switch {
	case st.mode == modeWatermark:
		return s.nextByMark(ctx, st, cur, r)
	case st.mode == modeFull:
		return s.nextOfLoad(ctx, st, cur, r)
	case cur == nil || !cur.Snapshot.Done:
		return s.nextOfSnapshot(ctx, st, cur, r)
	}
	return s.nextChanges(ctx, st, cur, r)
}

// Pending tells how much lies beyond a position.
func (s *source) Pending(ctx context.Context, streamName string, seen connector.Position) (connector.Backlog, error) {
	st, err := s.stream(streamName)
	if err != nil {
		return connector.Backlog{}, err
	}
	cur, err := st.readCursor(seen)
	if err != nil {
		return connector.Backlog{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Backlog{}, err
	}
	defer s.done(c)
	switch {
	case st.mode == modeWatermark:
		return s.pendingByMark(ctx, c, st, cur)
	case st.mode == modeFull || cur == nil || !cur.Snapshot.Done:
		return s.pendingRows(ctx, c, st, cur)
	}
	return s.pendingChanges(ctx, c, st, cur)
}

// Acknowledge lets the server drop the log before a position that is committed. Other modes have nothing to let go of.
func (s *source) Acknowledge(ctx context.Context, streamName string, committed connector.Position) error {
	st, err := s.stream(streamName)
	if err != nil {
		return err
	}
	cur, err := st.readCursor(committed)
	if err != nil || cur == nil || st.mode != modeCDC {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer s.done(c)
	return s.advance(ctx, c, st, cur.LSN)
}
