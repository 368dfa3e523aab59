package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
)

// canonicalRow is SQL for the JSON text of a row: an object with the schema's columns in their order.
func canonicalRow(schema delta.Schema) string {
	return canonicalFields(schema, engine.Ident, 0)
}

func canonicalFields(t delta.StructType, at func(name string) string, depth int) string {
	parts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		name, err := json.Marshal(f.Name)
		if err != nil {
			panic(err) // a string always has a JSON form
		}
		comma := ","
		if i == 0 {
			comma = ""
		}
		parts[i] = engine.Literal(comma+string(name)+":") + " || " + canonical(at(f.Name), f.Type, depth)
	}
	if len(parts) == 0 {
		return "'{}'"
	}
	return "('{' || " + strings.Join(parts, " || ") + " || '}')"
}

// canonical is SQL for the JSON text of expr, which has DuckDB's type for t; a NULL is the text null.
func canonical(expr string, t delta.Type, depth int) string {
	element := fmt.Sprintf("_v%d", depth)
	each := func(list, text string) string {
		return "list_transform(" + list + ", lambda " + element + ": " + text + ")"
	}
	joined := func(list string) string { return "'[' || array_to_string(" + list + ", ',') || ']'" }
	text := ""
	switch t := t.(type) {
	case delta.Primitive:
		text = canonicalPrimitive(expr, t)
	case delta.ArrayType:
		text = joined(each(expr, canonical(element, t.Element, depth+1)))
	case delta.MapType:
		key, value := canonical(element+".key", t.Key, depth+1), canonical(element+".value", t.Value, depth+1)
		text = joined("list_sort(" + each("map_entries("+expr+")", "'[' || "+key+" || ',' || "+value+" || ']'") + ")")
	case delta.StructType:
		text = canonicalFields(t, func(name string) string { return "struct_extract(" + expr + ", " + engine.Literal(name) + ")" }, depth)
	}
	return "CASE WHEN " + expr + " IS NULL THEN 'null' ELSE " + text + " END"
}

func canonicalPrimitive(expr string, t delta.Primitive) string {
	quoted := func(text string) string { return `'"' || ` + text + ` || '"'` }
	switch t {
	case delta.String:
		return "CAST(to_json(" + expr + ") AS VARCHAR)"
	case delta.Float, delta.Double:
		number := "CAST(" + expr + " AS DOUBLE)" // a float has the digits of the double that it equals, as elsewhere
		return fmt.Sprintf(`CASE WHEN isnan(%[1]s) THEN '"NaN"' WHEN isinf(%[1]s) THEN CASE WHEN %[1]s > 0 THEN '"Infinity"' ELSE '"-Infinity"' END ELSE CAST(%[1]s AS VARCHAR) END`, number)
	case delta.Binary:
		return quoted("lower(hex(" + expr + "))")
	case delta.Date:
		return quoted("CAST(" + expr + " AS VARCHAR)")
	case delta.Timestamp:
		return quoted("strftime(CAST(" + expr + " AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%fZ')") // the session's zone is UTC
	case delta.TimestampNTZ:
		return quoted("strftime(" + expr + ", '%Y-%m-%dT%H:%M:%S.%f')")
	case delta.Variant:
		return `'{"$variant":' || CAST(` + expr + ` AS VARCHAR) || '}'`
	case delta.Void:
		return "'null'"
	}
	text := "CAST(" + expr + " AS VARCHAR)"
	if _, _, decimal := t.DecimalParts(); decimal {
		return quoted(text)
	}
	return text
}
