package roundtrip

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
)

// shape is what does not change of a table.
type shape struct {
	first      delta.Schema // at creation
	partition  []string
	properties map[string]string
	checks     []cond
}

func (s shape) is(property string) bool { return s.properties[property] == "true" }

// stored is a row as a table keeps it: an empty text in a partition column is NULL.
func (s shape) stored(r row) row {
	for _, c := range s.partition {
		if r[c] == "" {
			r = updated(r, map[string]expr{c: {}}, nil)
		}
	}
	return r
}

func (s shape) partitionOf(r row) string {
	var values []any
	for _, c := range s.partition {
		values = append(values, r[c])
	}
	return jsonText(values)
}

// checkProperty holds the one CHECK that some tables have.
const checkProperty = "delta.constraints.id_range"

// source makes shapes, rows and operations from a seed.
type source struct {
	*rand.Rand
	plain  bool // only what delta-rs writes, too
	modest bool // only timestamps that nanoseconds can count: Spark writes INT96, which delta-rs reads as such
}

func newSource(seed uint64, plain bool) *source {
	return &source{Rand: rand.New(rand.NewPCG(seed, 4)), plain: plain}
}

func (g *source) one(in float64) bool { return g.Float64() < in }

func pick[T any](g *source, of ...T) T { return of[g.IntN(len(of))] }

var primitives = []delta.Primitive{
	delta.String, delta.Long, delta.Integer, delta.Short, delta.Byte, delta.Float, delta.Double, delta.Boolean, delta.Binary, delta.Date,
	delta.Timestamp, delta.TimestampNTZ, delta.Decimal(5, 2), delta.Decimal(18, 0), delta.Decimal(38, 10),
}

// dull are the types of most columns, so that conditions find something.
var dull = []delta.Primitive{delta.String, delta.Integer, delta.Long, delta.Date, delta.Timestamp}

// typ is a type; what is inside of others is never NOT NULL, which lakestep does not write.
func (g *source) typ(depth int) delta.Type {
	if depth == 0 || g.one(0.7) {
		if g.one(0.4) {
			return pick(g, dull...)
		}
		return pick(g, primitives...)
	}
	switch g.IntN(3) {
	case 0:
		return delta.ArrayType{Element: g.typ(depth - 1), ContainsNull: true}
	case 1:
		return delta.MapType{Key: pick[delta.Type](g, delta.String, delta.Integer, delta.Date), Value: g.typ(depth - 1), ValueContainsNull: true}
	}
	var s delta.StructType
	for i := range 1 + g.IntN(3) {
		s.Fields = append(s.Fields, delta.Field{Name: fmt.Sprintf("f%d", i), Type: g.typ(depth - 1), Nullable: true})
	}
	return s
}

// names are of columns that are easily mishandled.
var names = []string{"MixedCase", "order", "Größe", "a.b", "x-y", "it's", `q"t`, "日本", "p%20q", "select"}

func (g *source) field(i int, depth int) delta.Field {
	f := delta.Field{Name: fmt.Sprintf("c%d", i), Type: g.typ(depth), Nullable: g.one(0.85)}
	if !g.plain && g.one(0.1) {
		f.Name = names[i%len(names)]
	}
	return f
}

// shape makes the rules of a table. It has a column id, which merges match by.
func (g *source) shape() shape {
	s := shape{properties: map[string]string{"delta.checkpointInterval": fmt.Sprint(2 + g.IntN(8))}}
	s.first.Fields = append(s.first.Fields, delta.Field{Name: "id", Type: delta.Long, Nullable: g.one(0.5)})
	for i := range 2 + g.IntN(5) {
		s.first.Fields = append(s.first.Fields, g.field(i, 2))
	}
	if g.one(0.5) {
		for i := range 1 + g.IntN(2) {
			f := delta.Field{Name: fmt.Sprintf("p%d", i), Type: pick(g, primitives...), Nullable: g.one(0.8)}
			if f.Type == delta.Binary {
				f.Type = delta.String
			}
			s.first.Fields = slices.Insert(s.first.Fields, 1+g.IntN(len(s.first.Fields)), f)
			s.partition = append(s.partition, f.Name)
		}
	}
	set := func(name string, chance float64) {
		if g.one(chance) {
			s.properties[name] = "true"
		}
	}
	set("delta.enableChangeDataFeed", 0.5)
	if !g.plain {
		set("delta.enableDeletionVectors", 0.4)
		set("delta.enableInCommitTimestamps", 0.2)
		set("delta.enableTypeWidening", 0.15)
		set("delta.checkpoint.writeStatsAsStruct", 0.3)
	}
	if g.one(0.2) {
		s.properties["delta.dataSkippingNumIndexedCols"] = fmt.Sprint(g.IntN(4) - 1)
	}
	if g.one(0.3) {
		c := cond{op: ">", column: "id", typ: delta.Long, values: []any{int64(-1000)}}
		s.checks = append(s.checks, c)
		s.properties[checkProperty] = "id > -1000"
	}
	return s
}

// value is of a type; few values come often, so that conditions hit, and the odd ones sometimes.
func (g *source) value(t delta.Type, nullable bool) any {
	if nullable && g.one(0.2) {
		return nil
	}
	switch t := t.(type) {
	case delta.StructType:
		out := map[string]any{}
		for _, f := range t.Fields {
			out[f.Name] = g.value(f.Type, f.Nullable)
		}
		return out
	case delta.ArrayType:
		out := []any{}
		for range g.IntN(4) {
			out = append(out, g.value(t.Element, t.ContainsNull))
		}
		return out
	case delta.MapType:
		out, seen := []any{}, map[string]bool{}
		for range g.IntN(3) {
			k := g.value(t.Key, false)
			if !seen[jsonText(k)] {
				seen[jsonText(k)] = true
				out = append(out, []any{k, g.value(t.Value, t.ValueContainsNull)})
			}
		}
		return sortedPairs(out)
	}
	return g.primitive(t.(delta.Primitive), false)
}

func (g *source) partitionValue(f delta.Field) any {
	if f.Nullable && g.one(0.2) {
		return nil
	}
	v := g.primitive(f.Type.(delta.Primitive), true)
	for _, _, decimal := f.Type.(delta.Primitive).DecimalParts(); decimal && g.plain && strings.HasPrefix(v.(string), "-"); {
		v = g.primitive(f.Type.(delta.Primitive), true) // delta-rs commits "-1.-5"
	}
	if v == "" && (g.plain || !f.Nullable) { // delta-rs keeps the empty text, against the protocol
		return "x"
	}
	return v
}

var odd = map[delta.Primitive][]any{
	delta.String: {"", "a/b", "100%", "a b", "k=v", "p%20q", "日本", "it's", `back\slash`, `"q"`, "new\nline", "tab\t", "#?&+;,:", "<lt>", "{b}[c]", "^*|~",
		"😀", "_under", ".dot", "..", "__HIVE_DEFAULT_PARTITION__x", strings.Repeat("e", 31) + "😀zz", strings.Repeat("f", 40), strings.Repeat("f", 32) + "\U0010ffff\U0010ffff"},
	delta.Long:          {int64(math.MaxInt64), int64(math.MinInt64), int64(1)<<53 + 1, int64(0)},
	delta.Integer:       {int64(math.MaxInt32), int64(math.MinInt32), int64(0)},
	delta.Short:         {int64(math.MaxInt16), int64(math.MinInt16)},
	delta.Byte:          {int64(math.MaxInt8), int64(math.MinInt8)},
	delta.Float:         {"NaN", "Infinity", "-Infinity", math.Copysign(0, -1), float64(float32(0.1)), float64(math.MaxFloat32), float64(float32(1e-45))},
	delta.Double:        {"NaN", "Infinity", "-Infinity", math.Copysign(0, -1), 0.1, math.MaxFloat64, 5e-324, 1e7, 1e-7, 123456789.125},
	delta.Boolean:       {true, false},
	delta.Binary:        {"", "00", "ff00ff", "c3a9"},
	delta.Date:          {"0001-01-01", "9999-12-31", "1582-10-15", "1969-12-31", "2024-02-29"},
	delta.Timestamp:     {"0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", "1883-11-18T12:00:00.000001Z", "2024-02-29T23:59:59.999500Z"},
	delta.TimestampNTZ:  {"0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999", "2024-02-29T23:59:59.999500"},
	delta.Decimal(5, 2): {"999.99", "-999.99", "-0.01", "0.00"}, delta.Decimal(18, 0): {"999999999999999999", "-1"},
	delta.Decimal(38, 10): {"9999999999999999999999999999.9999999999", "-0.0000000001", "0.0000000000"},
}

// primitive is a value; a partition's comes from a few.
func (g *source) primitive(t delta.Primitive, few bool) any {
	if list := odd[t]; len(list) > 0 && g.one(0.3) {
		if g.modest && t == delta.Timestamp {
			list = list[2:]
		}
		return pick(g, list...)
	}
	n := g.IntN(20)
	if few {
		n %= 3
	}
	switch t {
	case delta.String:
		return fmt.Sprintf("s%02d", n)
	case delta.Long, delta.Integer, delta.Short, delta.Byte:
		return int64(n - 5)
	case delta.Float, delta.Double:
		return float64(n-5) / 4
	case delta.Boolean:
		return n%2 == 0
	case delta.Binary:
		return fmt.Sprintf("%04x", n)
	case delta.Date:
		return fmt.Sprintf("2026-01-%02d", n+1)
	case delta.Timestamp:
		return fmt.Sprintf("2026-01-%02dT10:00:00.%06dZ", n+1, n*50021)
	case delta.TimestampNTZ:
		return fmt.Sprintf("2026-01-%02dT10:00:00.%06d", n+1, n*50021)
	}
	_, scale, _ := t.DecimalParts()
	s := fmt.Sprint(n - 5)
	if scale > 0 {
		s += "." + strings.Repeat("5", scale)
	}
	return s
}

// row is one that breaks no rule.
func (t *table) row(g *source, s delta.Schema) row {
	for {
		r := row{}
		for _, f := range s.Fields {
			switch {
			case f.Name == "id":
				r["id"] = int64(g.IntN(30))
				if f.Nullable && len(t.checks) == 0 && g.one(0.05) {
					r["id"] = nil
				}
			case slices.Contains(t.partition, f.Name):
				r[f.Name] = g.partitionValue(f)
			default:
				r[f.Name] = g.value(f.Type, f.Nullable)
			}
		}
		if r = t.stored(r); !t.broken(s, r) {
			return r
		}
	}
}

func (t *table) some(g *source, s delta.Schema, most int) []row {
	rows := []row{}
	for range 1 + g.IntN(most) {
		rows = append(rows, t.row(g, s))
	}
	return rows
}

// cond is a condition over rows of a schema, without the types that the engines compare in ways of their own.
func (g *source) cond(s delta.Schema, rows []row, side string, depth int) cond {
	if depth > 0 && g.one(0.4) {
		if g.one(0.3) {
			return cond{op: "not", args: []cond{g.cond(s, rows, side, depth-1)}}
		}
		return cond{op: pick(g, "and", "or"), args: []cond{g.cond(s, rows, side, depth-1), g.cond(s, rows, side, depth-1)}}
	}
	var fields []delta.Field
	for _, f := range s.Fields {
		p, ok := f.Type.(delta.Primitive)
		float := p == delta.Float || p == delta.Double
		if ok && p != delta.Binary && (!g.plain || !float) {
			fields = append(fields, f)
		}
	}
	f := pick(g, fields...)
	c := cond{side: side, column: f.Name, typ: f.Type.(delta.Primitive)}
	c.op = pick(g, "=", "<>", "<", "<=", ">", ">=", "is null", "is not null", "in", "=", "=", "in")
	if c.typ == delta.Boolean {
		c.op = pick(g, "=", "<>", "is null")
	}
	known := func() any { // a value of a row there, most times
		if len(rows) > 0 && g.one(0.7) {
			if v := pick(g, rows...)[f.Name]; v != nil {
				return v
			}
		}
		return g.primitive(c.typ, false)
	}
	switch c.op {
	case "is null", "is not null":
	case "in":
		c.values = []any{known(), known(), known()}
	default:
		c.values = []any{known()}
	}
	return c
}

// set gives new values to some columns.
func (g *source) set(s delta.Schema, from string) map[string]expr {
	set := map[string]expr{}
	for range 1 + g.IntN(2) {
		f := pick(g, s.Fields...)
		p, ok := f.Type.(delta.Primitive)
		if !ok || p == delta.Binary {
			if from != "" {
				set[f.Name] = expr{column: f.Name, side: from, typ: f.Type}
			}
			continue
		}
		if from != "" && g.one(0.5) {
			set[f.Name] = expr{column: f.Name, side: from, typ: f.Type}
			continue
		}
		set[f.Name] = expr{typ: p, value: g.value(p, f.Nullable)}
	}
	if len(set) == 0 {
		set["id"] = expr{typ: delta.Long, value: int64(g.IntN(30))}
	}
	return set
}

// whole takes all columns from the source's row.
func whole(s delta.Schema) map[string]expr {
	set := map[string]expr{}
	for _, f := range s.Fields {
		set[f.Name] = expr{column: f.Name, side: "s", typ: f.Type}
	}
	return set
}

func (g *source) when(s delta.Schema, rows []row, side string) *cond {
	if g.one(0.5) {
		return nil
	}
	c := g.cond(s, rows, side, 1)
	return &c
}

// merge makes one with each clause at chance; as in Spark only the last of a kind may be without a condition.
func (t *table) mergeOp(g *source) op {
	s := t.now.schema
	o := op{kind: "merge"}
	ids := g.Perm(30)
	for i := range 1 + g.IntN(8) {
		r := t.row(g, s)
		r["id"] = int64(ids[i])
		o.rows = append(o.rows, r)
	}
	add := func(chance float64, c clause) {
		if !g.one(chance) {
			return
		}
		family := strings.Contains(c.kind, "source_")
		for _, e := range o.clauses {
			same := e.kind == "insert" == (c.kind == "insert") && strings.Contains(e.kind, "source_") == family
			if same && e.when == nil {
				return // would never be reached
			}
		}
		o.clauses = append(o.clauses, c)
	}
	add(0.3, clause{kind: "delete", when: g.when(s, t.now.rows, pick(g, "t", "s"))})
	add(0.6, clause{kind: "update", when: g.when(s, t.now.rows, pick(g, "t", "s")), set: g.set(s, "s")})
	add(0.4, clause{kind: "update", set: whole(s)})
	add(0.7, clause{kind: "insert", when: g.when(s, t.now.rows, "s"), set: whole(s)})
	c := g.cond(s, t.now.rows, "t", 1)
	add(0.2, clause{kind: "source_update", when: &c, set: g.set(s, "t")})
	add(0.2, clause{kind: "source_delete", when: &c})
	if len(o.clauses) == 0 {
		o.clauses = []clause{{kind: "insert", set: whole(s)}}
	}
	return o
}

var wider = map[delta.Primitive][]delta.Primitive{
	delta.Byte: {delta.Short, delta.Integer, delta.Long}, delta.Short: {delta.Integer, delta.Long}, delta.Integer: {delta.Long}, delta.Float: {delta.Double},
	delta.Decimal(5, 2): {delta.Decimal(7, 3), delta.Decimal(10, 2)},
}

// grown is the schema with one column more, or with one wider; ok is false where none can be.
func (t *table) grown(g *source) (s delta.Schema, ok bool) {
	s.Fields = slices.Clone(t.now.schema.Fields)
	if t.is("delta.enableTypeWidening") && g.one(0.6) {
		for _, i := range g.Perm(len(s.Fields)) {
			f := s.Fields[i]
			p, _ := f.Type.(delta.Primitive)
			if to := wider[p]; len(to) > 0 && !slices.Contains(t.partition, f.Name) {
				s.Fields[i].Type = pick(g, to...)
				return s, true
			}
		}
		return s, false
	}
	f := g.field(len(s.Fields)+3, 1)
	for strings.Contains(f.Type.String(), "timestamp_ntz") { // SQL's TIMESTAMP brings a timestamp
		f = g.field(len(s.Fields)+3, 1)
	}
	f.Name, f.Nullable = fmt.Sprintf("n%d", len(t.versions)), true // after a restore, too, a name is not used for another type: no feed could hold both
	s.Fields = append(s.Fields, f)
	return s, true
}

// op makes the next operation out of the kinds that are asked for. One that breaks a rule is sometimes kept, to be refused.
func (t *table) op(g *source, kinds []string, refusals float64) op {
	for {
		o := t.candidate(g, kinds)
		o.refused = t.breaks(o)
		if !o.refused || g.one(refusals) {
			return o
		}
	}
}

// candidate is an operation that may break a rule.
func (t *table) candidate(g *source, kinds []string) op {
	s := t.now.schema
	o := op{kind: pick(g, kinds...)}
	if len(t.now.rows) == 0 && g.one(0.8) {
		o.kind = "append"
	}
	if c := g.cond(s, t.now.rows, "", 2); g.one(0.95) {
		o.where = &c
	}
	switch o.kind {
	case "append":
		o.where, o.rows = nil, t.some(g, s, 12)
	case "evolve":
		grown, ok := t.grown(g)
		if !ok {
			return t.candidate(g, kinds)
		}
		return op{kind: "append", schema: grown, rows: t.some(g, grown, 6)}
	case "overwrite", "overwrite whole":
		o.rows = t.some(g, s, 8)
		if o.kind == "overwrite whole" {
			return op{kind: "overwrite", rows: o.rows}
		}
		if o.where == nil {
			return t.candidate(g, kinds)
		}
		o.rows = slices.DeleteFunc(o.rows, func(r row) bool { return o.where.of(r) != yes })
	case "overwrite partitions":
		if len(t.partition) == 0 {
			return t.candidate(g, kinds)
		}
		o.where, o.rows = nil, t.some(g, s, 5)
	case "update":
		o.set = g.set(s, "")
	case "merge":
		return t.mergeOp(g)
	case "zorder":
		o.where, o.columns = nil, []string{"id"}
	case "restore":
		if len(t.versions) < 3 {
			return t.candidate(g, kinds)
		}
		return op{kind: "restore", version: 1 + int64(g.IntN(len(t.versions)-2))}
	case "optimize", "checkpoint", "vacuum":
		o.where = nil
	}
	return o
}

// schemaJSON is a schema as its JSON.
func schemaJSON(s delta.Schema) json.RawMessage {
	text, err := s.JSON()
	if err != nil {
		panic(err)
	}
	return json.RawMessage(text)
}
