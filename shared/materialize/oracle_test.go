package materialize_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
)

// The oracle says what the tables of testdata/pipeline.yaml hold after some batches, by the plainest means: maps and loops over rows.

// row is a typed row as texts, "NULL" for NULL. at is written as the engine writes a timestamp with time zone.
type row struct{ k, at, v, amount string }

func (r row) String() string { return strings.Join([]string{r.k, r.at, r.v, r.amount}, "|") }

// digest tells rows of one sequence value apart: each column as text behind its length.
func (r row) digest() string {
	var b strings.Builder
	for _, c := range []string{r.k, r.at, r.v, r.amount} {
		if c == "NULL" {
			b.WriteString("-")
		} else {
			fmt.Fprintf(&b, "%d:%s", len([]rune(c)), c)
		}
	}
	sum := md5.Sum([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// typed is what the model makes of a received row.
func typed(raw laketest.Row) row {
	r := row{"NULL", "NULL", "NULL", "NULL"}
	if s, ok := raw[0].(string); ok {
		if n, err := strconv.Atoi(s); err == nil {
			r.k = strconv.Itoa(n)
		}
	}
	if s, ok := raw[1].(string); ok && strings.HasPrefix(s, "2026-") {
		r.at = s + "+00"
	}
	if s, ok := raw[2].(string); ok {
		r.v = s
	}
	if s, ok := raw[3].(string); ok {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			r.amount = strconv.FormatFloat(f, 'f', 2, 64)
		}
	}
	return r
}

// reason is the first rule that a row fails; null says which columns must not be NULL.
func (r row) reason(null ...string) string {
	if r.amount == "NULL" || strings.HasPrefix(r.amount, "-") {
		return "bad_amount"
	}
	for _, c := range null {
		if (c == "k" && r.k == "NULL") || (c == "seen" && r.at == "NULL") {
			return "null_" + c
		}
	}
	return ""
}

// newer is the order of rows of one key.
func newer(a, b row) bool {
	if a.at != b.at {
		return a.at > b.at
	}
	return a.digest() > b.digest()
}

// oracle is one table.
type oracle struct {
	kind        string // merge, append, full, scd2 or scd2all
	rows        []version
	quarantined []string
	counts      lake.Counts
	control     [3]*big.Rat // good, superseded, stale
	inserted    int64
	updated     int64
	lastKey     int64
}

// version is a row of the table; only scd2 uses the fields behind the row.
type version struct {
	row
	sk      int64
	to      string
	current bool
}

func (o *oracle) text(v version) string {
	if o.scd2() {
		return fmt.Sprintf("%d|%s|%s|%s|%t|%s|%s", v.sk, v.k, v.at, v.to, v.current, v.v, v.amount)
	}
	return v.String()
}

func (o *oracle) scd2() bool { return strings.HasPrefix(o.kind, "scd2") }

func (o *oracle) lines() []string {
	out := make([]string, len(o.rows))
	for i, v := range o.rows {
		out[i] = o.text(v)
	}
	slices.Sort(out)
	return out
}

// apply takes one batch.
func (o *oracle) apply(batch []laketest.Row) {
	null := map[string][]string{"merge": {"k", "seen"}, "scd2": {"k", "seen"}, "scd2all": {"k", "seen"}}[o.kind]
	o.counts = lake.Counts{Read: int64(len(batch))}
	o.control = [3]*big.Rat{new(big.Rat), new(big.Rat), new(big.Rat)}
	o.inserted, o.updated = 0, 0
	var good []row
	for _, raw := range batch {
		r := typed(raw)
		if why := r.reason(null...); why != "" {
			o.counts.Quarantined++
			cells := make([]string, len(raw))
			for i, c := range raw {
				cells[i] = "NULL"
				if c != nil {
					cells[i] = c.(string)
				}
			}
			o.quarantined = append(o.quarantined, strings.Join(cells, "|")+"|"+why)
			continue
		}
		o.add(0, r)
		good = append(good, r)
	}
	switch o.kind {
	case "append":
		for _, r := range good {
			o.rows = append(o.rows, version{row: r})
		}
		o.inserted = int64(len(good))
	case "full":
		o.rows, o.inserted = nil, int64(len(good))
		for _, r := range good {
			o.rows = append(o.rows, version{row: r})
		}
	case "merge":
		o.merge(o.latest(good, func(r row) string { return r.k }))
	case "scd2":
		o.versions(o.latest(good, func(r row) string { return r.k }))
	case "scd2all":
		o.versions(o.latest(good, func(r row) string { return r.k + "@" + r.at }))
	}
	o.counts.Accepted = o.counts.Read - o.counts.Quarantined - o.counts.Superseded - o.counts.Stale
	slices.Sort(o.quarantined)
}

func (o *oracle) add(i int, r row) {
	v, ok := new(big.Rat).SetString(r.amount)
	if !ok {
		panic(r.amount)
	}
	o.control[i].Add(o.control[i], v)
}

// latest keeps the newest row of each key.
func (o *oracle) latest(rows []row, key func(row) string) []row {
	best := map[string]row{}
	for _, r := range rows {
		b, met := best[key(r)]
		switch {
		case !met:
			best[key(r)] = r
		case newer(r, b):
			o.counts.Superseded++
			o.add(1, b)
			best[key(r)] = r
		default:
			o.counts.Superseded++
			o.add(1, r)
		}
	}
	return slices.Collect(maps.Values(best))
}

func (o *oracle) merge(rows []row) {
	for _, r := range rows {
		i := slices.IndexFunc(o.rows, func(v version) bool { return v.k == r.k })
		switch {
		case i < 0:
			o.rows = append(o.rows, version{row: r})
			o.inserted++
		case !newer(r, o.rows[i].row):
			o.counts.Stale++
			o.add(2, r)
		default:
			o.rows[i].row = r
			o.updated++
		}
	}
}

func (o *oracle) versions(rows []row) {
	slices.SortFunc(rows, func(a, b row) int {
		ka, _ := strconv.Atoi(a.k)
		kb, _ := strconv.Atoi(b.k)
		if ka != kb {
			return ka - kb
		}
		return strings.Compare(a.at, b.at)
	})
	before := len(o.rows) // versions that the batch found
	for _, r := range rows {
		i := slices.IndexFunc(o.rows, func(v version) bool { return v.k == r.k && v.current })
		switch {
		case i >= 0 && o.staleBefore(r, before):
			o.counts.Stale++
			o.add(2, r)
			continue
		case i >= 0 && o.rows[i].v == r.v:
			continue // accepted, and nothing changes
		case i >= 0:
			o.rows[i].to, o.rows[i].current = r.at, false
			if i < before {
				o.updated++
			}
		}
		o.lastKey++
		o.rows = append(o.rows, version{row: r, sk: o.lastKey, to: "NULL", current: true})
		o.inserted++
	}
}

// staleBefore tells whether a row is not later than the version that was current before the batch.
func (o *oracle) staleBefore(r row, before int) bool {
	last := ""
	for _, v := range o.rows[:before] {
		if v.k == r.k {
			last = max(last, v.at)
		}
	}
	return last != "" && r.at <= last
}
