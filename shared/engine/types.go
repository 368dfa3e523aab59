package engine

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

var duckNames = map[delta.Primitive]string{
	delta.String: "VARCHAR", delta.Long: "BIGINT", delta.Integer: "INTEGER", delta.Short: "SMALLINT", delta.Byte: "TINYINT",
	delta.Float: "FLOAT", delta.Double: "DOUBLE", delta.Boolean: "BOOLEAN", delta.Binary: "BLOB", delta.Date: "DATE",
	delta.Timestamp: "TIMESTAMPTZ", delta.TimestampNTZ: "TIMESTAMP",
	delta.Void: `"NULL"`, delta.Variant: "JSON",
}

// DuckType gives DuckDB's type for a Delta type.
func DuckType(t delta.Type) (string, error) {
	switch t := t.(type) {
	case delta.Primitive:
		if name, ok := duckNames[t]; ok {
			return name, nil
		}
		if p, s, ok := t.DecimalParts(); ok {
			return fmt.Sprintf("DECIMAL(%d,%d)", p, s), nil
		}
	case delta.ArrayType:
		e, err := DuckType(t.Element)
		return e + "[]", err
	case delta.MapType:
		k, err := DuckType(t.Key)
		if err != nil {
			return "", err
		}
		v, err := DuckType(t.Value)
		return "MAP(" + k + ", " + v + ")", err
	case delta.StructType:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			ft, err := DuckType(f.Type)
			if err != nil {
				return "", err
			}
			parts[i] = Ident(f.Name) + " " + ft
		}
		return "STRUCT(" + strings.Join(parts, ", ") + ")", nil
	}
	return "", fault.New(fault.InvalidInput, "read", "type "+t.String(), "the engine has no such type")
}

var deltaNames = map[string]delta.Primitive{
	"VARCHAR": delta.String, "BIGINT": delta.Long, "INTEGER": delta.Integer, "SMALLINT": delta.Short, "TINYINT": delta.Byte,
	"FLOAT": delta.Float, "DOUBLE": delta.Double, "BOOLEAN": delta.Boolean, "BLOB": delta.Binary, "DATE": delta.Date,
	"TIMESTAMP": delta.Timestamp, "TIMESTAMP WITH TIME ZONE": delta.Timestamp,
}

var duckDecimal = regexp.MustCompile(`^DECIMAL\((\d+),(\d+)\)$`)

// deltaType gives the Delta type for the type of a query's column.
func deltaType(duck string) (delta.Type, error) {
	if t, ok := deltaNames[duck]; ok {
		return t, nil
	}
	if duckDecimal.MatchString(duck) {
		return delta.Primitive(strings.ToLower(duck)), nil
	}
	if e, ok := strings.CutSuffix(duck, "[]"); ok {
		t, err := deltaType(e)
		return delta.ArrayType{Element: t, ContainsNull: true}, err
	}
	hint := "cast the column in the model: CAST(x AS type)"
	if duck == "HUGEINT" {
		hint = "sum() of integers has 128 bits: CAST(sum(x) AS BIGINT) or AS DECIMAL(38,0)"
	}
	if duck == `"NULL"` {
		hint = "an untyped NULL: CAST(NULL AS type)"
	}
	return nil, fault.New(fault.SchemaBroken, "write", "type "+duck, "Delta tables have no such type").WithHint("%s", hint)
}
