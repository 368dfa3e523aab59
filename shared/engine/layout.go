package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

// layout is what a Parquet file holds.
type layout struct {
	text    string // equal for files that are read alike
	columns []physical
}

// physical is a column of a Parquet file, or a part of one, as DuckDB reads it.
type physical struct {
	name  string
	id    *int       // Parquet's field id, where asked for
	kind  string     // "": a leaf; else "struct", "list" or "map"
	duck  string     // DuckDB's type of a leaf
	parts []physical // fields of a struct; element of a list; key and value of a map
}

func (l layout) has(name string) bool {
	return slices.ContainsFunc(l.columns, func(c physical) bool { return c.name == name })
}

// hides tells whether a column of the file hides DuckDB's own column of that name.
func (l layout) hides(name string) bool {
	return slices.ContainsFunc(l.columns, func(c physical) bool { return strings.EqualFold(c.name, name) })
}

// layouts reads the footers of files, by path.
func (s *Session) layouts(ctx context.Context, paths []string, ids bool) (map[string]layout, error) {
	paths = slices.Compact(slices.Sorted(slices.Values(paths))) // a file that is named twice would show each column twice
	id := "NULL"
	if ids {
		id = "field_id"
	}
	rows, err := s.Strings(ctx, fmt.Sprintf(`SELECT CAST(layout AS VARCHAR), CAST(to_json(list(file_name)) AS VARCHAR) FROM (
		SELECT file_name, to_json(list({name: name, leaf: duckdb_type, children: num_children, repetition: repetition_type, converted: converted_type, id: %s}
			ORDER BY column_id)) AS layout
		FROM parquet_schema(%s) GROUP BY file_name) GROUP BY layout`, id, exactly(paths)))
	if err != nil {
		return nil, err
	}
	out := map[string]layout{}
	for _, r := range rows {
		l := layout{text: r[0]}
		var elements []element
		var files []string
		if err := errors.Join(json.Unmarshal([]byte(r[0]), &elements), json.Unmarshal([]byte(r[1]), &files)); err != nil {
			return nil, fault.New(fault.Internal, "scan", "footer", "%w", err)
		}
		root, rest, err := readElement(elements, element{}, 0)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("%d elements too many", len(rest))
		}
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "scan", files[0], "the file's schema cannot be understood: %w", err)
		}
		l.columns = root.parts
		for _, f := range files {
			out[f] = l
		}
	}
	return out, nil
}

// element is a line of a Parquet file's schema: a tree in depth-first order.
type element struct {
	Name       string `json:"name"`
	Leaf       string `json:"leaf"`
	Children   int    `json:"children"`
	Repetition string `json:"repetition"`
	Converted  string `json:"converted"`
	ID         *int   `json:"id"`
}

// maxNesting bounds how deep a schema goes: a damaged footer must not exhaust the stack.
const maxNesting = 200

// readElement reads one element with its children, and gives the elements after it. It goes by DuckDB's own rules for lists and maps, which
// are of many makes: what the SELECT says must fit what the engine reads.
func readElement(elements []element, parent element, depth int) (physical, []element, error) {
	if len(elements) == 0 || depth > maxNesting {
		return physical{}, nil, fmt.Errorf("it ends too early, or is nested more than %d times", maxNesting)
	}
	e, rest := elements[0], elements[1:]
	c := physical{name: e.Name, id: e.ID, duck: e.Leaf}
	repeated := e.Repetition == "REPEATED"
	var parts []physical
	for range e.Children {
		part, after, err := readElement(rest, e, depth+1)
		if err != nil {
			return physical{}, nil, err
		}
		parts, rest = append(parts, part), after
	}
	switch {
	case e.Children == 0 && depth == 0:
		c.kind = "struct"
	case e.Children == 0:
	case depth > 0 && (e.Converted == "MAP_KEY_VALUE" || parent.Converted == "MAP" && parent.Children == 1):
		if len(parts) != 2 {
			return physical{}, nil, fmt.Errorf("map %q has %d parts", parent.Name, len(parts))
		}
		c.kind, c.parts = "map", parts
		return c, rest, nil
	case len(parts) > 1 || depth == 0 || (e.Converted != "LIST" && e.Converted != "MAP" && !repeated):
		c.kind, c.parts = "struct", parts
	default: // a shell around its only part
		c.kind, c.duck, c.parts = parts[0].kind, parts[0].duck, parts[0].parts
	}
	if repeated && depth > 0 {
		c = physical{name: c.name, id: c.id, kind: "list", parts: []physical{c}}
	}
	return c, rest, nil
}
