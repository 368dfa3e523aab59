package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// RowTypes gives the exact types of a query's columns, without running it. It differs from Describe, which gives the schema of a table
// to be made from the rows: DuckDB's TIMESTAMP is timestamp_ntz here, and an untyped NULL is void, the type that fits all others. A type
// that Delta lacks is a SchemaBroken fault that names the column.
func (s *Session) RowTypes(ctx context.Context, query string) (delta.Schema, error) {
	names, err := s.Strings(ctx, "SELECT column_name FROM (DESCRIBE\n"+query+"\n)")
	if err != nil {
		return delta.Schema{}, err
	}
	types, aliases := make([]string, len(names)), make([]string, len(names))
	for i := range names {
		aliases[i] = fmt.Sprintf("c%d", i) // names may repeat
		types[i] = fmt.Sprintf("typeof(any_value(c%d))", i)
	}
	// An aggregate of no rows: DESCRIBE itself says INTEGER of an untyped NULL.
	found, err := s.Strings(ctx, fmt.Sprintf("SELECT %s FROM (SELECT * FROM (\n%s\n) LIMIT 0) AS typed(%s)",
		strings.Join(types, ", "), query, strings.Join(aliases, ", ")))
	if err != nil {
		return delta.Schema{}, err
	}
	var out delta.Schema
	for i, n := range names {
		p := typeParser{rest: found[0][i]}
		t, err := p.parse()
		if err == nil && p.rest != "" {
			err = fmt.Errorf("%q is left", p.rest)
		}
		if err != nil {
			column := fmt.Sprintf("column %s of type %s", n[0], found[0][i])
			return delta.Schema{}, fault.New(fault.SchemaBroken, "write", column, "Delta tables have no such type: %w", err).
				WithHint("cast the column: CAST(x AS type)")
		}
		out.Fields = append(out.Fields, delta.Field{Name: n[0], Type: t, Nullable: true})
	}
	return out, nil
}

// typeParser reads a type as DuckDB writes it: STRUCT(a INTEGER, "b c" MAP(VARCHAR, DATE[])).
type typeParser struct{ rest string }

func (p *typeParser) parse() (t delta.Type, err error) {
	switch {
	case p.take("STRUCT("):
		t, err = p.structure()
	case p.take("MAP("):
		t, err = p.mapping()
	default:
		t, err = p.primitive()
	}
	for err == nil && p.take("[]") {
		t = delta.ArrayType{Element: t, ContainsNull: true}
	}
	return t, err
}

func (p *typeParser) structure() (delta.Type, error) {
	var out delta.StructType
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		t, err := p.parse()
		if err != nil {
			return nil, err
		}
		out.Fields = append(out.Fields, delta.Field{Name: name, Type: t, Nullable: true})
		switch {
		case p.take(")"):
			return out, nil
		case !p.take(", "):
			return nil, fmt.Errorf("no end of the struct before %q", p.rest)
		}
	}
}

func (p *typeParser) mapping() (delta.Type, error) {
	key, err := p.parse()
	if err != nil {
		return nil, err
	}
	if !p.take(", ") {
		return nil, fmt.Errorf("no value type of the map before %q", p.rest)
	}
	value, err := p.parse()
	if err == nil && !p.take(")") {
		err = fmt.Errorf("no end of the map before %q", p.rest)
	}
	return delta.MapType{Key: key, Value: value, ValueContainsNull: true}, err
}

func (p *typeParser) primitive() (delta.Type, error) {
	for _, prefix := range []string{`"NULL"`, "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_", "TIMESTAMP", "DECIMAL("} { // longer ones first
		if !strings.HasPrefix(p.rest, prefix) {
			continue
		}
		switch prefix {
		case `"NULL"`:
			p.take(prefix)
			return delta.Void, nil
		case "TIMESTAMP_":
			return nil, fmt.Errorf("precision of %s", p.rest)
		case "TIMESTAMP":
			p.take(prefix)
			return delta.TimestampNTZ, nil
		case "DECIMAL(":
			end := strings.IndexByte(p.rest, ')') + 1
			t, err := deltaType(p.rest[:end])
			p.rest = p.rest[end:]
			return t, err
		}
		break
	}
	end := strings.IndexAny(p.rest, ",)[")
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	if t, ok := deltaNames[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("type %s", name)
}

// name reads the name of a struct's member and the blank behind it.
func (p *typeParser) name() (string, error) {
	if !p.take(`"`) {
		name, rest, ok := strings.Cut(p.rest, " ")
		p.rest = rest
		if !ok {
			return "", fmt.Errorf("no type behind %q", name)
		}
		return name, nil
	}
	var name strings.Builder
	for {
		part, rest, ok := strings.Cut(p.rest, `"`)
		if !ok {
			return "", fmt.Errorf("no end of the name %q", p.rest)
		}
		name.WriteString(part)
		p.rest = rest
		if !p.take(`"`) { // two of them stand for one
			break
		}
		name.WriteByte('"')
	}
	if !p.take(" ") {
		return "", fmt.Errorf("no type behind %q", name.String())
	}
	return name.String(), nil
}

func (p *typeParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}
