package maintenance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// claim is what a file's statistics say of one leaf column, and SQL that counts the rows that gainsay it.
type claim struct{ what, violations string }

// deep reads a file's rows, the deleted ones included, and holds its statistics against them.
func (c *check) deep(ctx context.Context, a delta.Add) error {
	scan := engine.NewScan(c.t.Store, c.t.Delta, c.snap, engine.Files([]delta.Add{{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size}}))
	relation, err := c.t.Session.Relation(ctx, scan)
	if err != nil {
		return c.unreadable(a, err)
	}
	stats, known := delta.ParseStats(a.Stats)
	var claims []claim
	if known {
		claims = c.claims(nil, c.snap.Schema(), stats.MinValues, stats.MaxValues, stats.NullCount, stats.TightBounds == nil || *stats.TightBounds)
	}
	parts := []string{"count(*)"}
	for _, cl := range claims {
		parts = append(parts, cl.violations)
	}
	for _, f := range c.snap.Schema().Fields { // reads every column, whether or not something is said of it
		parts = append(parts, "count("+engine.Ident(f.Name)+")")
	}
	for i, p := range parts {
		parts[i] = "CAST(" + p + " AS VARCHAR)"
	}
	rows, err := c.t.Session.Strings(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM "+relation)
	if err != nil {
		return c.unreadable(a, err)
	}
	const hint = "queries that skip files by statistics miss rows: lakestep table optimize writes small files anew; else delete and load the rows again"
	if n := fmt.Sprint(stats.NumRecords); known && rows[0][0] != n {
		c.found(WrongStats, true, a.Path, hint, "it has %s rows, and %s by its statistics", rows[0][0], n)
	}
	for i, cl := range claims {
		if n := rows[0][i+1]; n != "0" {
			c.found(WrongStats, true, a.Path, hint, "%s: not true of %s of its rows", cl.what, n)
		}
	}
	return nil
}

// unreadable makes a finding of an error that is the file's own.
func (c *check) unreadable(a delta.Add, err error) error {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Throttled:
		return err
	}
	c.found(BadFile, true, a.Path, restoreFile, "its rows cannot be read: %v", err)
	return nil
}

// claims goes through the statistics as the schema is nested. Names in statistics are physical ones.
func (c *check) claims(path []string, s delta.StructType, low, high, nulls map[string]any, tight bool) []claim {
	var out []claim
	for _, f := range s.Fields {
		at, name := append(append([]string{}, path...), f.Name), c.snap.PhysicalName(f)
		if inner, ok := f.Type.(delta.StructType); ok {
			lo, _ := low[name].(map[string]any)
			hi, _ := high[name].(map[string]any)
			nl, _ := nulls[name].(map[string]any)
			out = append(out, c.claims(at, inner, lo, hi, nl, tight)...)
			continue
		}
		column := columnSQL(at)
		if n, ok := nulls[name].(json.Number); ok && tight {
			out = append(out, claim{fmt.Sprintf("%s NULLs in column %s", n, strings.Join(at, ".")), fmt.Sprintf("abs(count(*) - count(%s) - %s)", column, engine.Literal(n.String())+"::BIGINT")})
		}
		p, ok := f.Type.(delta.Primitive)
		if !ok {
			continue
		}
		if v, ok := bound(low[name]); ok {
			out = append(out, c.claim(at, column, p, v, false))
		}
		if v, ok := bound(high[name]); ok {
			out = append(out, c.claim(at, column, p, v, true))
		}
	}
	return out
}

func bound(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// claim is that of one bound. Timestamps are cut to milliseconds (protocol, "Per-file Statistics"), so that the greatest may be up to one more.
func (c *check) claim(at []string, column string, t delta.Primitive, value string, greatest bool) claim {
	duck, err := engine.DuckType(t)
	if err != nil {
		return claim{"", "0"}
	}
	limit, op, word := fmt.Sprintf("TRY_CAST(%s AS %s)", engine.Literal(value), duck), "<", "at least"
	if greatest {
		op, word = ">", "at most"
		if t == delta.Timestamp || t == delta.TimestampNTZ {
			limit, op = limit+" + INTERVAL 1 MILLISECOND", ">="
		}
	}
	what := fmt.Sprintf("column %s is %s %s", strings.Join(at, "."), word, value)
	return claim{what, fmt.Sprintf("count(*) FILTER (WHERE %s %s %s OR (%s IS NULL AND %s IS NOT NULL))", column, op, limit, limit, column)}
}
