package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lakestep/lakestep/shared/fault"
)

// table is what the catalog says of a stream's table.
type table struct {
	oid      uint32
	schema   string
	name     string
	kind     string  // r table, p partitioned table, v view, m materialized view, f foreign table
	filenode int64   // where its rows are, and those of its partitions: another sum when one was rewritten
	blocks   uint32  // of the table, or of its largest partition
	tuples   float64 // estimated rows; -1: unknown
	size     int64   // bytes on disk
	columns  []column
	types    types
	primary  []string // columns of the primary key
	unique   []string // columns of the primary key, or of another unique key without NULLs
	identity []string // columns that changes tell the old row by
	full     bool     // changes tell the whole old row
	without  []string // the table or its partitions whose changes would not tell which row they are of
}

// column is one of a table.
type column struct {
	name      string
	typeOID   uint32
	typmod    int32
	sqlType   string // for a cast
	notNull   bool
	generated bool
	byteOrder bool // of text: it sorts by its bytes
}

func (t *table) String() string { return t.schema + "." + t.name }

// from is the table in a FROM clause: without the tables that inherit from it, whose rows are theirs.
func (t *table) from() string {
	if t.kind == "r" {
		return "ONLY " + name(t.schema, t.name)
	}
	return name(t.schema, t.name)
}

// column finds one by name.
func (t *table) column(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

// lock begins a transaction that reads a table and keeps it from being altered, and describes the table.
func (s *source) lock(ctx context.Context, c *conn, st stream) (*table, error) {
	before, err := s.measure(ctx, c, st)
	if err != nil {
		return nil, err
	}
	ctx, cancel := question(ctx)
	defer cancel()
	if _, err := c.PgConn().Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "+before.touch()).ReadAll(); err != nil {
		return nil, failed("lock", before.String(), err)
	}
	return s.same(ctx, c, st, before)
}

// touch is a statement that locks the table as every reader does: it needs the right to read some column, where LOCK TABLE needs all.
func (t *table) touch() string { return "SELECT FROM " + t.from() + " LIMIT 0" }

// same describes a table that somebody holds now, and checks that it was not rewritten since it was described before the snapshot was taken: where ALTER
// TABLE or TRUNCATE has put a table into new files, older snapshots find nothing in them.
func (s *source) same(ctx context.Context, c *conn, st stream, before *table) (*table, error) {
	t, err := s.describe(ctx, c, st)
	if err != nil {
		return nil, err
	}
	if t.oid != before.oid || t.filenode != before.filenode {
		return nil, fault.New(fault.Unavailable, "read", before.String(), "the table was rewritten or truncated at this very moment").WithHint("the step is repeated")
	}
	t.blocks, t.tuples, t.size = before.blocks, before.tuples, before.size
	return t, nil
}

// object is what a stream is called in messages.
func (s *source) object(st stream) string { return s.cfg.Name + "." + st.name }

// noTable says that there is no such table, and which ones could be meant.
func (s *source) noTable(ctx context.Context, c *conn, st stream) error {
	f := fault.New(fault.InvalidInput, "read", st.schema+"."+st.table, "there is no such table in the database")
	rows, err := c.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r','p','v','m','f') ORDER BY 1 LIMIT 3`, st.table)
	if err == nil {
		if near, err := pgx.CollectRows(rows, pgx.RowTo[string]); err == nil && len(near) > 0 {
			return f.WithHint("there is %s (%s)", strings.Join(near, " and "), st.at)
		}
	}
	return f.WithHint("lakestep source ls tells the tables; names are case-sensitive, and without a schema it is public (%s)", st.at)
}

// measure describes a table and asks how large it is, for which the server takes a lock on it for a moment.
func (s *source) measure(ctx context.Context, c *conn, st stream) (*table, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	t, err := s.describe(ctx, c, st)
	if err != nil {
		return nil, err
	}
	var blocks int64
	err = c.QueryRow(ctx, `SELECT coalesce(max(pg_relation_size(oid)) / current_setting('block_size')::int, 0)::bigint, coalesce(sum(pg_table_size(oid)), 0)::bigint,
		coalesce(CASE WHEN bool_or(reltuples < 0) THEN -1 ELSE sum(reltuples) END, -1)::float8 FROM pg_class WHERE relkind IN ('r', 'm') AND oid IN `+leaves, t.oid).
		Scan(&blocks, &t.size, &t.tuples)
	t.blocks = uint32(blocks)
	return t, failed("describe", t.String(), err)
}

// describe reads the catalog alone: it waits for no lock. Who holds one, and has somebody wait to alter the table, must not ask for another.
func (s *source) describe(ctx context.Context, c *conn, st stream) (*table, error) {
	ctx, cancel := question(ctx)
	defer cancel()
	t := &table{schema: st.schema, name: st.table, types: types{}, tuples: -1}
	err := c.QueryRow(ctx, `SELECT c.oid, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, t.schema, t.name).Scan(&t.oid, &t.kind)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, s.noTable(ctx, c, st)
	case err == nil && !slices.Contains([]string{"r", "p", "v", "m", "f"}, t.kind):
		return nil, fault.New(fault.InvalidInput, "read", t.String(), "it is no table or view").WithHint("see %s", st.at)
	}
	for _, read := range []func(context.Context, *conn) error{t.readFiles, t.readColumns, t.readKeys} {
		if err == nil {
			err = read(ctx, c)
		}
	}
	if err != nil {
		return nil, failed("describe", t.String(), err)
	}
	return t, nil
}

func (t *table) readFiles(ctx context.Context, c *conn) error {
	return c.QueryRow(ctx, "SELECT coalesce(sum(pg_relation_filenode(oid)::bigint), 0)::bigint FROM "+leaves+" l", t.oid).Scan(&t.filenode)
}

// leaves are the tables that hold the rows: partitions, or the table itself.
const leaves = `(WITH RECURSIVE tree AS (SELECT oid, relkind FROM pg_class WHERE oid = $1::oid
	UNION ALL SELECT c.oid, c.relkind FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid AND tree.relkind = 'p' JOIN pg_class c ON c.oid = i.inhrelid)
	SELECT oid FROM tree WHERE relkind <> 'p')`

func (t *table) readColumns(ctx context.Context, c *conn) error {
	rows, err := c.Query(ctx, `SELECT a.attname::text, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
		coalesce(CASE WHEN co.collname = 'default' THEN d.datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c'
			ELSE co.collname IN ('C', 'POSIX') END, false)
		FROM pg_attribute a LEFT JOIN pg_collation co ON co.oid = a.attcollation JOIN pg_database d ON d.datname = current_database()
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, t.oid)
	if err != nil {
		return err
	}
	var col column
	var oids []uint32
	_, err = pgx.ForEachRow(rows, []any{&col.name, &col.typeOID, &col.typmod, &col.sqlType, &col.notNull, &col.generated, &col.byteOrder}, func() error {
		t.columns = append(t.columns, col)
		oids = append(oids, col.typeOID)
		return nil
	})
	if err != nil {
		return err
	}
	return t.types.load(ctx, c, oids)
}

// readKeys reads which columns tell rows apart, and which of them changes carry.
func (t *table) readKeys(ctx context.Context, c *conn) error {
	rows, err := c.Query(ctx, `SELECT i.indisprimary, i.indisreplident, i.indimmediate AND bool_and(a.attnotnull), array_agg(a.attname::text ORDER BY k.n)
		FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
		GROUP BY i.indexrelid, i.indisprimary, i.indisreplident, i.indimmediate ORDER BY i.indisprimary DESC, i.indexrelid`, t.oid)
	if err != nil {
		return err
	}
	var primary, replica, usable bool
	var columns, index []string
	_, err = pgx.ForEachRow(rows, []any{&primary, &replica, &usable, &columns}, func() error {
		if primary {
			t.primary = slices.Clone(columns)
		}
		if replica {
			index = slices.Clone(columns)
		}
		if t.unique == nil && (primary || usable) {
			t.unique = slices.Clone(columns)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.replicaIdentity(ctx, c, index)
}

// replicaIdentity reads what changes tell of the old row. Of a partitioned table that is said of each partition.
func (t *table) replicaIdentity(ctx context.Context, c *conn, index []string) error {
	var byIndex bool
	err := c.QueryRow(ctx, `SELECT coalesce(bool_and(c.relreplident = 'f'), false), coalesce(bool_and(c.relreplident = 'i'), false),
		coalesce(array_agg(c.oid::regclass::text) FILTER (WHERE c.relreplident = 'n'
			OR c.relreplident = 'd' AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
			OR c.relreplident = 'i' AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)), '{}')
		FROM pg_class c WHERE c.oid IN `+leaves, t.oid).Scan(&t.full, &byIndex, &t.without)
	if err != nil {
		return err
	}
	if t.identity = t.primary; byIndex {
		t.identity = index
	}
	return nil
}

// types are types of the catalog by oid. One that is not there any more is nil: its values are kept as text.
type types map[uint32]*pgType

// load adds types, and what they are made of.
func (ts types) load(ctx context.Context, c *conn, oids []uint32) error {
	var missing []uint32
	for _, oid := range oids {
		if _, ok := ts[oid]; !ok && !slices.Contains(missing, oid) {
			missing = append(missing, oid)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := c.Query(ctx, `WITH RECURSIVE t AS (
			SELECT oid, typname, typnamespace, typtype, typbasetype, typtypmod, typelem, typinput, typdelim FROM pg_type WHERE oid = ANY($1::oid[])
			UNION SELECT p.oid, p.typname, p.typnamespace, p.typtype, p.typbasetype, p.typtypmod, p.typelem, p.typinput, p.typdelim FROM pg_type p JOIN t ON p.oid = t.typbasetype OR p.oid = t.typelem AND t.typinput = 'array_in'::regproc)
		SELECT DISTINCT oid, CASE WHEN typnamespace = 'pg_catalog'::regnamespace THEN typname::text ELSE '' END, typtype = 'c', typbasetype, typtypmod,
			CASE WHEN typinput = 'array_in'::regproc THEN typelem ELSE 0 END::oid, typdelim::text = ',' FROM t`, missing)
	if err != nil {
		return err
	}
	found := map[uint32]typeRow{}
	var r typeRow
	_, err = pgx.ForEachRow(rows, []any{&r.oid, &r.name, &r.row, &r.base, &r.typmod, &r.element, &r.commas}, func() error {
		found[r.oid] = r
		return nil
	})
	if err != nil {
		return err
	}
	for _, oid := range missing {
		ts[oid] = resolve(found, oid, -1)
	}
	return nil
}

// typeRow is a row of pg_type.
type typeRow struct {
	oid, base, element uint32
	name               string
	typmod             int32
	row, commas        bool
}

// resolve goes down from domains to what they are made of. The outermost domain that has one gives the modifier.
func resolve(found map[uint32]typeRow, oid uint32, typmod int32) *pgType {
	r, ok := found[oid]
	if !ok {
		return nil
	}
	if typmod < 0 {
		typmod = r.typmod
	}
	if r.base != 0 {
		return resolve(found, r.base, typmod)
	}
	t := &pgType{name: r.name, typmod: typmod, row: r.row}
	if r.element != 0 && r.commas {
		t.element = resolve(found, r.element, -1)
	}
	return t
}

// selected are the columns of a stream, in the table's order.
func (t *table) selected(st stream, published []string) ([]column, error) {
	var out []column
	for _, c := range t.columns {
		if (published == nil || slices.Contains(published, c.name)) && (st.columns == nil || slices.Contains(st.columns, c.name)) {
			out = append(out, c)
		}
	}
	for _, want := range st.columns {
		if !slices.ContainsFunc(out, func(c column) bool { return c.name == want }) {
			return nil, fault.New(fault.InvalidInput, "read", t.String(), "it has no column %s, or its publication does not have it", want).WithHint("names are case-sensitive (%s)", st.at)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.InvalidInput, "read", t.String(), "it has no columns")
	}
	return out, nil
}

func names(columns []column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.name
	}
	return out
}

// list makes a list of identifiers.
func list(columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = name(c)
	}
	return strings.Join(out, ", ")
}
