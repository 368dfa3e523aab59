package dml

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// Evolution permits what rows may change of a table's schema; what is not permitted is a SchemaBroken fault.
type Evolution struct {
	AddColumns bool     // that the table lacks, in structs too; the rows there have NULL
	WidenTypes bool     // to one that holds all values of the old; the table must have delta.enableTypeWidening=true
	AllowNulls []string // in these columns, which were NOT NULL; nested ones with points: "address.city", "tags.element", "prices.value"
}

const (
	propTypeWidening = "delta.enableTypeWidening"
	metaTypeChanges  = "delta.typeChanges"
)

// evolver grows a schema by the types of values that come.
type evolver struct {
	evolution Evolution
	table     string
	metadata  delta.Metadata
	schema    delta.Schema
	changed   bool
}

func (e *evolver) broken(column, format string, args ...any) *fault.Fault {
	return fault.New(fault.SchemaBroken, "write", e.table, "column %s: "+format, append([]any{column}, args...)...)
}

// take fits values of these types into the schema.
func (e *evolver) take(values delta.Schema) error {
	seen := map[string]bool{}
	for _, f := range values.Fields {
		if lower := strings.ToLower(f.Name); seen[lower] {
			return e.broken(f.Name, "given twice")
		} else {
			seen[lower] = true
		}
	}
	fields, err := e.fields("", e.schema.Fields, values.Fields)
	if err != nil {
		return err
	}
	e.schema = delta.Schema{Fields: fields}
	return nil
}

func (e *evolver) fields(prefix string, have, come []delta.Field) ([]delta.Field, error) {
	have = slices.Clone(have)
	for _, f := range come {
		path := prefix + f.Name
		i := slices.IndexFunc(have, func(h delta.Field) bool { return strings.EqualFold(h.Name, f.Name) })
		if i < 0 {
			t, err := e.added(path, f.Type)
			if err != nil {
				return nil, err
			}
			have = append(have, delta.Field{Name: f.Name, Type: t, Nullable: true})
			continue
		}
		var changes []typeChange
		t, err := e.typ(path, "", have[i].Type, f.Type, &changes)
		if err != nil {
			return nil, err
		}
		have[i].Type = t
		if len(changes) > 0 {
			if have[i].Metadata, err = withChanges(have[i].Metadata, changes); err != nil {
				return nil, err
			}
		}
	}
	return have, nil
}

// added is the type of a new column.
func (e *evolver) added(path string, t delta.Type) (delta.Type, error) {
	if !e.evolution.AddColumns {
		return nil, e.broken(path, "of type %s is not in the table", t).WithHint("leave it out, or permit new columns")
	}
	e.changed = true
	return e.newType(path, t)
}

func (e *evolver) newType(path string, t delta.Type) (delta.Type, error) {
	switch t := t.(type) {
	case delta.Primitive:
		switch t {
		case delta.Void: // an untyped NULL
			return nil, e.broken(path, "a new column cannot be made of untyped NULLs").WithHint("CAST(NULL AS type)")
		case delta.TimestampNTZ:
			return delta.Timestamp, nil // as everywhere in this house: see package engine
		}
	case delta.ArrayType:
		element, err := e.newType(path, t.Element)
		return delta.ArrayType{Element: element, ContainsNull: true}, err
	case delta.MapType:
		key, err := e.newType(path, t.Key)
		if err != nil {
			return nil, err
		}
		value, err := e.newType(path, t.Value)
		return delta.MapType{Key: key, Value: value, ValueContainsNull: true}, err
	case delta.StructType:
		out := delta.StructType{}
		for _, f := range t.Fields {
			ft, err := e.newType(path+"."+f.Name, f.Type)
			if err != nil {
				return nil, err
			}
			out.Fields = append(out.Fields, delta.Field{Name: f.Name, Type: ft, Nullable: true})
		}
		return out, nil
	}
	return t, nil
}

// typeChange is an entry of delta.typeChanges (protocol, "Type Change Metadata"). FieldPath leads through arrays and maps.
type typeChange struct {
	ToType    delta.Type `json:"toType"`
	FromType  delta.Type `json:"fromType"`
	FieldPath string     `json:"fieldPath,omitempty"`
}

func withChanges(metadata map[string]json.RawMessage, changes []typeChange) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for k, v := range metadata {
		out[k] = v
	}
	var all []json.RawMessage
	if old, ok := out[metaTypeChanges]; ok {
		if err := json.Unmarshal(old, &all); err != nil {
			return nil, fmt.Errorf("%s: %w", metaTypeChanges, err)
		}
	}
	for _, c := range changes {
		b, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	b, err := json.Marshal(all)
	out[metaTypeChanges] = b
	return out, err
}

// typ fits a value's type into a column's: the column's type as it is or as it grows.
func (e *evolver) typ(path, inside string, have, come delta.Type, changes *[]typeChange) (delta.Type, error) {
	if come == delta.Type(delta.Void) {
		return have, nil
	}
	below := func(part string) string { return strings.TrimPrefix(inside+"."+part, ".") }
	switch h := have.(type) {
	case delta.StructType:
		if c, ok := come.(delta.StructType); ok {
			fields, err := e.fields(path+".", h.Fields, c.Fields)
			return delta.StructType{Fields: fields}, err
		}
	case delta.ArrayType:
		if c, ok := come.(delta.ArrayType); ok {
			element, err := e.typ(path+".element", below("element"), h.Element, c.Element, changes)
			return delta.ArrayType{Element: element, ContainsNull: h.ContainsNull}, err
		}
	case delta.MapType:
		if c, ok := come.(delta.MapType); ok {
			key, err := e.typ(path+".key", below("key"), h.Key, c.Key, changes)
			if err != nil {
				return nil, err
			}
			value, err := e.typ(path+".value", below("value"), h.Value, c.Value, changes)
			return delta.MapType{Key: key, Value: value, ValueContainsNull: h.ValueContainsNull}, err
		}
	case delta.Primitive:
		c, ok := come.(delta.Primitive)
		switch {
		case !ok:
		case h == c:
			return h, nil
		case e.evolution.WidenTypes && delta.Widens(h, c):
			if !isTrue(e.metadata, propTypeWidening) {
				return nil, e.broken(path, "the table has type %s, the rows %s, and %s is not true", h, c, propTypeWidening).
					WithHint("enable type widening on the table, or make a new table: other engines read the old files as %s", c)
			}
			*changes = append(*changes, typeChange{ToType: c, FromType: h, FieldPath: inside})
			e.changed = true
			return c, nil
		case assignable(h, c):
			return h, nil
		}
	}
	return nil, e.broken(path, "the table has type %s, the rows %s", have, come).
		WithHint("CAST(x AS %s), if that is what is meant; types that hold all values of the old may be permitted", have)
}

// allowNulls takes NOT NULL away where it is permitted.
func (e *evolver) allowNulls() error {
	for _, path := range e.evolution.AllowNulls {
		fields, found := e.relax(e.schema.Fields, strings.Split(path, "."))
		if !found {
			return e.broken(path, "not in the table")
		}
		e.schema = delta.Schema{Fields: fields}
	}
	return nil
}

func (e *evolver) relax(fields []delta.Field, path []string) ([]delta.Field, bool) {
	fields = slices.Clone(fields)
	i := slices.IndexFunc(fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, path[0]) })
	if i < 0 {
		return fields, false
	}
	if len(path) == 1 {
		e.changed = e.changed || !fields[i].Nullable
		fields[i].Nullable = true
		return fields, true
	}
	inner, found := e.relaxType(fields[i].Type, path[1:])
	fields[i].Type = inner
	return fields, found
}

// relaxType follows the path into a type; "element" and "value" lead into arrays and maps.
func (e *evolver) relaxType(t delta.Type, path []string) (out delta.Type, found bool) {
	inner := func(nested delta.Type, contains *bool) (delta.Type, bool) {
		if len(path) == 1 {
			e.changed = e.changed || !*contains
			*contains = true
			return nested, true
		}
		return e.relaxType(nested, path[1:])
	}
	switch t := t.(type) {
	case delta.StructType:
		t.Fields, found = e.relax(t.Fields, path)
		return t, found
	case delta.ArrayType:
		if path[0] == "element" {
			t.Element, found = inner(t.Element, &t.ContainsNull)
			return t, found
		}
	case delta.MapType:
		if path[0] == "value" {
			t.Value, found = inner(t.Value, &t.ValueContainsNull)
			return t, found
		}
	}
	return t, false
}
