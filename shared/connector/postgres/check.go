package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// checker collects findings over one connection.
type checker struct {
	*source
	c    *conn
	repl *pgconn.PgConn // nil: it could not be had
	out  []connector.Finding
}

// Check tries what loading needs.
func (s *source) Check(ctx context.Context) []connector.Finding {
	c, err := s.connect(ctx)
	if err != nil {
		return []connector.Finding{finding("connection", "", err)}
	}
	defer s.done(c)
	k := &checker{source: s, c: c}
	defer func() { closeReplication(k.repl) }()
	k.add("connection", fmt.Sprintf("PostgreSQL %d.%d", c.version/10000, c.version%10000), nil)
	streams := s.sorted()
	for _, st := range streams {
		if st.mode == modeCDC {
			k.replication(ctx)
			break
		}
	}
	for _, st := range streams {
		k.stream(ctx, st)
	}
	return k.out
}

func (k *checker) add(what, detail string, err error) {
	k.out = append(k.out, finding(what, detail, err))
}

// wrong is a finding of something that is there, but not as it should be.
func wrong(object, hint, format string, args ...any) error {
	return fault.New(fault.InvalidInput, "", object, format, args...).WithHint("%s", hint)
}

// replication checks what the server and the role need for mode cdc.
func (k *checker) replication(ctx context.Context) {
	if k.c.version < 140000 {
		k.add("version", "", wrong("", "upgrade the server, or read with mode watermark or full", "mode cdc needs PostgreSQL 14 or later, this is %d", k.c.version/10000))
	}
	ctx, cancel := question(ctx)
	defer cancel()
	var level string
	var keep, slots, senders int64
	var role bool
	err := k.c.QueryRow(ctx, `SELECT current_setting('wal_level'), (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
		current_setting('max_replication_slots')::bigint - (SELECT count(*) FROM pg_replication_slots),
		current_setting('max_wal_senders')::bigint - (SELECT count(*) FROM pg_stat_replication),
		(SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
			OR EXISTS (SELECT 1 FROM pg_roles WHERE rolname IN ('rds_replication', 'azure_replication') AND pg_has_role(current_user, oid, 'MEMBER'))`).Scan(&level, &keep, &slots, &senders, &role)
	if err != nil {
		k.add("replication", "", failed("read the settings of", k.cfg.Name, err))
		return
	}
	k.check("wal_level", level, level == "logical", "set wal_level = logical and restart the server; on Amazon RDS rds.logical_replication = 1")
	k.check("role", map[bool]string{true: "it may replicate", false: "it may not replicate"}[role], role, "ALTER ROLE ... REPLICATION; on Amazon RDS GRANT rds_replication")
	k.check("max_replication_slots", fmt.Sprintf("%d free", slots), slots >= 2, "raise max_replication_slots: each stream of mode cdc has a slot, and a snapshot needs one more for a time")
	k.check("max_wal_senders", fmt.Sprintf("%d free", senders), senders >= 1, "raise max_wal_senders")
	k.advise("max_slot_wal_keep_size", bound(keep), keep < 0,
		"without a bound a pipeline that stands still lets the log fill the server's disk: set max_slot_wal_keep_size to what the disk can spare")
	if k.repl, err = k.connectReplication(ctx); err != nil {
		k.add("replication connection", "", err)
		return
	}
	now, err := k.identify(ctx, k.repl, k.c)
	k.add("replication connection", "system "+now.System, err)
}

// bound is a size in megabytes for people.
func bound(megabytes int64) string {
	if megabytes < 0 {
		return "no bound"
	}
	return fmt.Sprintf("%d MB", megabytes)
}

func (k *checker) check(what, detail string, ok bool, hint string) {
	if ok {
		k.add(what, detail, nil)
	} else {
		k.add(what, "", wrong("", hint, "%s", detail))
	}
}

// advise is a finding that is well, with advice if there is need.
func (k *checker) advise(what, detail string, need bool, advice string) {
	k.add(what, detail, nil)
	if need {
		k.out[len(k.out)-1].Hint = advice
	}
}

// stream checks a stream's table, and what its mode needs.
func (k *checker) stream(ctx context.Context, st stream) {
	ctx, cancel := question(ctx)
	defer cancel()
	what := "stream " + st.name
	t, err := k.measure(ctx, k.c, st)
	if err == nil {
		err = k.readable(ctx, st, t)
	}
	if err != nil {
		k.add(what, "", err)
		return
	}
	k.add(what, fmt.Sprintf("%s, %d columns, about %.0f rows", t, len(t.columns), max(t.tuples, 0)), nil)
	switch st.mode {
	case modeWatermark:
		k.mark(ctx, what, st, t)
	case modeCDC:
		k.changes(ctx, what, st, t)
	}
}

// readable reads a row of the stream's columns, or none.
func (k *checker) readable(ctx context.Context, st stream, t *table) error {
	columns, err := t.selected(st, nil)
	if err != nil {
		return err
	}
	_, err = k.c.PgConn().Exec(ctx, fmt.Sprintf("SELECT %s FROM %s LIMIT 1", list(names(columns)), t.from())).ReadAll()
	return failed("read", t.String(), err)
}

// mark checks the cursor column: that it is one, that rows have a value in it, and how it is found.
func (k *checker) mark(ctx context.Context, what string, st stream, t *table) {
	b, err := k.openMark(ctx, k.c, st, t)
	if err != nil {
		k.add(what+": cursor_column", "", err)
		return
	}
	var indexed bool
	err = k.c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2)`, t.oid, st.cursorColumn).Scan(&indexed)
	if err != nil {
		k.add(what+": cursor_column", "", failed("describe", t.String(), err))
		return
	}
	k.advise(what+": cursor_column", st.cursorColumn+" "+b.col.sqlType, !indexed && t.kind != "v" && t.kind != "f", "no index begins with it, so each page looks at the whole table: CREATE INDEX ON "+name(t.schema, t.name)+" ("+name(st.cursorColumn)+")")
	never := "NOT (" + b.usual + ")"
	if st.hasEnd {
		never = "false"
	}
	const most = 10_000
	n := name(st.cursorColumn)
	got, err := b.one(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s IS NULL OR %s LIMIT %d) r", t.from(), n, never, most))
	if err != nil {
		k.add(what+": rows without a value", "", err)
		return
	}
	count, more := got[0], ""
	if count == fmt.Sprint(most) {
		more = " or more"
	}
	k.check(what+": rows without a value", fmt.Sprintf("%s%s rows have NULL, infinity or a year beyond 9999 in %s", count, more, st.cursorColumn), count == "0",
		"such rows are never read: give them a value, or read the table with mode cdc or full")
}

// changes checks what a stream of changes needs: a key, a publication, a slot.
func (k *checker) changes(ctx context.Context, what string, st stream, t *table) {
	k.add(what+": replica identity", identity(t), t.wholeIdentity(st))
	pub, err := k.published(ctx, k.c, st, t)
	switch {
	case err != nil:
		k.add(what+": publication", "", err)
	case pub == nil:
		k.mayPublish(ctx, what, st, t)
	default:
		k.advise(what+": publication", st.publication, len(pub.missing) > 0,
			fmt.Sprintf("it leaves out %s: ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", strings.Join(pub.missing, ", "), name(st.publication)))
	}
	k.slot(ctx, what, st)
}

func identity(t *table) string {
	if t.full {
		return "full"
	}
	return list(t.identity)
}

// mayPublish checks whether the first page can make the publication.
func (k *checker) mayPublish(ctx context.Context, what string, st stream, t *table) {
	var may bool
	err := k.c.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE') AND pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = $1`, t.oid).Scan(&may)
	if err == nil && !may {
		err = wrong(st.publication, "have the owner of the table, who needs CREATE on the database, run: "+createPublication(st, t), "there is no such publication, and the role may not create it")
	}
	k.add(what+": publication", st.publication+" will be created", failed("read publication", st.publication, err))
}

// slot checks the stream's slot and how much of the log it keeps.
func (k *checker) slot(ctx context.Context, what string, st stream) {
	sl, err := k.slotOf(ctx, k.c, st)
	if err == nil && sl != nil {
		err = sl.usable(st)
	}
	if err != nil {
		k.add(what+": slot", "", err)
		return
	}
	if sl == nil {
		k.add(what+": slot", st.slot+" will be created", nil)
		return
	}
	var kept int64
	err = k.c.QueryRow(ctx, `SELECT coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END, restart_lsn), 0)::bigint
		FROM pg_replication_slots WHERE slot_name = $1`, st.slot).Scan(&kept)
	detail := fmt.Sprintf("%s keeps %d MB of the log, slot_lag_bytes is %d MB", st.slot, kept>>20, st.slotLag>>20)
	if err == nil && kept > st.slotLag {
		err = wrong("", "run the pipeline more often, or end a transaction that is open for long; a slot that nobody needs: SELECT pg_drop_replication_slot('"+st.slot+"')", "%s", detail)
	}
	k.add(what+": slot", detail, failed("look for slot", st.slot, err))
}
