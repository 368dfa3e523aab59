package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/document"
)

// physicalTypes gives the Delta type of what databases call their types.
var physicalTypes = map[string]string{
	"string": "string", "varchar": "string", "char": "string", "character": "string", "character varying": "string", "text": "string", "nvarchar": "string",
	"nchar": "string", "uuid": "string",
	"long": "long", "bigint": "long", "int8": "long", "int64": "long", "integer": "integer", "int": "integer", "int4": "integer", "int32": "integer",
	"short": "short", "smallint": "short", "int2": "short", "int16": "short", "byte": "byte", "tinyint": "byte",
	"double": "double", "double precision": "double", "float8": "double", "float64": "double", "float": "float", "real": "float", "float4": "float", "float32": "float",
	"boolean": "boolean", "bool": "boolean", "date": "date", "binary": "binary", "varbinary": "binary", "bytea": "binary",
	"timestamp": "timestamp", "timestamptz": "timestamp", "timestamp with time zone": "timestamp", "datetime": "timestamp",
	"timestamp_ntz": "timestamp_ntz", "timestamp without time zone": "timestamp_ntz",
}

// sized are the physical types that may have a size in parentheses, which says nothing that Delta can keep.
var sized = []string{"varchar", "char", "character", "character varying", "nvarchar", "nchar", "text", "string", "binary", "varbinary", "float", "double",
	"int", "integer", "bigint", "smallint", "tinyint", "timestamp", "timestamptz", "datetime", "timestamp with time zone", "timestamp without time zone"}

// wholeTypes gives the Delta type of logicalTypeOptions.format of an integer; i32 is the standard's default.
var wholeTypes = map[string]string{"i8": "byte", "i16": "short", "i32": "integer", "i64": "long", "u8": "short", "u16": "integer", "u32": "long", "u64": "decimal(20,0)", "": "integer"}

// NormalType gives the Delta name of a physical type: "varchar(20)" is "string", "numeric(12, 2)" is "decimal(12,2)". ok is
// false for a type that Delta does not have.
func NormalType(physical string) (name string, ok bool) {
	base, rest, hasArgs := strings.Cut(strings.ToLower(strings.TrimSpace(physical)), "(")
	base = strings.Join(strings.Fields(base), " ")
	args, tail, closed := strings.Cut(rest, ")")
	if hasArgs && !closed {
		return "", false
	}
	if tail = strings.Join(strings.Fields(tail), " "); tail != "" {
		base += " " + tail // timestamp(6) with time zone
	}
	if base == "decimal" || base == "numeric" || base == "number" {
		return decimal(args, hasArgs)
	}
	if hasArgs && !slices.Contains(sized, base) {
		return "", false
	}
	name, ok = physicalTypes[base]
	return name, ok
}

// decimal is the type of "p" or "p,s"; without arguments decimal(10,0), as in Delta and Spark.
func decimal(args string, hasArgs bool) (string, bool) {
	if !hasArgs {
		return "decimal(10,0)", true
	}
	p, s, hasScale := strings.Cut(args, ",")
	precision, err := strconv.Atoi(strings.TrimSpace(p))
	if err != nil || precision < 1 || precision > 38 {
		return "", false
	}
	scale := 0
	if hasScale {
		if scale, err = strconv.Atoi(strings.TrimSpace(s)); err != nil || scale < 0 || scale > precision {
			return "", false
		}
	}
	return fmt.Sprintf("decimal(%d,%d)", precision, scale), true
}

// columnType is the Delta type of a property: of its physicalType, else of its logicalType. What it cannot be is
// unsupported, and so are limits on values that no test is made of.
func (p *parser) columnType(o *Object, f document.Fields) string {
	physical := p.optional(f, "physicalType")
	logical := f.Choice("logicalType", "", logicalTypes...)
	options := p.typeOptions(o, f)
	if p.nested(o, f, logical) {
		return ""
	}
	if physical != "" {
		if name, ok := NormalType(physical); ok {
			return name
		}
		p.unsupported(o, f.Pos("physicalType"), "use a Delta type such as string, long, integer, double, boolean, date, timestamp, decimal(12,2)",
			fmt.Sprintf("there is no Delta type for the physicalType %q", physical))
		return ""
	}
	name := map[string]string{"string": "string", "date": "date", "timestamp": "timestamp", "boolean": "boolean", "number": "double", "": ""}[logical]
	switch {
	case logical == "number" && options["format"] == "f32":
		name = "float"
	case logical == "integer":
		name = wholeTypes[options["format"]]
	case logical == "timestamp" && options["timezone"] == "false":
		name = "timestamp_ntz"
	}
	if logical == "" {
		p.unsupported(o, f.Pos("name"), "give it a physicalType such as string, long, decimal(12,2) or timestamp", fmt.Sprintf("property %q has no type", p.optional(f, "name")))
	} else if name == "" {
		p.unsupported(o, f.Pos("logicalType"), "give it a physicalType that Delta has", fmt.Sprintf("there is no Delta type for the logicalType %q", logical))
	}
	return name
}

// nested tells whether a property has columns of its own, which are unsupported. They are still read, for the mistakes in them.
func (p *parser) nested(o *Object, f document.Fields, logical string) bool {
	found := false
	for _, n := range []struct{ key, of string }{{"properties", "object"}, {"items", "array"}} {
		if !f.Has(n.key) {
			continue
		}
		found = true
		if logical != n.of {
			p.Add(f.Pos(n.key), "", "%s belong to the logicalType %s", n.key, n.of)
		}
		if n.key == "properties" {
			for _, item := range p.list(f, n.key) {
				p.property(&Object{}, item)
			}
		}
		p.unsupported(o, f.Pos(n.key), "flatten it in the model", "nested columns are not supported")
	}
	return found
}

// typeOptions gives the options that choose a type. The others limit the values, for which a quality rule is the place.
func (p *parser) typeOptions(o *Object, f document.Fields) map[string]string {
	out := map[string]string{}
	n := f.Node("logicalTypeOptions")
	if n == nil {
		return out
	}
	g := p.Fields(n, "logicalTypeOptions")
	if !f.Has("logicalType") {
		p.Add(n.Pos, "", "logicalTypeOptions needs a logicalType")
	}
	for _, m := range n.Members {
		switch m.Key {
		case "format", "timezone":
			out[m.Key] = g.String(m.Key)
		case "defaultTimezone":
		default:
			p.unsupported(o, m.Pos, "write it as an expect rule under quality in pipeline.yaml instead", fmt.Sprintf("logicalTypeOptions.%s is not checked", m.Key))
		}
	}
	return out
}
