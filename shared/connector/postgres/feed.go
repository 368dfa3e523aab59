package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakestep/lakestep/shared/fault"
)

// feed is the stream of changes from a slot.
type feed struct {
	conn      *pgconn.PgConn
	confirmed lsn // the only position that the server is told is safe
	stop      func() bool
	now       time.Time // looked at now and then
	calls     int       // since then
	asked     time.Time // when a sign of life was asked for
	heard     time.Time // when the server last said something
	alive     time.Time // when it last said how far it is
	patience  time.Duration
}

const (
	tick    = 100 * time.Millisecond // how long a message is waited for at a time
	askEach = 300 * time.Millisecond // how often the server is asked how far it is
)

// message is one of the feed: data of the plugin, or how far the server has decoded its log, or neither when none came in time.
type message struct {
	data  []byte // until the next call
	alive bool   // the server is at
	at    lsn
}

// start opens the stream from a position on: what was committed before it does not come. With early, large transactions come before they end.
func (s *source) start(ctx context.Context, c *conn, r *pgconn.PgConn, st stream, from lsn, early bool) (*feed, error) {
	options := []string{"proto_version '2'", "publication_names " + quote(name(st.publication))}
	if early {
		options = append(options, "streaming 'on'")
	}
	for deadline := time.Now().Add(s.patience); ; {
		reading, cancel := s.reading(ctx)
		err := pglogrepl.StartReplication(reading, r, st.slot, pglogrepl.LSN(from), pglogrepl.StartReplicationOptions{Mode: pglogrepl.LogicalReplication, PluginArgs: options})
		cancel()
		if err == nil {
			break
		}
		if !inUse(err) {
			return nil, err
		}
		if time.Now().After(deadline) {
			sl, _ := s.slotOf(ctx, c, st)
			return nil, s.busy(st, sl, "read changes from", err)
		}
		if err := settle(ctx, r); err != nil {
			return nil, failed("read changes from slot", st.slot, err)
		}
	}
	f := &feed{conn: r, confirmed: from, heard: time.Now(), patience: s.timeout}
	f.stop = context.AfterFunc(ctx, func() { _ = r.Conn().SetDeadline(time.Unix(1, 0)) })
	return f, nil
}

// settle waits for the server to be ready again after a refusal, and a moment more.
func settle(ctx context.Context, r *pgconn.PgConn) error {
	ctx, cancel := question(ctx)
	defer cancel()
	for {
		m, err := r.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			return pause(ctx)
		}
	}
}

// lookEach is after how many messages the clock is looked at.
const lookEach = 64

// next gives the next message, or none after a short while.
func (f *feed) next(ctx context.Context) (message, error) {
	if f.calls++; f.calls >= lookEach || f.now.IsZero() {
		if err := f.look(ctx); err != nil {
			return message{}, err
		}
	}
	raw, err := f.conn.Frontend().Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		f.calls = lookEach
		return message{}, f.quiet()
	}
	if err != nil {
		return message{}, errors.Join(err, ctx.Err())
	}
	f.heard = f.now
	switch m := raw.(type) {
	case *pgproto3.CopyData:
		return f.copyData(ctx, m.Data)
	case *pgproto3.ErrorResponse:
		return message{}, pgconn.ErrorResponseToPgError(m)
	case *pgproto3.CopyDone:
		return message{}, net.ErrClosed
	}
	return message{}, nil
}

// look looks at the clock, asks the server how far it is if it is time, and lets the next messages be waited for.
func (f *feed) look(ctx context.Context) error {
	f.now, f.calls = time.Now(), 0
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.ask(ctx); err != nil {
		return err
	}
	return f.conn.Conn().SetReadDeadline(f.now.Add(tick))
}

// quiet gives a server up that says nothing for long.
func (f *feed) quiet() error {
	if time.Since(f.heard) > f.patience {
		return fmt.Errorf("the server was silent for %s: %w", f.patience, os.ErrDeadlineExceeded)
	}
	return nil
}

// ask has the server tell how far it is, now and then.
func (f *feed) ask(ctx context.Context) error {
	if time.Since(f.asked) < askEach {
		return nil
	}
	f.asked = time.Now()
	return f.status(ctx, true)
}

// answered tells whether the server answers, and so is idle when nothing comes.
func (f *feed) answered() bool { return time.Since(f.alive) < 3*askEach }

// status tells the server what is safe: nothing but the position where we began.
func (f *feed) status(ctx context.Context, reply bool) error {
	if err := f.conn.Conn().SetWriteDeadline(time.Now().Add(questionTimeout)); err != nil {
		return err
	}
	at := pglogrepl.LSN(f.confirmed)
	return pglogrepl.SendStandbyStatusUpdate(ctx, f.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: at, WALFlushPosition: at, WALApplyPosition: at, ReplyRequested: reply})
}

func (f *feed) copyData(ctx context.Context, b []byte) (message, error) {
	const header = 25 // of data: kind, start, end, time
	switch {
	case len(b) >= header && b[0] == pglogrepl.XLogDataByteID:
		return message{data: b[header:]}, nil
	case len(b) >= 18 && b[0] == pglogrepl.PrimaryKeepaliveMessageByteID:
		at := lsn(binary.BigEndian.Uint64(b[1:]))
		f.alive = time.Now()
		if b[17] == 1 {
			return message{alive: true, at: at}, f.status(ctx, false)
		}
		return message{alive: true, at: at}, nil
	}
	return message{}, fmt.Errorf("a message %q of the replication protocol that is not known", b[:min(1, len(b))])
}

// close ends the stream without a word: the server notices, and nothing more is confirmed.
func (f *feed) close() {
	f.stop()
	closeReplication(f.conn)
}

func closeReplication(r *pgconn.PgConn) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = r.Close(ctx)
}

// brokenFeed makes a fault of an error of the stream.
func brokenFeed(st stream, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.Canceled) {
			return fault.New(fault.Unavailable, "read changes from slot", st.slot, "no answer in time").WithHint("the step is repeated; if it goes on, look into the server's log")
		}
		return failed("read changes from slot", st.slot, err)
	}
	switch {
	case pg.Code == "42704" && strings.Contains(pg.Message, "publication"):
		return lost(st, "publication %s was not there when something changed (%s)", st.publication, pg.Code)
	case pg.Code == "58P01" || pg.Code == "55000" && strings.Contains(pg.Message, "slot"): // the log is gone; the slot is invalid
		return lost(st, "%s (%s)", pg.Message, pg.Code)
	case pg.Code == "42704":
		return lost(st, "there is no such slot any more (%s)", pg.Code)
	case pg.Code == "42501":
		return fault.New(fault.InvalidInput, "read changes from slot", st.slot, "the role may not replicate").WithHint("ALTER ROLE ... REPLICATION: docs/sources-postgres.md")
	}
	return failed("read changes from slot", st.slot, err)
}
