package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Type is the type of a column: Primitive, ArrayType, MapType or StructType (protocol, "Schema Serialization
// Format").
type Type interface {
	String() string // short form for people: "long", "array<string>", "struct<a:long>"
	isType()
}

// Primitive is a type without parts, by its name in the protocol: "string", "long", "decimal(10,2)", ...
type Primitive string

// The primitive types; decimals are made by Decimal.
const (
	String       Primitive = "string"
	Long         Primitive = "long"
	Integer      Primitive = "integer"
	Short        Primitive = "short"
	Byte         Primitive = "byte"
	Float        Primitive = "float"
	Double       Primitive = "double"
	Boolean      Primitive = "boolean"
	Binary       Primitive = "binary"
	Date         Primitive = "date"
	Timestamp    Primitive = "timestamp"
	TimestampNTZ Primitive = "timestamp_ntz"
	Void         Primitive = "void"    // nothing but NULL; in no file
	Variant      Primitive = "variant" // a value of any type, as JSON has them and more
)

// Decimal is the decimal type with that many digits in all and after the point.
func Decimal(precision, scale int) Primitive {
	return Primitive(fmt.Sprintf("decimal(%d,%d)", precision, scale))
}

// ArrayType is a list of elements.
type ArrayType struct {
	Element      Type
	ContainsNull bool
}

// MapType maps keys to values.
type MapType struct {
	Key, Value        Type
	ValueContainsNull bool
}

// StructType is an ordered list of fields; a table's schema is one.
type StructType struct{ Fields []Field }

// Schema is the schema of a table.
type Schema = StructType

// Field is a named member of a struct. Metadata values are JSON as in the log.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	Metadata map[string]json.RawMessage
}

func (Primitive) isType()  {}
func (ArrayType) isType()  {}
func (MapType) isType()    {}
func (StructType) isType() {}

func (p Primitive) String() string { return string(p) }
func (a ArrayType) String() string { return "array<" + a.Element.String() + ">" }
func (m MapType) String() string {
	return "map<" + m.Key.String() + "," + m.Value.String() + ">"
}

func (s StructType) String() string {
	parts := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		parts[i] = f.Name + ":" + f.Type.String()
	}
	return "struct<" + strings.Join(parts, ",") + ">"
}

var decimalPattern = regexp.MustCompile(`^decimal\(\s*(\d+)\s*,\s*(-?\d+)\s*\)$`)

// DecimalParts gives precision and scale of a decimal type; ok is false for any other.
func (p Primitive) DecimalParts() (precision, scale int, ok bool) {
	if p == "decimal" { // Spark's old short form
		return 10, 0, true
	}
	m := decimalPattern.FindStringSubmatch(string(p))
	if m == nil {
		return 0, 0, false
	}
	precision, err1 := strconv.Atoi(m[1])
	scale, err2 := strconv.Atoi(m[2])
	ok = err1 == nil && err2 == nil && precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
	return precision, scale, ok
}

func (p Primitive) known() bool {
	switch p {
	case String, Long, Integer, Short, Byte, Float, Double, Boolean, Binary, Date, Timestamp, TimestampNTZ, Void, Variant:
		return true
	}
	_, _, ok := p.DecimalParts()
	return ok
}

// Field finds a top-level field by its exact name.
func (s StructType) Field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// ParseSchema reads a schemaString. Field names that differ only in case are an error, and so are types that
// this package does not know.
func ParseSchema(text string) (Schema, error) {
	var s Schema
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Schema{}, fmt.Errorf("schema string: %w", err)
	}
	return s, nil
}

// JSON is the schemaString of s.
func (s StructType) JSON() (string, error) {
	b, err := marshal(s)
	return string(b), err
}

// MarshalJSON is the protocol's form.
func (s StructType) MarshalJSON() ([]byte, error) {
	fields := make([]fieldJSON, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = fieldJSON{Name: f.Name, Type: f.Type, Nullable: f.Nullable, Metadata: f.Metadata}
		if f.Metadata == nil {
			fields[i].Metadata = map[string]json.RawMessage{}
		}
	}
	return marshal(struct {
		Type   string      `json:"type"`
		Fields []fieldJSON `json:"fields"`
	}{"struct", fields})
}

type fieldJSON struct {
	Name     string                     `json:"name"`
	Type     Type                       `json:"type"`
	Nullable bool                       `json:"nullable"`
	Metadata map[string]json.RawMessage `json:"metadata"`
}

// MarshalJSON is the protocol's form.
func (a ArrayType) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Type         string `json:"type"`
		Element      Type   `json:"elementType"`
		ContainsNull bool   `json:"containsNull"`
	}{"array", a.Element, a.ContainsNull})
}

// MarshalJSON is the protocol's form.
func (m MapType) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Type              string `json:"type"`
		Key               Type   `json:"keyType"`
		Value             Type   `json:"valueType"`
		ValueContainsNull bool   `json:"valueContainsNull"`
	}{"map", m.Key, m.Value, m.ValueContainsNull})
}

// UnmarshalJSON reads the protocol's form.
func (s *StructType) UnmarshalJSON(b []byte) error {
	t, err := parseType(b, 0)
	if err != nil {
		return err
	}
	st, ok := t.(StructType)
	if !ok {
		return fmt.Errorf("schema is %s, not a struct", t)
	}
	*s = st
	return nil
}

// maxNesting bounds how deep types are nested: each level is read again with the one around it.
const maxNesting = 100

func parseType(b []byte, depth int) (Type, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("types nested more than %d deep", maxNesting)
	}
	var name string
	if json.Unmarshal(b, &name) == nil {
		p := Primitive(name)
		if !p.known() {
			return nil, fmt.Errorf("unknown type %q", name)
		}
		return p, nil
	}
	var raw struct {
		Type   string `json:"type"`
		Fields []struct {
			Name     *string                    `json:"name"`
			Type     json.RawMessage            `json:"type"`
			Nullable *bool                      `json:"nullable"`
			Metadata map[string]json.RawMessage `json:"metadata"`
		} `json:"fields"`
		Element           json.RawMessage `json:"elementType"`
		ContainsNull      bool            `json:"containsNull"`
		Key               json.RawMessage `json:"keyType"`
		Value             json.RawMessage `json:"valueType"`
		ValueContainsNull bool            `json:"valueContainsNull"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	switch raw.Type {
	case "array":
		element, err := parseType(raw.Element, depth+1)
		if err != nil {
			return nil, fmt.Errorf("array element: %w", err)
		}
		return ArrayType{Element: element, ContainsNull: raw.ContainsNull}, nil
	case "map":
		key, err := parseType(raw.Key, depth+1)
		if err != nil {
			return nil, fmt.Errorf("map key: %w", err)
		}
		value, err := parseType(raw.Value, depth+1)
		if err != nil {
			return nil, fmt.Errorf("map value: %w", err)
		}
		return MapType{Key: key, Value: value, ValueContainsNull: raw.ValueContainsNull}, nil
	case "struct":
		out := StructType{Fields: make([]Field, 0, len(raw.Fields))}
		for _, f := range raw.Fields {
			if f.Name == nil {
				return nil, errors.New("field without name")
			}
			t, err := parseType(f.Type, depth+1)
			if err != nil {
				return nil, fmt.Errorf("field %q: %w", *f.Name, err)
			}
			nullable := f.Nullable == nil || *f.Nullable
			out.Fields = append(out.Fields, Field{Name: *f.Name, Type: t, Nullable: nullable, Metadata: f.Metadata})
		}
		return out, out.uniqueNames()
	}
	return nil, fmt.Errorf("unknown type %q", raw.Type)
}

func (s StructType) uniqueNames() error {
	seen := map[string]string{}
	for _, f := range s.Fields {
		lower := strings.ToLower(f.Name)
		if other, dup := seen[lower]; dup {
			return fmt.Errorf("fields %q and %q differ only in case", other, f.Name)
		}
		seen[lower] = f.Name
	}
	return nil
}

// walkFields visits every field, nested ones too, until visit returns false.
func walkFields(t Type, visit func(Field) bool) bool {
	switch t := t.(type) {
	case StructType:
		for _, f := range t.Fields {
			if !visit(f) || !walkFields(f.Type, visit) {
				return false
			}
		}
	case ArrayType:
		return walkFields(t.Element, visit)
	case MapType:
		return walkFields(t.Key, visit) && walkFields(t.Value, visit)
	}
	return true
}

// Uses tells whether p occurs anywhere in s.
func (s StructType) Uses(p Primitive) bool {
	found := false
	var look func(t Type)
	look = func(t Type) {
		switch t := t.(type) {
		case Primitive:
			found = found || t == p
		case ArrayType:
			look(t.Element)
		case MapType:
			look(t.Key)
			look(t.Value)
		case StructType:
			for _, f := range t.Fields {
				look(f.Type)
			}
		}
	}
	look(s)
	return found
}
