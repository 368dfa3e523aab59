package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
)

// converter writes SQL that reads columns of files as the table's schema has them now.
type converter struct {
	mapping delta.Mapping
	depth   int // of lambdas
}

// field is SQL for a field of a struct, or of the whole file; at gives SQL for a part of it by name.
func (k converter) field(parts []physical, f delta.Field, at func(name string) string) (string, error) {
	typ, err := DuckType(f.Type)
	if err != nil {
		return "", err
	}
	c, err := k.find(parts, f)
	if err != nil {
		return "", err
	}
	if c == nil || f.Type == delta.Type(delta.Void) {
		return "CAST(NULL AS " + typ + ")", nil
	}
	return k.value(at(c.name), *c, f.Type)
}

// find gives the part of a file that holds a field; nil when it has none.
func (k converter) find(parts []physical, f delta.Field) (*physical, error) {
	if k.mapping == delta.MappingID {
		id, _ := delta.FieldID(f) // the snapshot has checked that there is one
		if !slices.ContainsFunc(parts, func(c physical) bool { return c.id != nil }) {
			return nil, errors.New("the file has no field ids, by which the table maps its columns (columnMapping)")
		}
		i := slices.IndexFunc(parts, func(c physical) bool { return c.id != nil && *c.id == id })
		if i < 0 {
			return nil, nil
		}
		return k.only(parts, parts[i].name)
	}
	return k.only(parts, k.mapping.Name(f))
}

// only finds a part by name. DuckDB does not regard case: where two parts differ in nothing else, it might take the wrong one.
func (k converter) only(parts []physical, name string) (*physical, error) {
	var found *physical
	for i, c := range parts {
		if !strings.EqualFold(c.name, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the file's columns %q and %q differ only in case", found.name, c.name)
		}
		found = &parts[i]
	}
	return found, nil
}

// value is SQL that reads expr, which is what c says, as a t.
func (k converter) value(expr string, c physical, t delta.Type) (string, error) {
	if k.plain(c, t) {
		return expr, nil
	}
	mismatch := fmt.Errorf("it is a %s in the file, and a %s in the schema", c, t)
	switch t := t.(type) {
	case delta.Primitive:
		if t == delta.Variant && c.kind == "struct" {
			return k.variant(expr, c)
		}
		if c.kind != "" {
			return "", mismatch
		}
		value, ok := cast(expr, c.duck, t)
		if !ok {
			return "", mismatch
		}
		return value, nil
	case delta.StructType:
		if c.kind != "struct" {
			return "", mismatch
		}
		return k.structure(expr, c, t)
	case delta.ArrayType:
		if c.kind != "list" {
			return "", mismatch
		}
		return k.each(expr, func(e string, k converter) (string, error) { return k.value(e, c.parts[0], t.Element) })
	case delta.MapType:
		if c.kind != "map" {
			return "", mismatch
		}
		entries, err := k.each("map_entries("+expr+")", func(e string, k converter) (string, error) {
			key, err := k.value("struct_extract("+e+", 'key')", c.parts[0], t.Key)
			if err != nil {
				return "", err
			}
			value, err := k.value("struct_extract("+e+", 'value')", c.parts[1], t.Value)
			return "struct_pack(key := " + key + ", value := " + value + ")", err
		})
		return "map_from_entries(" + entries + ")", err
	}
	return "", mismatch
}

func (k converter) structure(expr string, c physical, t delta.StructType) (string, error) {
	fields := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		value, err := k.field(c.parts, f, func(name string) string { return "struct_extract(" + expr + ", " + Literal(name) + ")" })
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		fields[i] = Ident(f.Name) + " := " + value
	}
	return "CASE WHEN " + expr + " IS NOT NULL THEN struct_pack(" + strings.Join(fields, ", ") + ") END", nil
}

// each is SQL for a list with every element of expr changed.
func (k converter) each(expr string, change func(element string, inner converter) (string, error)) (string, error) {
	element := fmt.Sprintf("_e%d", k.depth)
	k.depth++
	value, err := change(element, k)
	return "list_transform(" + expr + ", lambda " + element + ": " + value + ")", err
}

// plain tells whether DuckDB reads c as a t by itself.
func (k converter) plain(c physical, t delta.Type) bool {
	switch t := t.(type) {
	case delta.Primitive:
		return c.kind == "" && t != delta.Void && t != delta.Variant && duckNames[t] == duckName(c.duck) ||
			c.kind == "" && strings.HasPrefix(c.duck, "DECIMAL") && duckDecimalOf(t) == c.duck
	case delta.StructType:
		return c.kind == "struct" && slices.EqualFunc(c.parts, t.Fields, func(p physical, f delta.Field) bool {
			found, err := k.find(c.parts, f)
			return err == nil && found != nil && found.name == p.name && p.name == f.Name && k.plain(p, f.Type)
		})
	case delta.ArrayType:
		return c.kind == "list" && k.plain(c.parts[0], t.Element)
	case delta.MapType:
		return c.kind == "map" && k.plain(c.parts[0], t.Key) && k.plain(c.parts[1], t.Value)
	}
	return false
}

func duckDecimalOf(p delta.Primitive) string {
	precision, scale, ok := p.DecimalParts()
	if !ok {
		return ""
	}
	return fmt.Sprintf("DECIMAL(%d,%d)", precision, scale)
}

// duckName is a type's short name.
func duckName(duck string) string {
	if duck == "TIMESTAMP WITH TIME ZONE" {
		return "TIMESTAMPTZ"
	}
	return duck
}

var (
	smallIntegers = []string{"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"}
	bigIntegers   = []string{"BIGINT", "UINTEGER", "UBIGINT"}
	timestamps    = []string{"TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
	texts         = []string{"JSON", "UUID"}
)

// cast is SQL that reads a leaf of one of DuckDB's types as a p, where that loses nothing: widened types (delta.Widens), and the ways in which
// writers differ, such as integers of another width (a value that does not fit is an error of the query), INT96 or milliseconds.
func cast(expr, duck string, p delta.Primitive) (string, bool) {
	typ, err := DuckType(p)
	if err != nil {
		return "", false
	}
	duck = duckName(duck)
	precision, scale, isDecimal := p.DecimalParts()
	small, integer := slices.Contains(smallIntegers, duck), slices.Contains(smallIntegers, duck) || slices.Contains(bigIntegers, duck)
	ok := false
	switch p {
	case delta.Byte, delta.Short, delta.Integer, delta.Long:
		ok = integer
	case delta.Double:
		ok = small || duck == "FLOAT"
	case delta.String:
		if duck == "BLOB" { // a writer that does not annotate
			return "decode(" + expr + ")", true
		}
		ok = slices.Contains(texts, duck)
	case delta.Binary:
		return "encode(" + expr + ")", duck == "VARCHAR"
	case delta.Timestamp:
		return "CAST(CAST(" + expr + " AS TIMESTAMP) AS TIMESTAMPTZ)", slices.Contains(timestamps, duck)
	case delta.TimestampNTZ:
		ok = duck == "DATE" || slices.Contains(timestamps, duck)
	}
	if isDecimal {
		var fp, fs int
		_, err := fmt.Sscanf(duck, "DECIMAL(%d,%d)", &fp, &fs)
		ok = err == nil && fs <= scale || integer && precision > 0
	}
	return "CAST(" + expr + " AS " + typ + ")", ok
}

// String is the column's type for people.
func (c physical) String() string {
	if c.kind == "" {
		return c.duck
	}
	return c.kind
}
