package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/fault"
)

const (
	slotTimeout = time.Minute     // to create a slot: the server waits for the transactions that are open
	busyTimeout = 5 * time.Second // to wait for a slot that is in use
	plugin      = "pgoutput"
)

// slot is a replication slot as the server tells of it.
type slot struct {
	kind, plugin       string
	ours               bool // it is of this database
	pid                int  // who uses it; 0: nobody
	confirmed          lsn  // what lies before may be gone; 0: it is being made
	walStatus, invalid string
}

func (s *source) slotOf(ctx context.Context, c *conn, st stream) (*slot, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	var out slot
	var confirmed string
	err := c.QueryRow(ctx, `SELECT slot_type, coalesce(plugin::text, ''), coalesce(database = current_database(), false), coalesce(active_pid, 0), coalesce(confirmed_flush_lsn::text, '0/0'),
		coalesce(wal_status, ''), coalesce(to_jsonb(s)->>'invalidation_reason', CASE WHEN to_jsonb(s)->>'conflicting' = 'true' THEN 'conflicting' END, '')
		FROM pg_replication_slots s WHERE slot_name = $1`, st.slot).Scan(&out.kind, &out.plugin, &out.ours, &out.pid, &confirmed, &out.walStatus, &out.invalid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		out.confirmed, err = parseLSN(confirmed)
	}
	return &out, failed("look for slot", st.slot, err)
}

// usable refuses a slot that is somebody else's, or of no use any more.
func (sl *slot) usable(st stream) error {
	switch {
	case sl.kind != "logical" || sl.plugin != plugin:
		return fault.New(fault.InvalidInput, "read changes from slot", st.slot, "it is a %s slot of the plugin %q, not of %s", sl.kind, sl.plugin, plugin).WithHint("name another slot (%s)", st.at)
	case !sl.ours:
		return fault.New(fault.InvalidInput, "read changes from slot", st.slot, "it is of another database").WithHint("name another slot (%s)", st.at)
	case sl.walStatus == "lost" || sl.invalid != "":
		return lost(st, "the server has given the slot up (%s %s): it kept more of the log than max_slot_wal_keep_size lets it", sl.walStatus, sl.invalid)
	}
	return nil
}

// lost says that the changes from a position on can not be had any more.
func lost(st stream, format string, args ...any) error {
	return fault.New(fault.SourceLost, "read changes from slot", st.slot, format, args...).
		WithHint("changes may be lost, so nothing is skipped: begin anew with lakestep run --full-refresh (docs/sources-postgres.md)")
}

// keeps checks that the slot still has the changes from a position on.
func (s *source) keeps(ctx context.Context, c *conn, st stream, at lsn) (*slot, error) {
	sl, err := s.slotOf(ctx, c, st)
	switch {
	case err != nil:
		return nil, err
	case sl == nil:
		return nil, lost(st, "there is no such slot any more: somebody dropped it, or the server was replaced")
	}
	if err := sl.usable(st); err != nil {
		return nil, err
	}
	if sl.confirmed > at {
		return nil, lost(st, "the slot is at %s, the table at %s: somebody else read from it, or the table was set back", sl.confirmed, at)
	}
	return sl, nil
}

// dropLost drops a slot that is of no use any more, when an operator begins anew.
func (s *source) dropLost(ctx context.Context, c *conn, st stream) error {
	sl, err := s.slotOf(ctx, c, st)
	if err != nil || sl == nil || fault.KindOf(sl.usable(st)) != fault.SourceLost {
		return err
	}
	ctx, cancel := question(ctx)
	defer cancel()
	_, err = c.Exec(ctx, "SELECT pg_drop_replication_slot($1)", st.slot)
	return s.busy(st, sl, "drop", err)
}

// advance lets the server drop the log before a position. It never goes back.
func (s *source) advance(ctx context.Context, c *conn, st stream, to lsn) error {
	for deadline := time.Now().Add(s.patience); ; {
		sl, err := s.slotOf(ctx, c, st)
		if err != nil {
			return err
		}
		if sl == nil {
			return lost(st, "there is no such slot any more: somebody dropped it, or the server was replaced")
		}
		if err := sl.usable(st); err != nil || sl.confirmed >= to {
			return err
		}
		reading, cancel := s.reading(ctx)
		_, err = c.Exec(reading, "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)", st.slot, to.String())
		cancel()
		if !inUse(err) || time.Now().After(deadline) {
			return s.busy(st, sl, "confirm", err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// inUse tells whether an error is that somebody uses the slot.
func inUse(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55006"
}

// busy says who uses a slot, if that is what went wrong.
func (s *source) busy(st stream, sl *slot, op string, err error) error {
	if !inUse(err) {
		return failed(op+" slot", st.slot, err)
	}
	who := ""
	if sl != nil && sl.pid != 0 {
		who = " with pid " + strconv.Itoa(sl.pid)
	}
	return fault.New(fault.Unavailable, op+" slot", st.slot, "another process%s uses it", who).
		WithHint("wait for the other run, or, if there is none, end what it left behind: SELECT pg_terminate_backend(pid)")
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "wait for", "the server", "%w", ctx.Err())
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// released waits until a slot's reader of ours is gone, so that the next one finds it free.
func (s *source) released(ctx context.Context, c *conn, st stream, pid uint32) {
	for deadline := time.Now().Add(s.patience); time.Now().Before(deadline); {
		sl, err := s.slotOf(ctx, c, st)
		if err != nil || sl == nil || sl.pid != int(pid) || pause(ctx) != nil {
			return
		}
	}
}

// exported is a snapshot that other transactions can take over, as long as the connection lives that made it.
type exported struct {
	name string
	at   lsn // it sees what was committed before, and nothing else; 0: not known
}

// createSlot makes a slot, and exports the snapshot of the very place where it begins.
func (s *source) createSlot(ctx context.Context, r *pgconn.PgConn, st stream, temporary bool) (exported, error) {
	ctx, cancel := context.WithTimeout(ctx, s.slotTime)
	defer cancel()
	slotName := st.slot
	if temporary {
		slotName = fmt.Sprintf("lakestep_snapshot_%d", r.PID()) // it lives as long as the connection
	}
	made, err := pglogrepl.CreateReplicationSlot(ctx, r, slotName, plugin, pglogrepl.CreateReplicationSlotOptions{Temporary: temporary, SnapshotAction: "EXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication})
	if err != nil {
		return exported{}, s.noSlot(ctx, slotName, err)
	}
	at, err := parseLSN(made.ConsistentPoint)
	return exported{made.SnapshotName, at}, failed("create slot", slotName, err)
}

func (s *source) noSlot(ctx context.Context, slotName string, err error) error {
	refused := func(kind fault.Kind, message, hint string) error {
		return fault.New(kind, "create slot", slotName, "%s", message).WithHint("%s", hint)
	}
	var pg *pgconn.PgError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return refused(fault.Unavailable, "the server still waits for transactions that were open when it began",
			"a slot can begin only when they have ended: SELECT pid, xact_start FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start, and pg_prepared_xacts")
	case !errors.As(err, &pg):
	case pg.Code == "42710": // duplicate_object
		return refused(fault.Unavailable, "another process has just made it", "the step is repeated")
	case pg.Code == "42501":
		return refused(fault.InvalidInput, "the role may not replicate", "ALTER ROLE ... REPLICATION; on Amazon RDS GRANT rds_replication: docs/sources-postgres.md")
	case pg.Code == "55000": // object_not_in_prerequisite_state
		return refused(fault.InvalidInput, pg.Message, "set wal_level = logical and restart the server; on Amazon RDS rds.logical_replication = 1, on Azure wal_level in the server parameters")
	case pg.Code == "53400": // configuration_limit_exceeded
		return refused(fault.Throttled, pg.Message, "raise max_replication_slots, or drop slots that nobody reads: SELECT slot_name, active FROM pg_replication_slots; a snapshot needs one more for a time")
	}
	return failed("create slot", slotName, err)
}
