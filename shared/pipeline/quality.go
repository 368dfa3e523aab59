package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/document"
)

// ruleKeys are the keys of which each quality entry has one.
var ruleKeys = []string{"expect", string(NotNull), string(Unique), string(AcceptedValues), string(Relationships), string(RowCount), string(ControlTotal), string(Expression)}

// quality reads the quality entries of a table: row rules and table tests.
func (l *loader) quality(t *Table, n *document.Node) {
	if n == nil {
		return
	}
	if n.Kind != document.List {
		l.Add(n.Pos, "begin each rule with a dash", "quality must be a list, not %s", n.Kind)
		return
	}
	for _, item := range n.Items {
		f := l.Fields(item, "a quality rule", append([]string{"name", "on_failure"}, ruleKeys...)...)
		var kinds []string
		for _, k := range ruleKeys {
			if f.Has(k) {
				kinds = append(kinds, k)
			}
		}
		switch {
		case item.Kind != document.Mapping:
		case len(kinds) == 0:
			l.Add(item.Pos, "", "a quality rule needs one of %s", strings.Join(ruleKeys, ", "))
		case len(kinds) > 1:
			l.Add(f.Pos(kinds[1]), "make two rules of it", "a quality rule has one kind, not %s", strings.Join(kinds, " and "))
		case kinds[0] == "expect":
			l.rule(t, f)
		default:
			l.test(t, f, TestKind(kinds[0]))
		}
	}
}

// rule reads a row rule.
func (l *loader) rule(t *Table, f document.Fields) {
	r := Rule{Name: l.ruleName(t, f), Expr: l.expression(f, "expect"), Pos: f.Pos("expect")}
	f.Require("name")
	if t.Layer == Silver {
		r.OnFailure = Failure(f.Choice("on_failure", string(OnFailureQuarantine), string(OnFailureQuarantine), string(OnFailureWarn), string(OnFailureFail)))
	} else {
		r.OnFailure = Failure(f.Choice("on_failure", string(OnFailureFail), string(OnFailureFail), string(OnFailureWarn)))
	}
	t.Rules = append(t.Rules, r)
}

// ruleName reads the name that an entry gives itself.
func (l *loader) ruleName(t *Table, f document.Fields) string {
	if !f.Has("name") {
		return ""
	}
	name := f.String("name")
	if name == "" {
		return ""
	}
	if !identifier(name) {
		l.badName(f.Pos("name"), "rule", name)
	}
	if nameTaken(t, name) {
		l.Add(f.Pos("name"), "", "two rules of %s are named %q", t.FullName(), name)
	}
	return name
}

func nameTaken(t *Table, name string) bool {
	return slices.ContainsFunc(t.Rules, func(r Rule) bool { return r.Name == name }) ||
		slices.ContainsFunc(t.Tests, func(x Test) bool { return x.Name == name })
}

func (l *loader) expression(f document.Fields, key string) string {
	s := strings.TrimSpace(f.String(key))
	if s == "" {
		return ""
	}
	if strings.Contains(s, "{{") {
		l.Add(f.Pos(key), "", "templates are not supported in rules")
	} else if flaw, bad := checkExpression(s); bad {
		l.Add(f.Pos(key), flaw.hint, "%s: %s", key, flaw.message)
	}
	return s
}

// test reads a table test. not_null with several columns becomes one test a column.
func (l *loader) test(t *Table, f document.Fields, kind TestKind) {
	key := string(kind)
	x := Test{Name: l.ruleName(t, f), Kind: kind, Pos: f.Pos(key)}
	x.OnFailure = Failure(f.Choice("on_failure", string(OnFailureFail), string(OnFailureFail), string(OnFailureWarn)))
	switch kind {
	case NotNull:
		l.notNull(t, x, l.columns(f, key))
		return
	case Unique:
		x.Columns = l.columns(f, key)
	case AcceptedValues:
		g := l.Fields(f.Node(key), key, "column", "values")
		g.Require("column", "values")
		x.Column, x.Values = l.columnKey(g, "column"), g.Strings("values")
	case Relationships:
		l.relationships(&x, f.Node(key))
	case RowCount:
		l.rowCount(&x, f.Node(key))
	case ControlTotal:
		x.Expr = l.expression(f, key)
		if t.Layer != Silver || (t.Materialized != Merge && t.Materialized != Append) {
			l.Add(x.Pos, "", "control_total is for silver tables with materialized: merge or append")
		}
	case Expression:
		x.Expr = l.expression(f, key)
	}
	l.addTest(t, x)
}

func (l *loader) notNull(t *Table, x Test, columns []string) {
	name := x.Name
	for _, c := range columns {
		x.Column, x.Columns = c, []string{c}
		if name != "" && len(columns) > 1 {
			x.Name = name + "_" + c
		}
		l.addTest(t, x)
	}
}

func (l *loader) relationships(x *Test, n *document.Node) {
	f := l.Fields(n, "relationships", "column", "to", "field", "min_share")
	f.Require("column", "to", "field")
	x.Column, x.Field = l.columnKey(f, "column"), l.columnKey(f, "field")
	x.To = f.String("to")
	x.MinShare = 1
	if share := f.Float("min_share"); share != nil {
		x.MinShare = *share
		if x.MinShare < 0 || x.MinShare > 1 {
			l.Add(f.Pos("min_share"), "0.99 is 99 percent of the rows", "min_share must be between 0 and 1")
		}
	}
}

func (l *loader) rowCount(x *Test, n *document.Node) {
	f := l.Fields(n, "row_count", "min", "max")
	x.Min, x.Max = f.Int("min"), f.Int("max")
	if !f.Has("min") && !f.Has("max") {
		l.Add(n.Pos, "", "row_count needs min, max or both")
	}
	if (x.Min != nil && *x.Min < 0) || (x.Max != nil && *x.Max < 0) {
		l.Add(n.Pos, "", "row_count cannot be negative")
	}
	if x.Min != nil && x.Max != nil && *x.Min > *x.Max {
		l.Add(f.Pos("min"), "", "min is greater than max")
	}
}

// addTest names a test that has no name of its own, and adds it.
func (l *loader) addTest(t *Table, x Test) {
	if x.Name == "" {
		x.Name = defaultName(x)
		for base, n := x.Name, 2; nameTaken(t, x.Name); n++ {
			x.Name = fmt.Sprintf("%s_%d", base, n)
		}
	}
	t.Tests = append(t.Tests, x)
}

// defaultName is the kind and what it is about: unique_order_id.
func defaultName(x Test) string {
	parts := []string{string(x.Kind)}
	if x.Column != "" {
		parts = append(parts, x.Column)
	} else {
		parts = append(parts, x.Columns...)
	}
	return strings.Join(parts, "_")
}
