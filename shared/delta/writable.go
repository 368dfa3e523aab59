package delta

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

// writableFeature tells whether commits may be written to a table with this writer feature. What a feature asks of each row
// (constraints, defaults) is for those who write the rows: Snapshot.Constraints.
func writableFeature(name string) bool {
	switch name {
	case featAppendOnly, featInvariants, featConstraints, featCDF, featGenerated, featIdentity, featColumnMapping, featTimestampNTZ,
		featDeletionVecs, featV2Checkpoint, featDomains, featICT, featClustering, featTypeWidening, featTypeWidening + "-preview",
		featDefaults, "vacuumProtocolCheck":
		return true
	}
	return false
}

// CheckWritable tells whether this package may commit to the table: an InvalidInput fault names the writer
// features, columns or properties that it does not implement.
func (s *Snapshot) CheckWritable() error {
	if s.version < 0 {
		return nil
	}
	if err := checkWritable(s.protocol, s.metadata, s.schema); err != nil {
		return fault.New(fault.InvalidInput, "write", s.table.prefix, "%w", err).
			WithHint("write this table with an engine that implements it, or drop the feature there first")
	}
	return nil
}

func checkWritable(p Protocol, m Metadata, schema Schema) error {
	if p.MinWriterVersion > writerWithFeatures {
		return fmt.Errorf("writer version %d is unknown", p.MinWriterVersion)
	}
	var unknown []string
	for _, f := range p.features() {
		if !writableFeature(f) {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("writer feature not supported: %s", strings.Join(unknown, ", "))
	}
	return checkDormant(m, schema)
}

// checkDormant refuses tables that use what writers are only allowed to find unused.
func checkDormant(m Metadata, schema Schema) error {
	if mode := m.Configuration[propMapping]; mode != "" && mode != "none" {
		return fmt.Errorf("columns are mapped (%s=%s), which is read, but not written", propMapping, mode)
	}
	var found error
	walkFields(schema, func(f Field) bool {
		for key := range f.Metadata {
			if key == metaGenerated || strings.HasPrefix(key, "delta.identity.") {
				found = fmt.Errorf("column %q has %s, which is read, but not written", f.Name, key)
			}
		}
		return found == nil
	})
	return found
}

// features are all writer features that the protocol supports, listed or implied.
func (p Protocol) features() []string {
	if p.MinWriterVersion >= writerWithFeatures {
		return p.WriterFeatures
	}
	return legacyFeatures(p.MinWriterVersion)
}

// covers tells whether p supports all that old did.
func (p Protocol) covers(old Protocol) bool {
	if p.MinReaderVersion < old.MinReaderVersion || p.MinWriterVersion < old.MinWriterVersion {
		return false
	}
	return !slices.ContainsFunc(old.features(), func(f string) bool { return !p.has(f) })
}

// Supporting gives the protocol that grows from p as far as a table with this metadata demands, and the features named
// beside it (protocol, "Protocol Evolution"). The numbers of the legacy protocol are kept where they suffice, because older
// engines read and write them; else every feature that they implied is listed. An InvalidInput fault names a feature that
// is not written here.
func (p Protocol) Supporting(m Metadata, features ...string) (Protocol, error) {
	refuse := func(err error) (Protocol, error) {
		return Protocol{}, fault.New(fault.InvalidInput, "define table", m.Name, "%w", err)
	}
	schema, err := ParseSchema(m.SchemaString)
	if err != nil {
		return refuse(err)
	}
	needed := append(slices.Clone(features), neededFeatures(m, schema)...)
	if slices.Contains(needed, featClustering) {
		needed = append(needed, featDomains)
	}
	slices.Sort(needed)
	needed = slices.DeleteFunc(slices.Compact(needed), p.satisfies)
	for _, f := range needed {
		if !writableFeature(f) {
			return refuse(fmt.Errorf("writer feature not supported: %s", f))
		}
	}
	if len(needed) == 0 {
		return p, nil
	}
	if p.MinWriterVersion < 4 { // above, numbers imply features that nobody asked for
		for v := p.MinWriterVersion; v <= 4; v++ {
			if old := (Protocol{MinReaderVersion: p.MinReaderVersion, MinWriterVersion: v}); !slices.ContainsFunc(needed, func(f string) bool { return !old.has(f) }) {
				return old, nil
			}
		}
	}
	next := Protocol{MinReaderVersion: p.MinReaderVersion, MinWriterVersion: writerWithFeatures, ReaderFeatures: slices.Clone(p.ReaderFeatures)}
	next.WriterFeatures = append(slices.Clone(p.features()), needed...)
	if slices.ContainsFunc(needed, readerFeature) {
		next.MinReaderVersion = readerWithFeatures
		for _, f := range next.WriterFeatures {
			// Column mapping was a reader's business from reader version 2 on.
			if readerFeature(f) && !slices.Contains(next.ReaderFeatures, f) && (f != featColumnMapping || p.MinReaderVersion >= 2) {
				next.ReaderFeatures = append(next.ReaderFeatures, f)
			}
		}
	}
	return next, nil
}

// neededFeatures are the features without which this metadata may not stand.
func neededFeatures(m Metadata, schema Schema) []string {
	var out []string
	need := func(feature string, condition bool) {
		if condition {
			out = append(out, feature)
		}
	}
	c := m.Configuration
	need(featCDF, isTrue(c[propCDF]))
	need(featAppendOnly, isTrue(c[propAppendOnly]))
	need(featDeletionVecs, isTrue(c[propVectors]))
	need(featICT, isTrue(c[propICT]))
	need(featTypeWidening, isTrue(c[propTypeWidening]))
	need(featV2Checkpoint, c[propCheckpointPolicy] == "v2")
	need(featTimestampNTZ, schema.Uses(TimestampNTZ))
	for key := range c {
		need(featConstraints, strings.HasPrefix(key, constraintPrefix))
	}
	walkFields(schema, func(f Field) bool {
		_, invariant := f.Metadata[metaInvariants]
		_, byDefault := f.Metadata["CURRENT_DEFAULT"]
		_, widened := f.Metadata[metaTypeChanges]
		need(featInvariants, invariant)
		need(featDefaults, byDefault)
		need(featTypeWidening, widened)
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// missingFeature finds a feature that metadata needs and the protocol lacks.
func (p Protocol) missingFeature(m Metadata, schema Schema) (string, bool) {
	for _, f := range neededFeatures(m, schema) {
		if !p.satisfies(f) {
			return f, true
		}
	}
	return "", false
}

// satisfies tells whether the protocol has a feature, or its preview.
func (p Protocol) satisfies(feature string) bool { return p.has(feature) || p.has(feature+"-preview") }

// Constraint is what the rows of a table must fulfil. One without SQL says that the column at Column is not NULL, unless a
// struct around it is. One with SQL says that this expression, in Spark's dialect, is true: not false and not NULL.
type Constraint struct {
	Name   string   // of a CHECK constraint; "" for others
	SQL    string   // "" for NOT NULL
	Column []string // from the outermost inwards, with "element", "key" and "value" as the parts of arrays and maps; nil for CHECK
}

// Constraints are what every row written to the table must fulfil: NOT NULL, column invariants (protocol, "Column
// Invariants") and CHECK constraints (protocol, "CHECK Constraints"), in the order of columns and names. Generated columns
// are not among them: tables that have some are not written.
func (s *Snapshot) Constraints() []Constraint { return constraintsOf(s.metadata, s.schema) }

func constraintsOf(m Metadata, schema Schema) []Constraint {
	out := structConstraints(nil, nil, schema)
	for _, key := range slices.Sorted(maps.Keys(m.Configuration)) {
		if name, ok := strings.CutPrefix(key, constraintPrefix); ok {
			out = append(out, Constraint{Name: name, SQL: m.Configuration[key]})
		}
	}
	return out
}

func structConstraints(out []Constraint, path []string, s StructType) []Constraint {
	for _, f := range s.Fields {
		column := append(slices.Clone(path), f.Name)
		if !f.Nullable {
			out = append(out, Constraint{Column: column})
		}
		if raw, ok := f.Metadata[metaInvariants]; ok {
			out = append(out, Constraint{SQL: invariantSQL(raw), Column: column})
		}
		out = typeConstraints(out, column, f.Type)
	}
	return out
}

func typeConstraints(out []Constraint, path []string, t Type) []Constraint {
	part := func(name string, required bool, t Type) {
		column := append(slices.Clone(path), name)
		if required {
			out = append(out, Constraint{Column: column})
		}
		out = typeConstraints(out, column, t)
	}
	switch t := t.(type) {
	case StructType:
		return structConstraints(out, path, t)
	case ArrayType:
		part("element", !t.ContainsNull, t.Element)
	case MapType:
		part("key", false, t.Key) // a key is never NULL anyway
		part("value", !t.ValueContainsNull, t.Value)
	}
	return out
}

// invariantSQL takes the expression out of its two layers of JSON. Text in another form stays as it is: it will hardly parse as
// SQL, and so nobody takes it for fulfilled.
func invariantSQL(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	var doc struct {
		Expression struct {
			Expression string `json:"expression"`
		} `json:"expression"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil || doc.Expression.Expression == "" {
		return text
	}
	return doc.Expression.Expression
}

// checkConstraints refuses new rows that nobody checked. A file that only gets another deletion vector has no new ones.
func (x *Txn) checkConstraints(m Metadata, schema Schema) error {
	if x.constraintsHold {
		return nil
	}
	old := map[string]bool{}
	for _, r := range x.changes.Removes {
		old[fileID(r.Path, "")] = true
	}
	if !slices.ContainsFunc(x.changes.Adds, func(a Add) bool { return a.DataChange && !old[fileID(a.Path, "")] }) {
		return nil
	}
	for _, c := range constraintsOf(m, schema) {
		if c.SQL != "" {
			return fmt.Errorf("rows are added to a table with the constraint %q without being checked", c.SQL)
		}
	}
	return nil
}
