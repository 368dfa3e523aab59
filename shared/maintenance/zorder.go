package maintenance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// How rows are z-ordered. Each column becomes a rank of 10 bits: a sample of its values, sorted as the engine sorts them (so any type
// that can be compared: numbers, decimals, texts, dates, timestamps, booleans, binary; NaN is the greatest number), is cut into at most 1,023
// ranges of as many rows each, and a value's rank is the number of its range, spread over the 10 bits; NULL ranks lowest. The bits
// of the columns' ranks are interleaved, the first column's first, and rows are sorted by that number. The sort goes through the disk where
// the engine's memory does not suffice, and straight into the files: kept as a table first it took a third more memory, over 512 MB for 10 million
// rows. The price is that the engine's threads may swap row groups where a file ends. A sample makes ranges uneven, never rows wrong.
//
// Each batch is a z-ordered set: its files carry the set's name and columns in their tags. A set stays as it is until files that are in no
// set of these columns amount to half of it; then it is sorted again with them. So a row is rewritten as often as its table doubles, not
// as often as rows are added.
const (
	tagZOrderSet = "lakestep.zorder.set"
	tagZOrderBy  = "lakestep.zorder.by"

	rankBits   = 10
	sampleRows = 100_000
	maxZOrder  = 6 // columns: ranks of 10 bits each in one number of 64
)

// checkZOrder refuses columns by which rows cannot be ordered.
func checkZOrder(snap *delta.Snapshot, columns []string) error {
	refuse := func(format string, args ...any) error {
		return fault.New(fault.InvalidInput, "z-order", strings.Join(columns, ", "), format, args...)
	}
	if len(columns) > maxZOrder {
		return refuse("%d columns are too many: each further one takes order from the others; %d at most", len(columns), maxZOrder)
	}
	if _, clustered := snap.Domain("delta.clustering"); clustered && len(columns) > 0 {
		return refuse("the table is clustered (delta.clustering), which decides by what its rows are ordered")
	}
	for i, c := range columns {
		if slices.Contains(columns[:i], c) {
			return refuse("column %s is named twice", c)
		}
		if slices.Contains(snap.Metadata().PartitionColumns, c) {
			return refuse("column %s is a partition column: its rows are together already", c)
		}
		_, typ, err := columnPath(snap.Schema(), c)
		if err != nil {
			return refuse("%w", err)
		}
		if _, ok := typ.(delta.Primitive); !ok {
			return refuse("column %s is of type %s, which has no order", c, typ)
		}
	}
	return nil
}

// columnPath finds a column by its name, or inside structs by names with dots between them.
func columnPath(s delta.StructType, column string) (path []string, typ delta.Type, err error) {
	if f, ok := s.Field(column); ok { // a name may hold dots
		return []string{column}, f.Type, nil
	}
	for i, c := range column {
		if c != '.' {
			continue
		}
		f, ok := s.Field(column[:i])
		inner, isStruct := f.Type.(delta.StructType)
		if !ok || !isStruct {
			continue
		}
		if path, typ, err := columnPath(inner, column[i+1:]); err == nil {
			return append([]string{column[:i]}, path...), typ, nil
		}
	}
	return nil, nil, fmt.Errorf("there is no column %s", column)
}

// unordered gives the files of one partition that are to be sorted together: what is in no set, and the sets that are not much larger.
// More than a batch holds is cut into several sets, oldest first.
func unordered(files []delta.Add, o OptimizeOptions) [][]delta.Add {
	by := zOrderBy(o.ZOrder)
	var fresh []delta.Add
	sets := map[string][]delta.Add{}
	for _, a := range files {
		if set := a.Tags[tagZOrderSet]; set != "" && a.Tags[tagZOrderBy] == by && a.DeletionVector == nil {
			sets[set] = append(sets[set], a)
		} else {
			fresh = append(fresh, a)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	bySize := make([][]delta.Add, 0, len(sets))
	for _, key := range sortedKeys(sets) {
		bySize = append(bySize, sets[key])
	}
	slices.SortStableFunc(bySize, func(a, b []delta.Add) int { return cmp.Compare(sizeOf(a), sizeOf(b)) })
	size := sizeOf(fresh)
	for _, set := range bySize {
		n := sizeOf(set)
		if n > 2*size || size+n > o.BatchBytes {
			break
		}
		fresh, size = append(fresh, set...), size+n
	}
	var out [][]delta.Add
	var bytes int64
	for _, a := range fresh {
		if len(out) == 0 || bytes+a.Size > o.BatchBytes {
			out, bytes = append(out, nil), 0
		}
		out[len(out)-1], bytes = append(out[len(out)-1], a), bytes+a.Size
	}
	return out
}

func zOrderBy(columns []string) string {
	raw, err := json.Marshal(columns)
	if err != nil {
		panic(err) // texts only
	}
	return string(raw)
}

func zOrderTags(tags map[string]string, columns []string, set string) map[string]string {
	tags[tagZOrderSet], tags[tagZOrderBy] = set, zOrderBy(columns)
	return tags
}

// zOrdered gives a query for the rows of a relation in z-order.
func zOrdered(ctx context.Context, s *engine.Session, schema delta.Schema, relation string, columns []string) (string, error) {
	ranks, steps, bits := make([]string, len(columns)), make([][]string, rankBits), []string{}
	for i, c := range columns {
		path, _, err := columnPath(schema, c)
		if err != nil {
			return "", fault.New(fault.InvalidInput, "z-order", c, "%w", err)
		}
		value, bounds, rank := columnSQL(path), fmt.Sprintf("lakestep_bounds_%d", i), fmt.Sprintf("__lakestep_rank_%d", i)
		// Each bound is the lowest value of its range.
		err = s.Exec(ctx, fmt.Sprintf("SET VARIABLE %s = (SELECT list_sort(list_distinct(quantile_disc(v, [i / %d.0 FOR i IN range(%d)]))) FROM (SELECT %s AS v FROM %s USING SAMPLE reservoir(%d ROWS) REPEATABLE (7)))",
			bounds, 1<<rankBits, 1<<rankBits-1, value, relation, sampleRows))
		if err != nil {
			return "", err
		}
		ranks[i] = "CAST(0 AS BIGINT) AS " + rank
		for b := range rankBits { // a binary search; beyond the last bound is NULL, which nothing reaches
			step := 1 << (rankBits - 1 - b)
			steps[b] = append(steps[b], fmt.Sprintf("%s + CASE WHEN %s >= getvariable('%s')[%s + %d] THEN %d ELSE 0 END AS %s", rank, value, bounds, rank, step, step, rank))
			spread := fmt.Sprintf("%s * %d // greatest(len(getvariable('%s')), 1)", rank, 1<<rankBits-1, bounds)
			bits = append(bits, fmt.Sprintf("((%s >> %d) & 1) << %d", spread, b, b*len(columns)+len(columns)-1-i))
		}
	}
	query := fmt.Sprintf("SELECT *, %s FROM %s", strings.Join(ranks, ", "), relation)
	for _, step := range steps {
		query = fmt.Sprintf("SELECT * REPLACE (%s) FROM (%s)", strings.Join(step, ", "), query)
	}
	return fmt.Sprintf("SELECT * FROM (%s) ORDER BY (%s)", query, strings.Join(bits, ") | (")), nil
}

// columnSQL names a column, or one inside structs.
func columnSQL(path []string) string {
	quoted := make([]string, len(path))
	for i, p := range path {
		quoted[i] = engine.Ident(p)
	}
	return strings.Join(quoted, ".")
}
