package dml

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// Merge brings rows of a source into the table. In its SQL, t is a row of the table and s one of the source. For each
// row, the first clause whose condition holds is what happens; without one the row stays as it is (a source row is
// passed over). More than one source row for one row of the table that a clause would change is an InvalidInput fault.
type Merge struct {
	Source             string   // SELECT
	Keys               []string // columns of both that must be equal: a row with a NULL in one matches nothing
	On                 string   // or the condition of a match over t and s, in place of Keys
	Matched            []Clause // for rows of the table with a match: update or delete
	NotMatched         []Clause // for rows of the source without one: insert (only s is known)
	NotMatchedBySource []Clause // for rows of the table without one: update or delete (only t is known)
	Evolve             Evolution
}

// Clause is one case of a merge.
type Clause struct {
	When   string            // condition; "" always
	Delete bool              // the row of the table goes; Set is not used
	Set    map[string]string // column to SQL expression; nil: every column of the source's row by name
}

// merging is a merge at work. Its temporary tables: source (the source's rows), pairs (_file, _pos, _s: rowid of source, _clause: from 1,
// 0 for none), alone (_file, _pos, _clause: rows of the table without a match that a clause changes).
type merging struct {
	*Table
	Merge
	snap                 *delta.Snapshot
	shape                *shape
	read                 delta.Predicate // rows of the table that can have a match
	source, pairs, alone string
	sourceSet            []assignment // every column of the source's row
	temporary            []string
}

func (m Merge) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	if snap.Version() < 0 {
		return nil, fault.New(fault.InvalidInput, "merge into", t.Delta.Prefix(), "%w", delta.ErrNoTable).WithHint("create the table first")
	}
	if err := m.check(t.Delta.Prefix()); err != nil {
		return nil, err
	}
	g := &merging{Table: t, Merge: m, snap: snap, read: delta.Predicate{Op: delta.OpTrue}}
	defer func() { t.drop(g.temporary...) }()
	for _, step := range []func(context.Context) error{g.load, g.fit, g.match, g.leftAlone} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c, err := g.change(ctx)
	if err != nil {
		return nil, err
	}
	o, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	p := g.shape.onto(o.plan)
	p.Read = g.read
	if len(m.NotMatched) > 0 { // a row that goes meanwhile would have let one of the source in
		if p.ReadFiles, err = g.matchedFiles(ctx, p); err != nil {
			return nil, err
		}
	}
	p.Operation = delta.Operation{Name: "MERGE", Parameters: m.parameters(), Metrics: o.metrics(map[string]int64{
		"numTargetRowsInserted": o.inserted, "numTargetRowsUpdated": o.updated, "numTargetRowsDeleted": o.deleted, "numTargetRowsCopied": o.copied,
		"numOutputRows": o.inserted + o.updated + o.copied,
	})}
	var rows int64
	err = g.Session.Row(ctx, "SELECT count(*) FROM "+g.source, &rows)
	p.Operation.Metrics["numSourceRows"] = rows
	return p, err
}

// check refuses what has no meaning.
func (m Merge) check(table string) error {
	wrong := func(what string) error { return fault.New(fault.InvalidInput, "merge into", table, "%s", what) }
	if (len(m.Keys) == 0) == (m.On == "") {
		return wrong("give either keys or the condition of a match")
	}
	for _, c := range m.NotMatched {
		if c.Delete {
			return wrong("a row of the source cannot be deleted")
		}
	}
	for _, c := range m.NotMatchedBySource {
		if !c.Delete && c.Set == nil {
			return wrong("a row without a match in the source must be deleted, or updated by expressions")
		}
	}
	return nil
}

// temporaryTable makes a temporary table that goes when the merge is done.
func (g *merging) temporaryTable(ctx context.Context, name, query string) (string, error) {
	table := g.temp(name)
	g.temporary = append(g.temporary, table)
	return table, g.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS\n%s", table, query))
}

// load reads the source, once.
func (g *merging) load(ctx context.Context) (err error) {
	if g.source, err = g.temporaryTable(ctx, "source", g.Source); err != nil {
		return err
	}
	if g.sourceSet, err = g.columnsOf(ctx, "SELECT * FROM "+g.source, "s"); err != nil {
		return err
	}
	for _, a := range g.sourceSet {
		if strings.EqualFold(a.column, "rowid") || strings.EqualFold(a.column, "_clause") {
			return fault.New(fault.InvalidInput, "merge into", g.Delta.Prefix(),
				"a column of the source may not be called %s, as one by which its rows are told apart is", a.column).WithHint("give it another name in the source")
		}
	}
	return nil
}

// set gives a clause's assignments.
func (g *merging) set(c Clause) []assignment {
	if c.Set == nil {
		return g.sourceSet
	}
	return assignments(c.Set)
}

// fit finds out what the schema becomes.
func (g *merging) fit(ctx context.Context) error {
	table, err := g.rows(ctx, g.snap, g.snap.Schema(), nil)
	if err != nil {
		return err
	}
	var all []values
	add := func(clauses []Clause, from string) {
		for _, c := range clauses {
			if !c.Delete {
				all = append(all, values{from, g.set(c)})
			}
		}
	}
	source := "(\n" + g.Source + "\n) AS s" // not the table of it, in which an untyped NULL has got a type
	add(g.Matched, fmt.Sprintf("%s AS t, %s", table, source))
	add(g.NotMatched, source)
	add(g.NotMatchedBySource, table+" AS t")
	g.shape, err = g.Table.shape(ctx, g.snap, g.Evolve, all...)
	return err
}

// on is the condition of a match.
func (m Merge) on() string {
	if m.On != "" {
		return "(\n" + m.On + "\n)"
	}
	out := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		out[i] = fmt.Sprintf("t.%[1]s = s.%[1]s", engine.Ident(k))
	}
	return strings.Join(out, " AND ")
}

// match finds the pairs.
func (g *merging) match(ctx context.Context) error {
	if len(g.NotMatchedBySource) == 0 {
		var err error
		if g.read, err = g.keyRange(ctx); err != nil {
			return err
		}
	}
	table, err := g.candidates(ctx)
	if err != nil {
		return err
	}
	g.pairs, err = g.temporaryTable(ctx, "pairs", fmt.Sprintf(
		"SELECT t._file, t._pos, s.rowid AS _s, %s AS _clause FROM %s AS s JOIN %s AS t ON %s", caseOf(g.Matched), g.source, table, g.on()))
	if err != nil {
		return err
	}
	return g.once(ctx)
}

// once makes sure that one row of the source at most would change a row of the table.
func (g *merging) once(ctx context.Context) error {
	twice, err := g.Session.Strings(ctx, fmt.Sprintf(
		"SELECT _file, _pos FROM %s WHERE _clause > 0 GROUP BY _file, _pos HAVING count(*) > 1 LIMIT 1", g.pairs))
	if err != nil || len(twice) == 0 {
		return err
	}
	rows, err := g.Session.Strings(ctx, fmt.Sprintf(`SELECT left(CAST(s AS VARCHAR), 300) FROM %s AS s JOIN %s AS m ON m._s = s.rowid
		WHERE m._file = %s AND m._pos = %s AND m._clause > 0 ORDER BY 1 LIMIT 2`, g.source, g.pairs, twice[0][0], twice[0][1]))
	if err != nil {
		return err
	}
	return fault.New(fault.InvalidInput, "merge into", g.Delta.Prefix(),
		"more than one row of the source would change one row of the table: %s and %s", rows[0][0], rows[1][0]).
		WithHint("choose among the source's rows first, so that each row of the table has one match at most")
}

// candidates is SQL for the rows of the files that can hold a match.
func (g *merging) candidates(ctx context.Context) (string, error) {
	pruned := map[string]bool{}
	for _, a := range g.snap.Prune(g.read).Files {
		pruned[fileKey(a)] = true
	}
	var numbers []int
	for i, a := range g.snap.Files() {
		if pruned[fileKey(a)] {
			numbers = append(numbers, i)
		}
	}
	return g.rows(ctx, g.snap, g.shape.snap.Schema(), numbers)
}

// keyRange is the condition that keys lie between the source's least and greatest: what is outside has no match. It is what lets merges of
// different keys go on side by side.
func (g *merging) keyRange(ctx context.Context) (delta.Predicate, error) {
	read := delta.Predicate{Op: delta.OpAnd}
	types, err := g.Session.RowTypes(ctx, "SELECT * FROM "+g.source)
	if err != nil {
		return read, err
	}
	for _, k := range g.Keys {
		f, ok := fieldOf(g.snap.Schema(), k)
		come, _ := fieldOf(types, k)
		have, comes := primitive(f.Type), primitive(come.Type)
		if !ok || !(isInteger(have) && isInteger(comes) || have == comes && (have == delta.String || have == delta.Date)) {
			continue
		}
		bounds, err := g.Session.Strings(ctx, fmt.Sprintf(
			"SELECT CAST(min(%[1]s) AS VARCHAR), CAST(max(%[1]s) AS VARCHAR) FROM %[2]s", engine.Ident(k), g.source))
		if err != nil {
			return read, err
		}
		if lo, hi := bounds[0][0], bounds[0][1]; lo != "" && hi != "" {
			read.Args = append(read.Args, delta.Predicate{Op: delta.OpGe, Column: []string{f.Name}, Values: []string{lo}},
				delta.Predicate{Op: delta.OpLe, Column: []string{f.Name}, Values: []string{hi}})
		}
	}
	if len(read.Args) == 0 {
		return delta.Predicate{Op: delta.OpTrue}, nil
	}
	return read, nil
}

func fieldOf(s delta.Schema, name string) (delta.Field, bool) {
	i := slices.IndexFunc(s.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return delta.Field{}, false
	}
	return s.Fields[i], true
}

func primitive(t delta.Type) delta.Primitive {
	p, _ := t.(delta.Primitive)
	return p
}

// leftAlone finds the rows of the table without a match, which a clause changes.
func (g *merging) leftAlone(ctx context.Context) (err error) {
	if len(g.NotMatchedBySource) == 0 {
		return nil
	}
	table, err := g.candidates(ctx)
	if err != nil {
		return err
	}
	g.alone, err = g.temporaryTable(ctx, "alone", fmt.Sprintf(
		"SELECT * FROM (SELECT t._file, t._pos, %s AS _clause FROM (SELECT * FROM %s ANTI JOIN %s USING (_file, _pos)) AS t) WHERE _clause > 0",
		caseOf(g.NotMatchedBySource), table, g.pairs))
	return err
}

// caseOf is the number of the clause whose condition holds, from 1.
func caseOf(clauses []Clause) string {
	if len(clauses) == 0 {
		return "0"
	}
	out := "CASE"
	for i, c := range clauses {
		when := c.When
		if when == "" {
			when = "true"
		}
		out += fmt.Sprintf(" WHEN (\n%s\n) THEN %d", when, i+1)
	}
	return out + " ELSE 0 END"
}

// change is what the pairs come to.
func (g *merging) change(ctx context.Context) (*change, error) {
	c := &change{Table: g.Table, snap: g.snap, after: g.shape.snap, schema: g.shape.snap.Schema(), checks: g.shape.checks}
	var err error
	if c.inserts, err = g.inserts(); err != nil {
		return nil, err
	}
	var deletes []string
	for _, part := range []struct {
		clauses []Clause
		table   string
	}{{g.Matched, g.pairs}, {g.NotMatchedBySource, g.alone}} {
		for i, clause := range part.clauses {
			if clause.Delete {
				deletes = append(deletes, fmt.Sprintf("SELECT _file, _pos FROM %s WHERE _clause = %d", part.table, i+1))
			}
		}
	}
	if len(deletes) > 0 {
		if c.deletes, err = g.temporaryTable(ctx, "deletes", strings.Join(deletes, " UNION ALL ")); err != nil {
			return nil, err
		}
	}
	updates, err := g.updates(ctx)
	if err != nil || len(updates) == 0 {
		return c, err
	}
	query := checked(strings.Join(updates, "\nUNION ALL\n"), c.checks, c.schema, "_file", "_pos")
	c.updates, err = g.temporaryTable(ctx, "updates", query)
	return c, broken(err, g.Delta.Prefix(), c.checks)
}

// inserts is a query for the new rows.
func (g *merging) inserts() (string, error) {
	if len(g.NotMatched) == 0 {
		return "", nil
	}
	var parts []string
	for i, clause := range g.NotMatched {
		row, err := g.shape.insert(g.set(clause))
		if err != nil {
			return "", err
		}
		parts = append(parts, fmt.Sprintf(`SELECT %s FROM (
			SELECT s.*, %s AS _clause FROM %s AS s WHERE NOT EXISTS (SELECT 1 FROM %s AS m WHERE m._s = s.rowid)) AS s WHERE _clause = %d`,
			list(row), caseOf(g.NotMatched), g.source, g.pairs, i+1))
	}
	return strings.Join(parts, "\nUNION ALL\n"), nil
}

// updates are queries for the rows that take the place of others. Only the files that hold one are read again.
func (g *merging) updates(ctx context.Context) ([]string, error) {
	var out []string
	for _, part := range []struct {
		clauses       []Clause
		table, source string
	}{
		{g.Matched, g.pairs, fmt.Sprintf(" JOIN %s AS s ON s.rowid = m._s", g.source)},
		{g.NotMatchedBySource, g.alone, ""},
	} {
		if !slices.ContainsFunc(part.clauses, func(c Clause) bool { return !c.Delete }) {
			continue
		}
		numbers, err := g.filesOf(ctx, part.table, "_clause > 0")
		if err != nil {
			return nil, err
		}
		table, err := g.rows(ctx, g.snap, g.shape.snap.Schema(), numbers)
		if err != nil {
			return nil, err
		}
		for i, clause := range part.clauses {
			if clause.Delete {
				continue
			}
			row, err := g.shape.update(g.set(clause), "t")
			if err != nil {
				return nil, err
			}
			out = append(out, fmt.Sprintf(`SELECT t._file, t._pos, %s FROM %s AS t
				JOIN %s AS m ON m._file = t._file AND m._pos = t._pos%s WHERE m._clause = %d`,
				list(row), table, part.table, part.source, i+1))
		}
	}
	return out, nil
}

// matchedFiles are the files with a row that has a match, beside those that the plan takes away.
func (g *merging) matchedFiles(ctx context.Context, p *Plan) ([]delta.Add, error) {
	numbers, err := g.filesOf(ctx, g.pairs, "true")
	if err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	for _, a := range p.Removes {
		gone[fileKey(a)] = true
	}
	for _, v := range p.Vectors {
		gone[fileKey(v.File)] = true
	}
	var out []delta.Add
	for _, n := range numbers {
		if a := g.snap.Files()[n]; !gone[fileKey(a)] {
			out = append(out, a)
		}
	}
	return out, nil
}

// filesOf are the numbers of the files in a table of places.
func (g *merging) filesOf(ctx context.Context, table, where string) ([]int, error) {
	rows, err := g.Session.Query(ctx, fmt.Sprintf("SELECT DISTINCT _file FROM %s WHERE %s ORDER BY _file", table, where))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, fault.New(fault.Internal, "merge into", g.Delta.Prefix(), "%w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// parameters are the merge in Spark's words.
func (m Merge) parameters() map[string]any {
	clauses := func(list []Clause, otherwise string) string {
		out := []map[string]string{}
		for _, c := range list {
			one := map[string]string{"actionType": otherwise}
			if c.Delete {
				one["actionType"] = "delete"
			}
			if c.When != "" {
				one["predicate"] = c.When
			}
			out = append(out, one)
		}
		return jsonText(out)
	}
	predicate := m.On
	if predicate == "" {
		predicate = m.on()
	}
	return map[string]any{
		"predicate": predicate, "matchedPredicates": clauses(m.Matched, "update"),
		"notMatchedPredicates": clauses(m.NotMatched, "insert"), "notMatchedBySourcePredicates": clauses(m.NotMatchedBySource, "update"),
	}
}
