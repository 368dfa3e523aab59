package delta

import (
	"encoding/json"
	"slices"
	"strings"
)

// Pruned is what is left of a table's files when those are skipped that cannot hold a row for which a predicate is true.
type Pruned struct {
	Files       []Add // may hold such rows, in the order of Snapshot.Files
	Whole       []Add // of Files: every live row matches, as the partition values alone say
	ByPartition int   // files skipped because of their partition values
	ByStats     int   // files skipped because of their statistics
}

// Prune chooses the files in which p may be true for a row. Partition values are exact. Statistics are bounds
// (protocol, "Per-file Statistics"): what is absent, of the wrong type or contradicts itself says nothing, and no file is
// skipped because of it. See fileTest for what bounds of a type can be trusted with.
func (s *Snapshot) Prune(p Predicate) Pruned {
	test := s.test(p)
	var out Pruned
	for _, a := range s.files {
		byPartition := test.outcomes(&fileFacts{add: &a, partitionOnly: true})
		switch {
		case byPartition&canTrue == 0:
			out.ByPartition++
			continue
		case byPartition == canTrue:
			out.Whole = append(out.Whole, a)
		case test.outcomes(&fileFacts{add: &a})&canTrue == 0:
			out.ByStats++
			continue
		}
		out.Files = append(out.Files, a)
	}
	return out
}

// MayMatch gives a function that tells whether p may be true for a row of a file, or of a part of a file that is described like one: by partition
// values and statistics.
func (s *Snapshot) MayMatch(p Predicate) func(Add) bool {
	test := s.test(p)
	return func(a Add) bool { return test.outcomes(&fileFacts{add: &a})&canTrue != 0 }
}

// outcomes is the set of what a predicate may be for the rows of a file: true, false or NULL. It is never empty, and
// may be too large, never too small.
type outcomes uint8

const (
	canTrue outcomes = 1 << iota
	canFalse
	canNull
	anyOutcome = canTrue | canFalse | canNull
)

func (a outcomes) not() outcomes {
	return a&canNull | a&canTrue<<1 | a&canFalse>>1
}

func (a outcomes) and(b outcomes) outcomes {
	r := (a | b) & canFalse
	r |= a & b & canTrue
	if a&canNull != 0 && b&(canNull|canTrue) != 0 || b&canNull != 0 && a&(canNull|canTrue) != 0 {
		r |= canNull
	}
	return r
}

func (a outcomes) or(b outcomes) outcomes { return a.not().and(b.not()).not() }

// fileTest is a predicate bound to a table: columns found, values parsed.
type fileTest struct {
	op     Op // OpUnknown when anything about it did not fit
	args   []fileTest
	column testedColumn
	values []any // see comparable
}

// testedColumn is where the log keeps what it knows about a column.
type testedColumn struct {
	typ          Primitive // "" for arrays, maps and structs
	path         []string  // physical names
	partition    bool
	isStruct     bool // nothing is recorded about a struct itself
	inNullable   bool // inside a struct that may be NULL; writers differ on whether null counts include those
	boundsUnsure bool // bounds were written for another type, whose values look different in this one
}

// test binds a predicate to the snapshot's table.
func (s *Snapshot) test(p Predicate) fileTest {
	unknown := fileTest{op: OpUnknown}
	switch p.Op {
	case OpTrue, OpFalse:
		return fileTest{op: p.Op}
	case OpAnd, OpOr, OpNot:
		if p.Op == OpNot && len(p.Args) != 1 {
			return unknown
		}
		t := fileTest{op: p.Op}
		for _, a := range p.Args {
			t.args = append(t.args, s.test(a))
		}
		return t
	case OpIsNull, OpIsNotNull, OpIn:
	case OpEq, OpNe, OpLt, OpLe, OpGt, OpGe, OpStartsWith:
		if len(p.Values) != 1 {
			return unknown
		}
	default:
		return unknown
	}
	column, ok := s.testedColumn(p.Column)
	if !ok || p.Op == OpStartsWith && column.typ != String {
		return unknown
	}
	t := fileTest{op: p.Op, column: column}
	for _, text := range p.Values {
		v, err := parseComparable(column.typ, text)
		if err != nil {
			return unknown
		}
		t.values = append(t.values, v)
	}
	return t
}

// testedColumn follows a logical path through structs. Names are compared without regard to case: a schema has none that
// differ in that only.
func (s *Snapshot) testedColumn(path []string) (c testedColumn, ok bool) {
	fields := s.schema.Fields
	for i, name := range path {
		at := slices.IndexFunc(fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
		if at < 0 {
			return testedColumn{}, false
		}
		f := fields[at]
		c.path = append(c.path, s.PhysicalName(f))
		if i == 0 {
			c.partition = slices.Contains(s.metadata.PartitionColumns, f.Name)
		}
		inner, isStruct := f.Type.(StructType)
		if i < len(path)-1 {
			if !isStruct {
				return testedColumn{}, false // into an array or a map
			}
			fields, c.inNullable = inner.Fields, c.inNullable || f.Nullable
			continue
		}
		c.isStruct = isStruct
		c.typ, _ = f.Type.(Primitive)
		_, widened := f.Metadata[metaTypeChanges]
		c.boundsUnsure = widened && c.typ == Double // the bounds of a float are cut to a float's digits
	}
	return c, len(path) > 0
}

// fileFacts is what the log says about one file.
type fileFacts struct {
	add           *Add
	partitionOnly bool
	stats         Stats
	parsed, known bool // stats: parsed on first use
}

// outcomes evaluates the test on one file.
func (t *fileTest) outcomes(f *fileFacts) outcomes {
	switch t.op {
	case OpTrue:
		return canTrue
	case OpFalse:
		return canFalse
	case OpAnd:
		r := canTrue
		for i := range t.args {
			r = r.and(t.args[i].outcomes(f))
		}
		return r
	case OpOr:
		r := canFalse
		for i := range t.args {
			r = r.or(t.args[i].outcomes(f))
		}
		return r
	case OpNot:
		return t.args[0].outcomes(f).not()
	case OpUnknown:
		return anyOutcome
	}
	k := t.column.known(f)
	var r outcomes
	if k.values {
		r |= t.ofValues(k)
	}
	if k.nulls {
		r |= t.ofNull()
	}
	return r
}

// ofNull is the test's result for a NULL in its column.
func (t *fileTest) ofNull() outcomes {
	switch t.op {
	case OpIsNull:
		return canTrue
	case OpIsNotNull:
		return canFalse
	case OpIn:
		if len(t.values) == 0 {
			return canFalse
		}
	}
	return canNull
}

// ofValues is what the test may give for values that are not NULL.
func (t *fileTest) ofValues(k knowledge) outcomes {
	switch t.op {
	case OpIsNull:
		return canFalse
	case OpIsNotNull:
		return canTrue
	case OpStartsWith:
		return k.startsWith(t.values[0].(string))
	case OpIn:
		r := canFalse
		for _, v := range t.values {
			r = r.or(k.compare(OpEq, v))
		}
		return r
	}
	return k.compare(t.op, t.values[0])
}

// knowledge is what is sure about the values of one column in one file.
type knowledge struct {
	typ    Primitive
	nulls  bool // there may be NULLs
	values bool // there may be others
	lo, hi any  // no value is outside; nil: no bound
	nan    bool // there may also be NaNs, wherever the bounds are
}

// known gathers what a file's entry says about the column.
func (c *testedColumn) known(f *fileFacts) knowledge {
	nothing := knowledge{typ: c.typ, nulls: true, values: true, nan: isFloat(c.typ)}
	if c.partition {
		text, ok := f.add.PartitionValues[c.path[0]]
		if !ok {
			return nothing
		}
		if text == nil || *text == "" {
			return knowledge{typ: c.typ, nulls: true}
		}
		v, err := parseComparable(c.typ, *text)
		if err != nil {
			return nothing
		}
		return knowledge{typ: c.typ, values: true, lo: v, hi: v}
	}
	if f.partitionOnly || c.isStruct {
		return nothing
	}
	if !f.parsed {
		f.stats, f.known = ParseStats(f.add.Stats)
		f.parsed = true
	}
	if !f.known || f.stats.NumRecords == 0 {
		return nothing
	}
	k := nothing
	if nulls, ok := leafAt(f.stats.NullCount, c.path).(json.Number); ok {
		n, err := nulls.Int64()
		if err != nil || n < 0 || n > f.stats.NumRecords {
			return nothing
		}
		// Counts are of physical rows, so these hold for the live ones too.
		k.nulls = n > 0 || c.inNullable
		k.values = n < f.stats.NumRecords
	}
	if c.typ == "" || c.boundsUnsure {
		return k
	}
	k.lo = lowerBound(c.typ, leafAt(f.stats.MinValues, c.path))
	k.hi = upperBound(c.typ, leafAt(f.stats.MaxValues, c.path))
	if k.lo != nil && k.hi != nil && compare(k.lo, k.hi) > 0 {
		k.lo, k.hi = nil, nil
	}
	return k
}

// leafAt follows a path through nested statistics; nil when it leads nowhere.
func leafAt(m map[string]any, path []string) any {
	for _, name := range path[:len(path)-1] {
		m, _ = m[name].(map[string]any)
	}
	return m[path[len(path)-1]]
}

// compare is what a comparison with v may give. A FLOAT is compared with its neighbours too: engines differ on whether
// they compare it with a constant in single or in double precision.
func (k knowledge) compare(op Op, v any) outcomes {
	if f, ok := v.(float64); ok && k.typ == Float {
		below, above := floatNeighbours(f)
		return k.compareExact(op, below) | k.compareExact(op, f) | k.compareExact(op, above)
	}
	return k.compareExact(op, v)
}

func (k knowledge) compareExact(op Op, v any) outcomes {
	r := compareRange(op, k.lo, k.hi, v)
	if k.nan {
		r |= compareRange(op, nan, nan, v)
	}
	return r
}

// compareRange is what x op v may give for the x from lo to hi.
func compareRange(op Op, lo, hi, v any) outcomes {
	below := lo == nil || compare(lo, v) < 0                                          // some x may be < v
	above := hi == nil || compare(hi, v) > 0                                          // some x may be > v
	equal := (lo == nil || compare(lo, v) <= 0) && (hi == nil || compare(hi, v) >= 0) // some x may be = v
	yes, no := equal, below || above
	switch op {
	case OpNe:
		yes, no = no, yes
	case OpLt:
		yes, no = below, equal || above
	case OpLe:
		yes, no = below || equal, above
	case OpGt:
		yes, no = above, equal || below
	case OpGe:
		yes, no = above || equal, below
	}
	var r outcomes
	if yes {
		r |= canTrue
	}
	if no {
		r |= canFalse
	}
	return r
}

// startsWith is what a prefix test may give. Text sorts by its bytes, so all texts with a prefix lie together.
func (k knowledge) startsWith(prefix string) outcomes {
	lo, hasLo := k.lo.(string)
	hi, hasHi := k.hi.(string)
	if hasLo && lo > prefix && !strings.HasPrefix(lo, prefix) || hasHi && hi < prefix {
		return canFalse
	}
	if hasLo && hasHi && strings.HasPrefix(lo, prefix) && strings.HasPrefix(hi, prefix) {
		return canTrue
	}
	return canTrue | canFalse
}
