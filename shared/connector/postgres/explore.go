package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// Discover lists the tables and views that the role may read.
func (s *source) Discover(ctx context.Context) ([]connector.Discovered, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.done(c)
	ctx, cancel := question(ctx)
	defer cancel()
	rows, err := c.Query(ctx, `SELECT n.nspname::text, c.relname::text, greatest(c.reltuples, 0)::bigint, CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) ELSE 0 END,
		a.names, a.types, coalesce(k.names, '{}'), a.ordered,
		c.relkind IN ('r', 'p') AND current_setting('wal_level') = 'logical' AND (c.relreplident IN ('f', 'i') OR c.relreplident = 'd' AND k.names IS NOT NULL)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		CROSS JOIN LATERAL (SELECT array_agg(attname::text ORDER BY attnum) AS names, array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) AS types,
			bool_or(atttypid IN ('int4'::regtype, 'int8'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)) AS ordered
			FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a
		LEFT JOIN LATERAL (SELECT array_agg(t.attname::text ORDER BY i.n) AS names FROM pg_index x CROSS JOIN unnest(x.indkey) WITH ORDINALITY i(attnum, n)
			JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = i.attnum WHERE x.indrelid = c.oid AND x.indisprimary AND i.n <= x.indnkeyatts) k ON true
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
			AND a.names IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') ORDER BY 1, 2`)
	if err != nil {
		return nil, failed("list the tables of", s.cfg.Name, err)
	}
	out, err := pgx.CollectRows(rows, s.discovered)
	return out, failed("list the tables of", s.cfg.Name, err)
}

func (s *source) discovered(row pgx.CollectableRow) (d connector.Discovered, err error) {
	var schema, table string
	var columns, kinds []string
	var ordered, changes bool
	if err = row.Scan(&schema, &table, &d.Rows, &d.Bytes, &columns, &kinds, &d.Key, &ordered, &changes); err != nil {
		return d, err
	}
	d.Name = schema + "." + table
	for i, n := range columns {
		d.Columns = append(d.Columns, connector.DiscoveredColumn{Name: n, Type: kinds[i]})
	}
	if changes {
		d.Modes = append(d.Modes, modeCDC)
	}
	if ordered {
		d.Modes = append(d.Modes, modeWatermark)
	}
	d.Modes = append(d.Modes, modeFull)
	for _, st := range s.sorted() {
		if st.schema == schema && st.table == table && d.Stream == "" {
			d.Stream = st.name
		}
	}
	return d, nil
}

// sorted are the streams by name.
func (s *source) sorted() []stream {
	var out []stream
	for _, st := range s.streams {
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b stream) int { return strings.Compare(a.name, b.name) })
	return out
}

// previewRows is how many rows a preview has where nobody says.
const previewRows = 100

// Preview reads some rows of a stream's table. No slot is touched.
func (s *source) Preview(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return connector.Page{}, err
	}
	defer s.done(c)
	t, err := s.lock(ctx, c, st)
	if err != nil {
		return connector.Page{}, err
	}
	var published []string
	if st.mode == modeCDC {
		for _, col := range t.columns {
			if !col.generated {
				published = append(published, col.name)
			}
		}
	}
	columns, err := t.selected(st, published)
	if err != nil {
		return connector.Page{}, err
	}
	at, err := s.flushed(ctx, c)
	if err != nil {
		return connector.Page{}, err
	}
	files := spool.New(r.Dir, t.String())
	defer files.Abort()
	to := &copied{sheet: newSheet(files, names(columns), t.decoders(columns), st.mode == modeCDC), meter: newMeter(r, 0)}
	if st.mode == modeCDC {
		to.meta = func() { to.sheet.meta.snapshot(opRead, at, sequence("", at, 0)) }
	}
	n := r.Limit.Rows
	if n <= 0 {
		n = previewRows
	}
	if err := s.copy(ctx, c, t, fmt.Sprintf("COPY (SELECT %s FROM %s LIMIT %d) TO STDOUT", list(names(columns)), t.from(), n), to); err != nil {
		return connector.Page{}, err
	}
	if err := to.sheet.rows.Flush(); err != nil {
		return connector.Page{}, err
	}
	parts, err := files.Parts()
	return connector.Page{Parts: parts}, err
}

// finding makes one of an error.
func finding(what, detail string, err error) connector.Finding {
	if err == nil {
		return connector.Finding{What: what, OK: true, Detail: detail}
	}
	hint := fault.HintOf(err)
	if hint == "" {
		hint = "docs/sources-postgres.md tells what is needed"
	}
	return connector.Finding{What: what, Detail: err.Error(), Hint: hint}
}
