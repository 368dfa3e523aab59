package pipeline

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/document"
)

// rejectedRows is the bronze table of what could not be split into rows.
const rejectedRows = "rejected_rows"

func (l *loader) tables(layer Layer, n *document.Node) {
	if n == nil {
		return
	}
	l.Fields(n, string(layer))
	for _, m := range n.Members {
		l.tableName(m.Pos, m.Key)
		t := &Table{Layer: layer, Name: m.Key, Pos: m.Pos}
		if layer == Bronze {
			l.bronze(t, m.Value)
		} else {
			l.modelled(t, m.Value)
		}
		l.p.Tables = append(l.p.Tables, t)
		l.byName[t.FullName()] = t
	}
}

func (l *loader) bronze(t *Table, n *document.Node) {
	f := l.Fields(n, "a bronze table", "description", "stream", "materialized", "columns")
	f.Require("stream")
	if t.Name == rejectedRows {
		l.Add(t.Pos, "", "the name %q belongs to the table of rows that could not be read", t.Name)
	}
	if f.Has("description") {
		t.Description = f.String("description")
	}
	t.Materialized = Materialization(f.Choice("materialized", string(Append), string(Append)))
	t.Stream = f.String("stream")
	if _, _, ok := l.p.Stream(t.Stream); !ok && t.Stream != "" {
		l.Add(f.Pos("stream"), document.DidYouMean(t.Stream, l.streamNames()), "there is no stream %q under sources", t.Stream)
	}
	l.rawColumns(f, t)
}

// rawColumns reads the columns that a raw table begins with: a list of names, of texts, or a mapping of names to types.
func (l *loader) rawColumns(f document.Fields, t *Table) {
	n := f.Node("columns")
	if n != nil && n.Kind == document.Mapping {
		for _, m := range n.Members {
			typ, ok := columnType(m.Value.Text)
			if !ok {
				l.Add(m.Value.Pos, "string, bigint, integer, double, boolean, date, timestamp, decimal(p,s), binary, or array<one of these>", "column %q cannot have the type %q", m.Key, m.Value.Text)
			}
			t.Columns = append(t.Columns, Column{m.Key, typ})
		}
	} else {
		for _, name := range f.Strings("columns") {
			t.Columns = append(t.Columns, Column{name, "string"})
		}
	}
	seen := map[string]bool{}
	for _, c := range t.Columns {
		// Headers are other people's names: only what Delta refuses in a column name is refused.
		if strings.ContainsAny(c.Name, " ,;{}()\n\t=") || strings.HasPrefix(c.Name, "_") {
			l.Add(f.Pos("columns"), "no spaces, none of ,;{}()= and no _ at the beginning", "the column name %q is not allowed", c.Name)
		}
		if seen[strings.ToLower(c.Name)] {
			l.Add(f.Pos("columns"), "", "column %q stands twice", c.Name)
		}
		seen[strings.ToLower(c.Name)] = true
	}
}

var (
	decimalType = regexp.MustCompile(`^decimal\((\d{1,2}),\s*(\d{1,2})\)$`)
	arrayType   = regexp.MustCompile(`^array<(.+)>$`)
	sqlTypes    = map[string]string{"bigint": "long", "int": "integer", "smallint": "short", "tinyint": "byte", "real": "float", "text": "string", "varchar": "string"}
)

// columnType gives a type in Delta's words, which may also be SQL's.
func columnType(text string) (string, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if alias, ok := sqlTypes[text]; ok {
		return alias, true
	}
	if m := decimalType.FindStringSubmatch(text); m != nil {
		p, _ := strconv.Atoi(m[1])
		s, _ := strconv.Atoi(m[2])
		return "decimal(" + m[1] + "," + m[2] + ")", p >= 1 && p <= 38 && s <= p
	}
	if m := arrayType.FindStringSubmatch(text); m != nil {
		element, ok := columnType(m[1])
		return "array<" + element + ">", ok && !strings.HasPrefix(element, "array")
	}
	return text, slices.Contains([]string{"string", "long", "integer", "short", "byte", "float", "double", "boolean", "binary", "date", "timestamp"}, text)
}

func (l *loader) streamNames() []string {
	var names []string
	for _, src := range l.p.Sources {
		for _, s := range src.Streams {
			names = append(names, src.Name+"."+s.Name)
		}
	}
	return names
}

// modelled reads a silver or gold table.
func (l *loader) modelled(t *Table, n *document.Node) {
	keys := []string{"description", "model", "materialized", "unique_key", "sequence_by", "operation", "deletes", "unchanged", "tracked_columns", "surrogate_key", "history", "quality"}
	if t.Layer == Silver {
		keys = append(keys, "quarantine")
	} else {
		keys = append(keys, "contract")
	}
	f := l.Fields(n, "a "+string(t.Layer)+" table", keys...)
	f.Require("model", "materialized")
	if f.Has("description") {
		t.Description = f.String("description")
	}
	t.Materialized = Materialization(f.Choice("materialized", "", string(Append), string(Merge), string(Full), string(SCD2)))
	t.UniqueKey = l.columns(f, "unique_key")
	t.SequenceBy = l.columnKey(f, "sequence_by")
	t.Operation = l.columnKey(f, "operation")
	t.Unchanged = l.columnKey(f, "unchanged")
	t.TrackedColumns = l.columns(f, "tracked_columns")
	t.SurrogateKey = l.columnKey(f, "surrogate_key")
	l.materialization(f, t)
	if t.Layer == Silver {
		t.Quarantine = "quarantine_" + t.Name
		if f.Has("quarantine") {
			t.Quarantine = f.String("quarantine")
			l.tableName(f.Pos("quarantine"), t.Quarantine)
		}
	}
	t.Model = l.model(f)
	l.quality(t, f.Node("quality"))
	if t.Layer == Gold {
		f.Require("contract")
		l.contract(t, f)
	}
}

// columnKey reads a key that names one column.
func (l *loader) columnKey(f document.Fields, key string) string {
	if !f.Has(key) {
		return ""
	}
	name := f.String(key)
	if name != "" {
		l.column(f.Pos(key), name)
	}
	return name
}

// materializationKeys says which keys each materialization needs and may have.
var materializationKeys = map[Materialization]struct{ needs, may []string }{
	Append: {},
	Full:   {},
	Merge:  {needs: []string{"unique_key", "sequence_by"}, may: []string{"operation", "deletes", "unchanged"}},
	SCD2:   {needs: []string{"unique_key", "sequence_by", "tracked_columns"}, may: []string{"surrogate_key", "history"}},
}

func (l *loader) materialization(f document.Fields, t *Table) {
	keys, ok := materializationKeys[t.Materialized]
	if !ok {
		return // reported where it is read
	}
	for _, k := range []string{"unique_key", "sequence_by", "operation", "deletes", "unchanged", "tracked_columns", "surrogate_key", "history"} {
		needed := slices.Contains(keys.needs, k)
		if needed && !f.Has(k) {
			l.Add(t.Pos, "", "materialized: %s needs the key %q", t.Materialized, k)
		}
		if f.Has(k) && !needed && !slices.Contains(keys.may, k) {
			l.Add(f.Pos(k), "", "materialized: %s has no use for %q", t.Materialized, k)
		}
	}
	switch t.Materialized {
	case Merge:
		l.events(f, t)
	case SCD2:
		l.versions(f, t)
	}
}

// events reads the keys of a merged table whose rows are change events.
func (l *loader) events(f document.Fields, t *Table) {
	t.Deletes = Deletes(f.Choice("deletes", "", string(SoftDeletes), string(HardDeletes)))
	if !f.Has("operation") {
		for _, k := range []string{"deletes", "unchanged"} {
			if f.Has(k) {
				l.Add(f.Pos(k), "name the column of the model that says insert, update or delete", "%q needs the key \"operation\"", k)
			}
		}
		return
	}
	if !f.Has("deletes") {
		l.Add(f.Pos("operation"), "deletes: soft keeps the row and sets its column is_deleted, so that models behind the table see the delete and events that come late stay without effect; deletes: hard removes the row",
			"\"operation\" needs the key \"deletes\"")
	}
	owner := map[string]string{}
	for _, use := range []struct {
		key     string
		columns []string
	}{{"unique_key", t.UniqueKey}, {"sequence_by", []string{t.SequenceBy}}, {"operation", []string{t.Operation}}, {"unchanged", []string{t.Unchanged}}} {
		for _, c := range use.columns {
			other, taken := owner[c]
			stored := use.key == "unique_key" || use.key == "sequence_by" // which may be one column
			switch {
			case c == "":
			case c == IsDeleted && t.Deletes == SoftDeletes:
				l.Add(f.Pos(use.key), "", "%s %q is also the column that deletes: soft adds", use.key, c)
			case taken && !stored:
				l.Add(f.Pos(use.key), "", "%s %q is also the %s", use.key, c, other)
			}
			owner[c] = use.key
		}
	}
}

// versions reads the keys of an scd2 table.
func (l *loader) versions(f document.Fields, t *Table) {
	t.History = History(f.Choice("history", string(LatestPerBatch), string(LatestPerBatch), string(AllVersions)))
	own := map[string]string{"valid_to": "a column that scd2 adds", "is_current": "a column that scd2 adds", t.SurrogateKey: "the surrogate_key", t.SequenceBy: "the sequence_by"}
	for _, k := range t.UniqueKey {
		if what, bad := own[k]; bad {
			l.Add(f.Pos("unique_key"), "", "unique_key %q is also %s", k, what)
		}
		own[k] = "part of the unique_key"
	}
	for _, c := range t.TrackedColumns {
		if what, bad := own[c]; bad {
			l.Add(f.Pos("tracked_columns"), "", "tracked column %q is also %s", c, what)
		}
	}
	if t.SurrogateKey != "" && t.SurrogateKey == t.SequenceBy {
		l.Add(f.Pos("surrogate_key"), "", "surrogate_key %q is also the sequence_by", t.SurrogateKey)
	}
}

// named gives the text of a file that pipeline.yaml names.
func (l *loader) named(f document.Fields, key string) (name, text string, ok bool) {
	if !f.Has(key) {
		return "", "", false
	}
	name = f.String(key)
	switch text, ok = l.bundle.Files[name]; {
	case name == "":
	case !cleanPath(name):
		l.Add(f.Pos(key), "name it relative to pipeline.yaml, such as silver/orders.sql", "%s %q is not inside the pipeline's folder", key, name)
	case !ok:
		l.Add(f.Pos(key), "names are relative to "+l.file, "the file %q is missing", name)
	default:
		return name, text, true
	}
	return name, "", false
}

func (l *loader) model(f document.Fields) *Model {
	name, text, ok := l.named(f, "model")
	if !ok {
		return nil
	}
	m := &Model{File: name, Text: text, vars: l.p.Vars}
	at := func(offset int) Position { return positionOf(name, text, offset) }
	before := l.Len()
	m.actions = parseTemplate(&l.Collector, text, at, string(Ref), string(Changes), "var")
	for _, a := range m.actions {
		switch a.function {
		case "var":
			l.variable(a)
		case string(Ref):
			m.Refs = append(m.Refs, a.argument)
		case string(Changes):
			m.Changes = append(m.Changes, a.argument)
		}
	}
	slices.Sort(m.Refs)
	slices.Sort(m.Changes)
	m.Refs, m.Changes = slices.Compact(m.Refs), slices.Compact(m.Changes)
	if f, bad := checkQuery(text); bad && l.Len() == before {
		l.Add(at(f.offset), f.hint, "%s", f.message)
	}
	m.broken = l.Len() > before
	return m
}

func (l *loader) contract(t *Table, f document.Fields) {
	name, text, ok := l.named(f, "contract")
	if !ok {
		return
	}
	c, err := contract.Parse(name, []byte(text))
	if err != nil {
		l.AddError(f.Pos("contract"), err)
		return
	}
	o, ok := c.Object(t.Name)
	if !ok {
		l.Add(f.Pos("contract"), "its schema needs an object of this name", "contract %s does not describe %q", name, t.Name)
		return
	}
	t.Contract = o
	l.contractTests(t)
	l.againstContract(t, f)
}
