package contract

import (
	"fmt"
	"strconv"

	"github.com/lakestep/lakestep/shared/document"
)

var (
	qualityKeys = []string{"id", "authoritativeDefinitions", "businessImpact", "customProperties", "description", "dimension", "method", "name",
		"schedule", "scheduler", "severity", "tags", "type", "unit",
		"metric", "rule", "arguments", "query", "engine", "implementation"}
	operators  = []Operator{MustBe, MustNotBe, MustBeGreaterThan, MustBeGreaterOrEqualTo, MustBeLessThan, MustBeLessOrEqualTo, MustBeBetween, MustNotBeBetween}
	dimensions = []string{"accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness"}
)

// quality reads a quality entry of a table, or of a column when c is not nil.
func (p *parser) quality(o *Object, c *Column, n *document.Node) {
	keys := qualityKeys
	for _, op := range operators {
		keys = append(keys[:len(keys):len(keys)], string(op))
	}
	f := p.Fields(n, "a quality entry", keys...)
	p.unread(f, document.String, "id", "businessImpact", "description", "method", "name", "schedule", "scheduler", "severity", "unit")
	p.unread(f, document.List, "tags", "authoritativeDefinitions", "customProperties")
	f.Choice("dimension", "", dimensions...)
	kind := f.Choice("type", "library", "library", "text", "sql", "custom")
	switch kind {
	case "library":
		f.Require("metric")
		if q, ok := p.library(o, c, f); ok {
			o.Quality = append(o.Quality, q)
		}
	case "text": // for people
	case "sql":
		f.Require("query")
		p.operator(f)
		p.unsupported(o, n.Pos, "write it as an expression under quality in pipeline.yaml instead", "quality of type sql is not supported")
	case "custom":
		f.Require("engine", "implementation")
		p.unsupported(o, n.Pos, "write it as a rule under quality in pipeline.yaml instead", "quality of type custom is not supported")
	}
}

// library reads an entry with a metric; false when it is wrong or unsupported.
func (p *parser) library(o *Object, c *Column, f document.Fields) (Quality, bool) {
	before, unsupported := p.Len(), len(o.Unsupported)
	q := Quality{Name: p.optional(f, "name"), Pos: f.Pos("metric")}
	q.Metric = Metric(f.Choice("metric", "", string(NullValues), string(MissingValues), string(InvalidValues), string(DuplicateValues), string(RowCount)))
	q.Operator, q.Bounds = p.operator(f)
	switch unit := p.optional(f, "unit"); unit {
	case "", "rows":
	case "percent":
		q.Percent = true
	default:
		p.unsupported(o, f.Pos("unit"), "use rows or percent", fmt.Sprintf("unit %q is not supported", unit))
	}
	switch severity := p.optional(f, "severity"); severity {
	case "", "error", "critical":
	case "info", "warning", "warn":
		q.Warn = true
	default:
		p.unsupported(o, f.Pos("severity"), "use info, warning or error", fmt.Sprintf("severity %q is not supported", severity))
	}
	if c != nil {
		q.Columns = []string{c.Name}
	}
	p.arguments(o, c, f, &q)
	return q, p.Len() == before && len(o.Unsupported) == unsupported
}

// operator reads the one operator of an entry and its bounds.
func (p *parser) operator(f document.Fields) (Operator, []string) {
	var found Operator
	for _, op := range operators {
		if !f.Has(string(op)) {
			continue
		}
		if found != "" {
			p.Add(f.Pos(string(op)), "make two entries of it", "a quality entry has one of %s and %s", found, op)
		}
		found = op
	}
	if found == "" {
		p.Add(f.Pos("metric"), "such as mustBe: 0", "a quality entry needs one operator")
		return "", nil
	}
	n := f.Node(string(found))
	items, want := []*document.Node{n}, 1
	if found == MustBeBetween || found == MustNotBeBetween {
		items, want = n.Items, 2
	}
	var bounds []string
	var low float64
	for i, item := range items {
		v, err := strconv.ParseFloat(item.Text, 64)
		if item.Kind != document.Number || err != nil || v-v != 0 || !plainNumber(item.Text) {
			p.Add(item.Pos, "", "%s must be compared with a number, not %s %q", found, item.Kind, item.Text)
			return "", nil
		}
		if i > 0 && v <= low {
			p.Add(item.Pos, "write the smaller number first", "%s: %s is not greater than %s", found, item.Text, items[0].Text)
		}
		low = v
		bounds = append(bounds, item.Text)
	}
	if len(bounds) != want {
		p.Add(n.Pos, "", "%s takes %d numbers", found, want)
		return "", nil
	}
	return found, bounds
}

// plainNumber tells whether a number may be put into SQL as written.
func plainNumber(s string) bool {
	for i, c := range s {
		if (c < '0' || c > '9') && c != '.' && (c != '-' || i > 0) {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '.'
}

// arguments checks that the metric has what it needs, and no argument that would be left out of account.
func (p *parser) arguments(o *Object, c *Column, f document.Fields, q *Quality) {
	key := map[Metric]string{InvalidValues: "validValues", MissingValues: "missingValues", DuplicateValues: "properties"}[q.Metric]
	n := f.Node("arguments")
	if n != nil && n.Kind == document.Null {
		n = nil
	}
	args := p.Fields(n, "arguments")
	if n != nil {
		for _, m := range n.Members {
			if m.Key != key || (q.Metric == DuplicateValues && c != nil) {
				p.unsupported(o, m.Pos, "write it as a rule under quality in pipeline.yaml instead", fmt.Sprintf("argument %q of %s is not supported here", m.Key, q.Metric))
			}
		}
	}
	switch {
	case q.Metric == RowCount && c != nil:
		p.Add(q.Pos, "move it to the quality of the schema object", "rowCount is about a table, not about a property")
	case q.Metric == RowCount:
		if q.Percent {
			p.Add(q.Pos, "", "rowCount cannot be in percent")
		}
	case q.Metric == DuplicateValues && c == nil:
		q.Columns = args.Strings(key)
		if len(q.Columns) == 0 {
			p.Add(q.Pos, "name the columns in arguments.properties", "duplicateValues of a table needs its columns")
		}
		for _, name := range q.Columns {
			if _, ok := o.Column(name); !ok {
				p.Add(args.Pos(key), "", "there is no property %q", name)
			}
		}
	case c == nil && q.Metric != "":
		p.Add(q.Pos, "move it to the quality of a property", "%s is about a property, not about a table", q.Metric)
	case key != "" && c != nil && q.Metric != DuplicateValues:
		p.values(o, args, key, q)
	}
}

// values reads the list of valid or missing values. NULL is always missing and never invalid, so it may stand in both lists.
func (p *parser) values(o *Object, args document.Fields, key string, q *Quality) {
	n := args.Node(key)
	if n == nil || n.Kind != document.List {
		if q.Metric == InvalidValues {
			p.unsupported(o, q.Pos, "name the valid values in arguments.validValues", "invalidValues without a list of valid values is not supported")
		} else {
			p.Add(q.Pos, "name them in arguments.missingValues", "missingValues needs its list of values")
		}
		return
	}
	for _, item := range n.Items {
		switch item.Kind {
		case document.Null:
		case document.List, document.Mapping:
			p.Add(item.Pos, "", "%s must be a list of plain values", key)
		default:
			q.Values = append(q.Values, item.Text)
		}
	}
	if len(q.Values) == 0 {
		p.Add(n.Pos, "", "%s names no value", key)
	}
}
