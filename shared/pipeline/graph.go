package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/document"
)

// reads says which layers a layer's models may read.
var reads = map[Layer][]Layer{Silver: {Bronze, Silver}, Gold: {Silver, Gold}}

// checkNames finds names of silver that two tables claim, quarantine tables included.
func (l *loader) checkNames() {
	owner := map[string]string{}
	for _, t := range l.p.Tables {
		if t.Layer == Silver {
			owner[t.Name] = "the table " + t.FullName()
		}
	}
	for _, t := range l.p.Tables {
		if t.Quarantine == "" {
			continue
		}
		if other, taken := owner[t.Quarantine]; taken {
			l.Add(t.Pos, "name another with the key quarantine", "the quarantine table %q of %s is also %s", t.Quarantine, t.FullName(), other)
		}
		owner[t.Quarantine] = "the quarantine table of " + t.FullName()
	}
}

// link resolves what tables read, and puts each behind those it reads.
func (l *loader) link() {
	for _, t := range l.p.Tables {
		if t.Model != nil {
			l.linkModel(t)
		}
		for _, x := range t.Tests {
			if x.Kind == Relationships && x.To != "" {
				l.linkRelationship(t, x)
			}
		}
		slices.Sort(t.Inputs)
		t.Inputs = slices.Compact(t.Inputs)
	}
	l.order()
}

func (l *loader) linkModel(t *Table) {
	for _, a := range t.Model.actions {
		if a.function == "var" {
			continue
		}
		in := l.input(t, a.pos, a.argument)
		if in != nil && a.function == string(Changes) {
			l.readChanges(t, a, in)
		}
	}
	if !t.Model.broken {
		l.checkReads(t)
	}
}

// input adds a table to the inputs of t; nil when it may not be one.
func (l *loader) input(t *Table, pos Position, name string) *Table {
	in, ok := l.byName[name]
	switch {
	case !ok:
		hint := document.DidYouMean(name, l.fullNames())
		if l.isQuarantine(name) {
			hint = "quarantine tables are for people, not for models"
		}
		l.Add(pos, hint, "there is no table %q", name)
	case in == t:
		l.Add(pos, "", "%s reads itself", name)
	case !slices.Contains(reads[t.Layer], in.Layer):
		l.Add(pos, "", "a %s table cannot read a %s table: %s", t.Layer, in.Layer, name)
	default:
		t.Inputs = append(t.Inputs, name)
		return in
	}
	return nil
}

func (l *loader) fullNames() []string {
	names := make([]string, len(l.p.Tables))
	for i, t := range l.p.Tables {
		names[i] = t.FullName()
	}
	return names
}

func (l *loader) isQuarantine(name string) bool {
	return slices.ContainsFunc(l.p.Tables, func(t *Table) bool { return t.Quarantine != "" && t.QuarantineName() == name })
}

// readChanges checks one use of changes.
func (l *loader) readChanges(t *Table, a action, in *Table) {
	switch {
	case t.Layer == Silver && in.Layer != Bronze:
		l.Add(a.pos, "read it with ref", "a silver model reads changes of a bronze table, not of %s", a.argument)
	case t.Layer == Gold && t.Materialized == Full:
		l.Add(a.pos, "read it with ref", "a table with materialized: full is made of all rows, not of changes")
	case in.Materialized == Full:
		l.Add(a.pos, "read it with ref", "%s is written anew by every run and has no changes", a.argument)
	case in.Deletes == HardDeletes:
		l.Add(a.pos, "give it deletes: soft and pass the delete on as operation of this table: CASE WHEN is_deleted THEN 'delete' ELSE 'update' END AS op; or read it with ref",
			"%s has deletes: hard, and rows that are gone are not among its changes: they would stay here", a.argument)
	case in.Deletes == SoftDeletes && !strings.Contains(strings.ToLower(t.Model.Text), IsDeleted) && !strings.Contains(t.Model.Text, "*"):
		l.Add(a.pos, "pass the delete on as operation of this table: CASE WHEN is_deleted THEN 'delete' ELSE 'update' END AS op; with WHERE NOT is_deleted what was read before stays here",
			"%s has deletes: soft, and the model does not look at is_deleted: rows that are gone would be as all others here", a.argument)
	}
}

// checkReads checks how many tables a model reads by changes: a join of the changes of two tables would miss every row
// whose partner did not change in the same run.
func (l *loader) checkReads(t *Table) {
	start := Position{File: t.Model.File, Line: 1, Column: 1}
	n := len(t.Model.Changes)
	switch {
	case n > 1:
		l.Add(l.second(t.Model), "read the others with ref", "a model reads the changes of one table, not of %s", strings.Join(t.Model.Changes, " and "))
	case t.Layer == Silver && n == 0:
		l.Add(start, `write {{ changes "bronze.x" }}`, "a silver model reads the changes of one bronze table; this one of none")
	case t.Layer == Silver && !strings.Contains(t.Model.Text, "_row") && !strings.Contains(t.Model.Text, "*"):
		l.Add(start, "add _row to what it selects", "a silver model must pass on _row, the id of the received row")
	case t.Layer == Gold && t.Materialized == Append && n == 0:
		l.Add(start, `write {{ changes "silver.x" }}`, "a table with materialized: append needs changes, else every run adds all rows again")
	case len(t.Model.Refs)+n == 0:
		l.Add(start, `write {{ ref "silver.x" }}`, "the model reads no table")
	}
}

// second is the place where a model first reads the changes of a second table.
func (l *loader) second(m *Model) Position {
	first := ""
	for _, a := range m.actions {
		if a.function != string(Changes) {
			continue
		}
		if first != "" && a.argument != first {
			return a.pos
		}
		first = a.argument
	}
	return Position{File: m.File, Line: 1, Column: 1}
}

func (l *loader) linkRelationship(t *Table, x Test) {
	to := l.input(t, x.Pos, x.To)
	if to == nil || to.Contract == nil || x.Field == "" {
		return
	}
	if _, ok := to.Contract.Column(x.Field); !ok {
		l.Add(x.Pos, "", "%s has no column %q by its contract", x.To, x.Field)
	}
}

// order sorts the tables of each layer so that each stands behind its inputs, otherwise as in the file. Tables that
// cannot be sorted read one another in a circle.
func (l *loader) order() {
	var sorted []*Table
	done := map[string]bool{}
	for _, layer := range Layers() {
		var rest []*Table
		for _, t := range l.p.Tables {
			if t.Layer == layer {
				rest = append(rest, t)
			}
		}
		for len(rest) > 0 {
			i := slices.IndexFunc(rest, func(t *Table) bool { return l.waitsFor(t, done) == nil })
			if i < 0 {
				l.reportCycle(rest[0], done)
				return
			}
			done[rest[i].FullName()] = true
			sorted = append(sorted, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
	}
	l.p.Tables = sorted
}

// waitsFor is the first input of a table, in its own layer, that is not done.
func (l *loader) waitsFor(t *Table, done map[string]bool) *Table {
	for _, name := range t.Inputs {
		if in, ok := l.byName[name]; ok && in.Layer == t.Layer && !done[name] {
			return in
		}
	}
	return nil
}

// reportCycle follows what tables wait for until it meets one again.
func (l *loader) reportCycle(t *Table, done map[string]bool) {
	var path []string
	for !slices.Contains(path, t.FullName()) {
		path = append(path, t.FullName())
		t = l.waitsFor(t, done)
	}
	path = append(path[slices.Index(path, t.FullName()):], t.FullName())
	l.Add(t.Pos, "take one of these reads or relationships out", "%s", fmt.Sprintf("the tables read one another in a circle: %s", strings.Join(path, " -> ")))
}
