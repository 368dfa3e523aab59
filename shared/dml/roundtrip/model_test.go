package roundtrip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
)

// cond is a condition on a row; it can be evaluated here, and written in each engine's SQL.
type cond struct {
	op     string // "and", "or", "not", "true", "is null", "is not null", "in", or a comparison
	side   string // "t", "s", or "" outside of a merge
	column string
	typ    delta.Primitive
	values []any
	args   []cond
}

func (c cond) sql(d dialect) string {
	name := d.ident(c.column)
	if c.side != "" {
		name = c.side + "." + name
	}
	switch c.op {
	case "and", "or":
		parts := make([]string, len(c.args))
		for i, a := range c.args {
			parts[i] = a.sql(d)
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(c.op)+" ") + ")"
	case "not":
		return "(NOT " + c.args[0].sql(d) + ")"
	case "true":
		return "(1 = 1)"
	case "is null", "is not null":
		return "(" + name + " " + strings.ToUpper(c.op) + ")"
	case "in":
		parts := make([]string, len(c.values))
		for i, v := range c.values {
			parts[i] = d.primitive(c.typ, v)
		}
		return "(" + name + " IN (" + strings.Join(parts, ", ") + "))"
	}
	return "(" + name + " " + c.op + " " + d.primitive(c.typ, c.values[0]) + ")"
}

// truth is a value of three-valued logic.
type truth int

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// eval is the condition for a pair of rows: sides says which is "t", "s" and "".
func (c cond) eval(sides map[string]row) truth {
	switch c.op {
	case "true":
		return yes
	case "and":
		out := yes
		for _, a := range c.args {
			out = min(out, a.eval(sides))
		}
		return out
	case "or":
		out := no
		for _, a := range c.args {
			out = max(out, a.eval(sides))
		}
		return out
	case "not":
		return yes - c.args[0].eval(sides)
	}
	v := sides[c.side][c.column]
	switch {
	case c.op == "is null":
		return truthOf(v == nil)
	case c.op == "is not null":
		return truthOf(v != nil)
	case v == nil:
		return unknown
	case c.op == "in":
		return truthOf(slices.ContainsFunc(c.values, func(e any) bool { return compare(c.typ, v, e) == 0 }))
	}
	n := compare(c.typ, v, c.values[0])
	return truthOf(map[string]bool{"=": n == 0, "<>": n != 0, "<": n < 0, "<=": n <= 0, ">": n > 0, ">=": n >= 0}[c.op])
}

func (c cond) of(r row) truth { return c.eval(map[string]row{"": r, "t": r}) }

// expr is a new value for a column: a literal, or another column of the same type.
type expr struct {
	column, side string
	typ          delta.Type
	value        any
}

func (e expr) sql(d dialect) string {
	if e.column == "" {
		if p, ok := e.typ.(delta.Primitive); ok {
			return d.primitive(p, e.value)
		}
		return duckLiteral(e.typ, e.value)
	}
	if e.side != "" {
		return e.side + "." + d.ident(e.column)
	}
	return d.ident(e.column)
}

func (e expr) eval(sides map[string]row) any {
	if e.column == "" {
		return e.value
	}
	return sides[e.side][e.column]
}

// clause is one case of a merge.
type clause struct {
	kind string // "update", "delete", "insert", "source_update", "source_delete"
	when *cond
	set  map[string]expr
}

// op is one operation on a table.
type op struct {
	kind    string // see apply
	rows    []row
	schema  delta.Schema // of rows, where they bring new columns or wider types
	where   *cond
	set     map[string]expr
	clauses []clause
	columns []string // of zorder
	version int64    // of restore
	refused bool     // it breaks a rule of the table: it must fail, and change nothing
}

func (o op) String() string {
	var b strings.Builder
	b.WriteString(o.kind)
	if o.refused {
		b.WriteString(" (to be refused)")
	}
	if o.rows != nil {
		fmt.Fprintf(&b, " %d rows", len(o.rows))
		for _, r := range o.rows {
			b.WriteString("\n        " + r.text())
		}
	}
	if o.schema.Fields != nil {
		b.WriteString("\n      as " + o.schema.String())
	}
	if o.set != nil {
		fmt.Fprintf(&b, " set %s", setText(o.set))
	}
	if o.where != nil {
		b.WriteString(" where " + o.where.sql(duck))
	}
	for _, c := range o.clauses {
		fmt.Fprintf(&b, "\n      %s %s", c.kind, setText(c.set))
		if c.when != nil {
			b.WriteString(" when " + c.when.sql(duck))
		}
	}
	if o.kind == "restore" {
		fmt.Fprintf(&b, " %d", o.version)
	}
	if o.columns != nil {
		fmt.Fprintf(&b, " %q", o.columns)
	}
	return b.String()
}

func setText(set map[string]expr) string {
	var parts []string
	for k, e := range set {
		parts = append(parts, k+" = "+e.sql(duck))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// state is a table as the model has it.
type state struct {
	schema delta.Schema
	rows   []row
}

// change is a row of the change data feed.
type change struct {
	kind string
	row  row
}

// table is the model of a table: its rules, and its state at each version.
type table struct {
	shape
	now      state
	versions []moment // by version
}

// moment is a version of the model.
type moment struct {
	state
	changes []change
	net     bool // of the changes only the sum is known
}

// record takes the state as that of all versions up to the one given.
func (t *table) record(next state, changes []change, net bool, version int64) {
	for int64(len(t.versions)) <= version {
		t.versions = append(t.versions, moment{next, changes, net})
		changes = nil // of more than one version only the first changes rows
	}
	t.now = next
}

// apply gives the state after an operation, and the rows of its change data feed.
func (t *table) apply(o op) (next state, changes []change) {
	next = state{schema: t.now.schema, rows: slices.Clone(t.now.rows)}
	if o.schema.Fields != nil {
		next.schema = o.schema
	}
	insert := func(rows []row) {
		for _, r := range rows {
			next.rows = append(next.rows, r)
			changes = append(changes, change{"insert", r})
		}
	}
	switch o.kind {
	case "append":
		insert(o.rows)
	case "overwrite":
		next.rows = nil
		for _, r := range t.now.rows {
			if o.where != nil && o.where.of(r) != yes {
				next.rows = append(next.rows, r)
				continue
			}
			changes = append(changes, change{"delete", r})
		}
		insert(o.rows)
	case "overwrite partitions":
		next.rows = nil
		hit := map[string]bool{}
		for _, r := range o.rows {
			hit[t.partitionOf(r)] = true
		}
		for _, r := range t.now.rows {
			if hit[t.partitionOf(r)] {
				changes = append(changes, change{"delete", r})
			} else {
				next.rows = append(next.rows, r)
			}
		}
		insert(o.rows)
	case "delete", "update":
		next.rows = nil
		for _, r := range t.now.rows {
			switch {
			case o.where != nil && o.where.of(r) != yes:
				next.rows = append(next.rows, r)
			case o.kind == "delete":
				changes = append(changes, change{"delete", r})
			default:
				n := updated(r, o.set, map[string]row{"": r})
				next.rows = append(next.rows, n)
				changes = append(changes, change{"update_preimage", r}, change{"update_postimage", n})
			}
		}
	case "merge":
		next.rows = nil
		changes = t.merge(o, &next)
	case "restore":
		next = t.versions[o.version].state
		next.rows = slices.Clone(next.rows)
		changes = difference(t.now, next)
	}
	for i, r := range next.rows {
		next.rows[i] = t.stored(r)
	}
	for i, c := range changes {
		changes[i].row = t.stored(c.row)
	}
	return next, changes
}

// breaks tells whether an operation would bring a row that breaks a rule.
func (t *table) breaks(o op) bool {
	next, changes := t.apply(o)
	return slices.ContainsFunc(changes, func(c change) bool {
		return (c.kind == "insert" || c.kind == "update_postimage") && t.broken(next.schema, c.row)
	})
}

func updated(r row, set map[string]expr, sides map[string]row) row {
	n := row{}
	for k, v := range r {
		n[k] = v
	}
	for c, e := range set {
		n[c] = e.eval(sides)
	}
	return n
}

// merge matches on id; each row of the source has another one.
func (t *table) merge(o op, next *state) (changes []change) {
	first := func(sides map[string]row, kinds ...string) (clause, bool) {
		for _, c := range o.clauses {
			if slices.Contains(kinds, c.kind) && (c.when == nil || c.when.eval(sides) == yes) {
				return c, true
			}
		}
		return clause{}, false
	}
	matched := make([]bool, len(o.rows))
	for _, r := range t.now.rows {
		at := slices.IndexFunc(o.rows, func(s row) bool { return s["id"] != nil && s["id"] == r["id"] })
		sides, kinds := map[string]row{"t": r}, []string{"source_update", "source_delete"}
		if at >= 0 {
			matched[at] = true
			sides["s"], kinds = o.rows[at], []string{"update", "delete"}
		}
		c, ok := first(sides, kinds...)
		switch {
		case !ok:
			next.rows = append(next.rows, r)
		case strings.HasSuffix(c.kind, "delete"):
			changes = append(changes, change{"delete", r})
		default:
			n := updated(r, c.set, sides)
			next.rows = append(next.rows, n)
			changes = append(changes, change{"update_preimage", r}, change{"update_postimage", n})
		}
	}
	for i, s := range o.rows {
		if c, ok := first(map[string]row{"s": s}, "insert"); ok && !matched[i] {
			n := updated(row{}, c.set, map[string]row{"s": s})
			next.rows = append(next.rows, n)
			changes = append(changes, change{"insert", n})
		}
	}
	return changes
}

// difference is what turns one state into another, as deletes and inserts.
func difference(from, to state) (changes []change) {
	left := map[string][]row{}
	for _, r := range from.rows {
		left[r.text()] = append(left[r.text()], r)
	}
	for _, r := range to.rows {
		if l := left[r.text()]; len(l) > 0 {
			left[r.text()] = l[1:]
		} else {
			changes = append(changes, change{"insert", r})
		}
	}
	for _, l := range left {
		for _, r := range l {
			changes = append(changes, change{"delete", r})
		}
	}
	return changes
}

// feed gives changes as sorted texts. With net only their sum counts: rows that come and go again cancel out.
func feed(s delta.Schema, changes []change, net bool) []string {
	count := map[string]int{}
	var out []string
	for _, c := range changes {
		text := texts(s, []row{c.row})[0]
		if !net {
			out = append(out, c.kind+" "+text)
			continue
		}
		switch c.kind {
		case "insert", "update_postimage":
			count[text]++
		default:
			count[text]--
		}
	}
	for text, n := range count {
		if n != 0 {
			out = append(out, fmt.Sprintf("%+d %s", n, text))
		}
	}
	slices.Sort(out)
	return out
}

// broken tells whether a row breaks one of the table's rules: NOT NULL, or a CHECK (unknown does, as in Spark).
func (t *table) broken(s delta.Schema, r row) bool {
	for _, f := range s.Fields {
		if !f.Nullable && r[f.Name] == nil {
			return true
		}
	}
	return slices.ContainsFunc(t.checks, func(c cond) bool { return c.of(r) != yes })
}
