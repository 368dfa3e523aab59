package snowflake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// Discover lists the tables and views of the database that the role sees; of the schema, when the source has one.
func (s *source) Discover(ctx context.Context) ([]connector.Discovered, error) {
	what := action{"discover", "database " + s.set.database, stream{}}
	db := quoted(s.set.database)
	where := "TABLE_SCHEMA <> 'INFORMATION_SCHEMA'"
	if s.set.schema != "" {
		where = "TABLE_SCHEMA = " + literal(s.set.schema)
	}
	tables, _, err := s.table(ctx, what, "SELECT TABLE_SCHEMA, TABLE_NAME, ROW_COUNT, BYTES FROM "+db+".INFORMATION_SCHEMA.TABLES WHERE "+where+" ORDER BY 1, 2")
	if err != nil {
		return nil, err
	}
	columns, _, err := s.table(ctx, what, "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE FROM "+db+
		".INFORMATION_SCHEMA.COLUMNS WHERE "+where+" ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION")
	if err != nil {
		return nil, err
	}
	of, keys := columnsOf(columns), s.keys(ctx, what)
	var out []connector.Discovered
	for _, t := range tables {
		name := text(t[0]) + "." + text(t[1])
		st := s.reader(text(t[0]), text(t[1]))
		d := connector.Discovered{Name: name, Columns: of[name], Key: keys[name], Modes: modes(of[name]), Stream: st.name}
		if len(d.Key) == 0 {
			d.Key = st.primary
		}
		d.Rows, _ = whole(t[2]) // what nobody knows is 0
		d.Bytes, _ = whole(t[3])
		out = append(out, d)
	}
	return append(out, s.queries(ctx)...), nil
}

func text(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// columnsOf sorts columns by their table.
func columnsOf(rows [][]*string) map[string][]connector.DiscoveredColumn {
	out := map[string][]connector.DiscoveredColumn{}
	for _, r := range rows {
		name, typ := text(r[0])+"."+text(r[1]), text(r[3])
		if typ == "NUMBER" && r[4] != nil {
			typ = fmt.Sprintf("NUMBER(%s,%s)", *r[4], text(r[5]))
		}
		out[name] = append(out[name], connector.DiscoveredColumn{Name: text(r[2]), Type: typ})
	}
	return out
}

// modes are how a table can be read, best first.
func modes(columns []connector.DiscoveredColumn) []string {
	ordered := func(c connector.DiscoveredColumn) bool {
		return strings.HasPrefix(c.Type, "TIMESTAMP") || strings.HasPrefix(c.Type, "NUMBER") || c.Type == "DATE"
	}
	if slices.ContainsFunc(columns, ordered) {
		return []string{"watermark", "full"}
	}
	return []string{"full"}
}

// reader is the configured stream that reads a table.
func (s *source) reader(schema, name string) stream {
	for _, st := range s.sorted() {
		if slices.Equal(st.table, []string{s.set.database, schema, name}) {
			return st
		}
	}
	return stream{}
}

// queries are the streams that read no table. One that cannot be described has no columns here: Check says why.
func (s *source) queries(ctx context.Context) (out []connector.Discovered) {
	for _, st := range s.sorted() {
		if st.table != nil {
			continue
		}
		d := connector.Discovered{Name: st.origin, Key: st.primary, Modes: []string{"full"}, Stream: st.name}
		if st.cursor != "" {
			d.Modes = []string{"watermark"}
		}
		columns, _ := s.describe(ctx, action{"describe", st.origin, st}, "SELECT * FROM "+st.relation)
		for _, c := range columns {
			d.Columns = append(d.Columns, connector.DiscoveredColumn{Name: c.name, Type: c.text()})
		}
		out = append(out, d)
	}
	return out
}

func (s *source) sorted() []stream {
	var out []stream
	for _, st := range s.streams {
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b stream) int { return strings.Compare(a.name, b.name) })
	return out
}

// keys are the primary keys by table, as far as they are declared and can be seen: they are a help, and their lack is no failure.
func (s *source) keys(ctx context.Context, what action) map[string][]string {
	in := "DATABASE " + quoted(s.set.database)
	if s.set.schema != "" {
		in = "SCHEMA " + quoted(s.set.database, s.set.schema)
	}
	rows, columns, err := s.table(ctx, what, "SHOW PRIMARY KEYS IN "+in)
	if err != nil {
		return nil
	}
	at := func(name string) int { return slices.IndexFunc(columns, func(c column) bool { return c.name == name }) }
	schema, table, col, seq := at("schema_name"), at("table_name"), at("column_name"), at("key_sequence")
	if min(schema, table, col, seq) < 0 {
		return nil
	}
	slices.SortStableFunc(rows, func(a, b []*string) int {
		m, _ := whole(a[seq])
		n, _ := whole(b[seq])
		return int(m - n)
	})
	out := map[string][]string{}
	for _, r := range rows {
		name := text(r[schema]) + "." + text(r[table])
		out[name] = append(out[name], text(r[col]))
	}
	return out
}

// Check tries the login, the role, the warehouse, the database, and each stream.
func (s *source) Check(ctx context.Context) []connector.Finding {
	row, err := s.row(ctx, action{"check", "login", stream{}}, 2, "SELECT CURRENT_USER(), CURRENT_ROLE()")
	if err != nil {
		return []connector.Finding{finding("login", err, "")}
	}
	out := []connector.Finding{finding("login", nil, "as "+text(row[0])), finding("role", nil, text(row[1]))}
	out = append(out, s.checkWarehouse(ctx), s.checkSchema(ctx))
	for _, st := range s.sorted() {
		out = append(out, s.checkStream(ctx, st)...)
	}
	return out
}

// finding is what came of a check: of an error, or that all is well.
func finding(what string, err error, detail string) connector.Finding {
	if err == nil {
		return connector.Finding{What: what, OK: true, Detail: detail}
	}
	return connector.Finding{What: what, Detail: err.Error(), Hint: or(fault.HintOf(err), "see docs/sources-snowflake.md")}
}

func (s *source) checkWarehouse(ctx context.Context) connector.Finding {
	what := action{"check", "warehouse " + or(s.set.warehouse, "of the user"), stream{}}
	row, err := s.row(ctx, what, 1, "SELECT CURRENT_WAREHOUSE()")
	if err == nil && row[0] == nil {
		err = fault.New(fault.InvalidInput, what.op, what.object, "it is not there, or may not be used").
			WithHint("GRANT USAGE ON WAREHOUSE %s TO ROLE %s", or(s.set.warehouse, "<warehouse>"), s.role())
	}
	if err != nil {
		return finding("warehouse", err, "")
	}
	return finding("warehouse", nil, text(row[0]))
}

func (s *source) checkSchema(ctx context.Context) connector.Finding {
	name := quoted(s.set.database)
	what := action{"check", "database " + s.set.database, stream{}}
	schema := or(s.set.schema, "PUBLIC")
	row, err := s.row(ctx, what, 1, "SELECT count(*) FROM "+name+".INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = "+literal(schema))
	switch {
	case err != nil:
		f := finding("database "+s.set.database, err, "")
		f.Hint = fmt.Sprintf("GRANT USAGE ON DATABASE %s TO ROLE %s", name, s.role())
		return f
	case text(row[0]) == "0" && s.set.schema != "":
		return finding("schema "+schema, fault.New(fault.InvalidInput, what.op, what.object, "there is no schema %s, or it may not be used", schema).
			WithHint("GRANT USAGE ON SCHEMA %s TO ROLE %s", quoted(s.set.database, schema), s.role()), "")
	}
	return finding("database "+s.set.database, nil, "")
}

// checkStream tries to read a row, and looks at the cursor column.
func (s *source) checkStream(ctx context.Context, st stream) []connector.Finding {
	name, what := "stream "+st.name, action{"check", st.origin, st}
	if _, err := s.query(ctx, what, "SELECT * FROM "+st.relation+" LIMIT 1"); err != nil {
		return []connector.Finding{finding(name, err, "")}
	}
	out := []connector.Finding{finding(name, nil, "reads "+st.origin)}
	if st.cursor == "" {
		return out
	}
	name += ", cursor_column " + st.cursor
	in, err := s.incremental(ctx, st)
	if err != nil {
		return append(out, finding(name, err, ""))
	}
	if !in.cursor.nullable {
		return append(out, finding(name, nil, in.cursor.typ+" NOT NULL"))
	}
	row, err := s.row(ctx, what, 1, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s IS NULL", st.relation, in.cursor.sql()))
	if err == nil && text(row[0]) != "0" {
		err = fault.New(fault.InvalidInput, "check", st.origin, "%s rows have no %s: they are never read", text(row[0]), in.cursor.name).
			WithHint("fill the column, or read a query that does: SELECT ..., coalesce(%s, ...) (%s)", in.cursor.name, st.at)
	}
	return append(out, finding(name, err, in.cursor.typ+", no row is without"))
}

// Preview gives some rows of a stream, whichever come first.
func (s *source) Preview(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	what := action{"preview", st.origin, st}
	all, err := s.describe(ctx, what, "SELECT * FROM "+st.relation)
	if err != nil {
		return connector.Page{}, err
	}
	list, columns, err := st.selected(all)
	if err != nil {
		return connector.Page{}, fault.New(fault.InvalidInput, "preview stream", st.name, "%w", err).WithHint("check columns and cursor_column (%s)", st.at)
	}
	n := r.Limit.Rows
	if n == 0 {
		n = previewRows
	}
	res, err := s.scan(ctx, what, fmt.Sprintf("SELECT %s FROM %s LIMIT %d", list, st.relation, n))
	if err != nil {
		return connector.Page{}, err
	}
	sp := spool.New(r.Dir, st.key())
	defer sp.Abort()
	never := func(int64, int64) bool { return false }
	rd := &reading{source: s, what: what, shape: shapeOf(columns, res.columns), spool: sp, full: never, tell: heard(r, "")}
	if _, err := rd.read(ctx, res.chunks, st.parallel); err != nil {
		return connector.Page{}, err
	}
	parts, err := sp.Parts()
	return connector.Page{Parts: parts}, err
}

// previewRows is how many rows a preview has that nobody limits.
const previewRows = 100
