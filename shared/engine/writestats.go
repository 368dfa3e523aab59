package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// leaf is a column of the files, as statistics count them: structs are taken apart, arrays and maps are one.
type leaf struct {
	path     []string
	typ      delta.Type
	indexed  bool // its statistics go into the log
	required bool // no NULL is allowed, nor above it
}

// indexedColumns is how many leaves have statistics where the table does not say (delta.dataSkippingNumIndexedCols).
const indexedColumns = 32

// leaves are the columns of the files, and which of them have statistics: those that delta.dataSkippingStatsColumns names, else the
// first delta.dataSkippingNumIndexedCols (-1: all), and always the clustering columns.
func (t Target) leaves() []leaf {
	var out []leaf
	var walk func(path []string, f delta.Field, required bool)
	walk = func(path []string, f delta.Field, required bool) {
		path = append(slices.Clone(path), f.Name)
		required = required && !f.Nullable
		if st, ok := f.Type.(delta.StructType); ok {
			for _, g := range st.Fields {
				walk(path, g, required)
			}
			return
		}
		out = append(out, leaf{path: path, typ: f.Type, required: required})
	}
	for _, f := range t.Schema.Fields {
		if t.inFile(f) {
			walk(nil, f, true)
		}
	}
	limit := indexedColumns
	if n, err := strconv.Atoi(t.Properties["delta.dataSkippingNumIndexedCols"]); err == nil && n >= -1 {
		limit = n
	}
	named := t.Clustered
	if list, ok := t.Properties["delta.dataSkippingStatsColumns"]; ok {
		named, limit = append(columnPaths(list), named...), 0
	}
	for i := range out {
		out[i].indexed = limit < 0 || i < limit || slices.ContainsFunc(named, func(p []string) bool {
			return len(p) <= len(out[i].path) && slices.EqualFunc(p, out[i].path[:len(p)], strings.EqualFold)
		})
	}
	return out
}

// columnPaths reads "a, b.c, `d.e`": names separated by commas, their parts by points, in backquotes where they hold one of these.
func columnPaths(list string) [][]string {
	var out [][]string
	path, part := []string{}, strings.Builder{}
	quoted := false
	for _, r := range list + "," {
		switch {
		case r == '`':
			quoted = !quoted
		case quoted, r != '.' && r != ',':
			part.WriteRune(r)
		default:
			path = append(path, strings.TrimSpace(part.String()))
			part.Reset()
			if r == ',' {
				out, path = append(out, path), []string{}
			}
		}
	}
	return out
}

// statistics are those of a file for the log.
func (w *writer) statistics(ctx context.Context, f copied, name string) (delta.Stats, error) {
	stats := delta.Stats{NumRecords: f.count}
	found, ok := f.stats.(duckdb.OrderedMap)
	if !ok {
		return stats, fault.New(fault.Internal, "write", name, "statistics of type %T", f.stats)
	}
	var collections []leaf
	for _, l := range w.leaves {
		p, primitive := l.typ.(delta.Primitive)
		if !primitive {
			collections = append(collections, l)
			continue
		}
		values, ok := found.Get(quotedPath(l.path))
		m, isMap := values.(duckdb.OrderedMap)
		if !ok || !isMap {
			return stats, fault.New(fault.Internal, "write", name, "statistics of column %s of type %T", strings.Join(l.path, "."), values)
		}
		if err := w.setColumn(&stats, l, p, m); err != nil {
			return stats, err
		}
	}
	if w.Folder != "" {
		return stats, nil
	}
	return stats, w.countNulls(ctx, &stats, f.path, collections)
}

func quotedPath(path []string) string {
	quoted := make([]string, len(path))
	for i, p := range path {
		quoted[i] = Ident(p)
	}
	return strings.Join(quoted, ".")
}

// setColumn reads one column's statistics as COPY RETURN_STATS gives them: texts, timestamps in the session's zone (UTC). Float bounds of a
// column with NaN are left out: DuckDB does not count NaN into them.
func (w *writer) setColumn(stats *delta.Stats, l leaf, t delta.Primitive, m duckdb.OrderedMap) error {
	name := strings.Join(l.path, ".")
	text := func(key string) (string, bool) {
		v, ok := m.Get(key)
		s, isText := v.(string)
		return s, ok && isText
	}
	nulls := int64(-1)
	if s, ok := text("null_count"); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fault.New(fault.Internal, "read statistics of", name, "%w", err)
		}
		nulls = n
	}
	if nulls > 0 && l.required {
		return w.notNull(name, nulls)
	}
	lo, hasMin := text("min")
	hi, hasMax := text("max")
	temporal := t == delta.Date || t == delta.Timestamp || t == delta.TimestampNTZ
	if temporal && (strings.HasSuffix(lo, "infinity") || strings.HasSuffix(hi, "infinity")) {
		return fault.New(fault.InvalidInput, "write", w.Table.Prefix(),
			"column %s has the value infinity, which other engines would read as a date", name)
	}
	if !l.indexed {
		return nil
	}
	if nan, ok := text("has_nan"); ok && nan != "false" {
		hasMin = false
	}
	var low, high any
	if hasMin && hasMax {
		var err1, err2 error
		low, err1 = statValue(t, lo)
		high, err2 = statValue(t, hi)
		if err := errors.Join(err1, err2); err != nil {
			return fault.New(fault.Internal, "read statistics of", name, "%w", err)
		}
	}
	if low == nil || high == nil {
		low, high = nil, nil
	}
	if err := stats.SetColumn(l.path, t, low, high, nulls); err != nil {
		return fault.New(fault.Internal, "read statistics of", name, "%w", err)
	}
	return nil
}

func (w *writer) notNull(column string, nulls int64) error {
	return fault.New(fault.SchemaBroken, "write", w.Table.Prefix(), "column %s is NOT NULL, and %d of its values are NULL", column, nulls)
}

// countNulls looks how many arrays and maps of a file are NULL: COPY counts what is in them.
func (w *writer) countNulls(ctx context.Context, stats *delta.Stats, file string, leaves []leaf) error {
	leaves = slices.DeleteFunc(leaves, func(l leaf) bool { return !l.indexed && !l.required })
	if len(leaves) == 0 {
		return nil
	}
	counts, counted, dest := make([]string, len(leaves)), make([]int64, len(leaves)), make([]any, len(leaves))
	for i, l := range leaves {
		column := Ident(l.path[0])
		for _, p := range l.path[1:] {
			column = fmt.Sprintf("struct_extract(%s, %s)", column, Literal(p))
		}
		counts[i], dest[i] = fmt.Sprintf("count(*) - count(%s)", column), &counted[i]
	}
	if err := w.Row(ctx, fmt.Sprintf("SELECT %s FROM %s", strings.Join(counts, ", "), parquet([]string{file})), dest...); err != nil {
		return err
	}
	for i, l := range leaves {
		if counted[i] > 0 && l.required {
			return w.notNull(strings.Join(l.path, "."), counted[i])
		}
		if !l.indexed {
			continue
		}
		if err := stats.SetColumn(l.path, "", nil, nil, counted[i]); err != nil {
			return fault.New(fault.Internal, "read statistics of", strings.Join(l.path, "."), "%w", err)
		}
	}
	return nil
}

// statValue gives a bound as package delta wants it; nil where a type has none.
func statValue(t delta.Primitive, s string) (any, error) {
	switch t {
	case delta.String:
		return s, nil
	case delta.Byte, delta.Short, delta.Integer, delta.Long:
		return strconv.ParseInt(s, 10, 64)
	case delta.Float, delta.Double:
		return strconv.ParseFloat(s, 64)
	case delta.Date:
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return nil, nil // beyond the years that four digits hold: no bound
		}
		return s, nil
	case delta.Timestamp, delta.TimestampNTZ:
		v, err := time.Parse("2006-01-02 15:04:05.999999", strings.TrimSuffix(s, "+00"))
		if err != nil {
			return nil, nil
		}
		return v, nil
	}
	if _, _, ok := t.DecimalParts(); ok {
		return plainDecimal(s), nil
	}
	return nil, nil
}

// plainDecimal gives a decimal as DuckDB writes it (".5", "-.5") the digit before the point that JSON wants.
func plainDecimal(s string) json.Number {
	digits, negative := strings.CutPrefix(s, "-")
	if strings.HasPrefix(digits, ".") {
		digits = "0" + digits
	}
	if negative {
		digits = "-" + digits
	}
	return json.Number(digits)
}
