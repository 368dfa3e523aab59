package materialize_test

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
)

// eventOracle says what a table of testdata/events holds after some batches of change events: a map to which they are applied one after the
// other, by their sequence.
type eventOracle struct {
	hard        bool
	rows        map[int]held
	quarantined []string
	counts      lake.Counts
	control     [3]*big.Rat // good, superseded, stale
	removals    int64       // accepted deletes and truncates
}

// held is a row of the table. Values are texts, "NULL" for NULL.
type held struct {
	seq       int
	v, amount string
	gone      bool
}

// changed is a received event.
type changed struct {
	raw       laketest.Row
	k, seq    int // -1: NULL
	op        string
	v, amount string
	left      []string
}

const (
	rawK = iota
	rawSeq
	rawV
	rawAmount
	rawOp
	rawGaps
)

func number(cell any) int {
	if s, ok := cell.(string); ok {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	}
	return -1
}

func parseEvent(raw laketest.Row) changed {
	e := changed{raw: raw, k: number(raw[rawK]), seq: number(raw[rawSeq]), v: "NULL", amount: "NULL"}
	if s, ok := raw[rawV].(string); ok {
		e.v = s
	}
	if s, ok := raw[rawAmount].(string); ok {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			e.amount = strconv.FormatFloat(f, 'f', 2, 64)
		}
	}
	word, _ := raw[rawOp].(string)
	e.op = map[string]string{"": "upsert", "i": "upsert", "insert": "upsert", "u": "upsert", "update": "upsert", "r": "upsert",
		"d": "delete", "delete": "delete", "truncate": "truncate", "t": "truncate"}[strings.ToLower(word)]
	if s, ok := raw[rawGaps].(string); ok && e.op == "upsert" {
		for _, c := range strings.Split(s, ",") {
			if c != "" {
				e.left = append(e.left, strings.ToLower(c))
			}
		}
	}
	return e
}

// apply takes one batch.
func (o *eventOracle) apply(batch []laketest.Row) {
	o.counts = lake.Counts{Read: int64(len(batch))}
	o.control = [3]*big.Rat{new(big.Rat), new(big.Rat), new(big.Rat)}
	var events []changed
	for _, raw := range batch {
		events = append(events, parseEvent(raw))
	}
	slices.SortStableFunc(events, func(a, b changed) int { return a.seq - b.seq })
	var good []changed
	for i, e := range events {
		why := o.complete(&e, events[:i])
		if why == "" {
			why = e.reason()
		}
		if why != "" {
			o.refuse(e, why)
			continue
		}
		good = append(good, e)
	}
	o.count(good)
	for _, e := range good {
		o.step(e)
	}
}

// complete fills in what an event left out, from those before it.
func (o *eventOracle) complete(e *changed, before []changed) (why string) {
	if e.op == "" {
		return "bad_operation"
	}
	if e.k < 0 || e.seq < 0 {
		return ""
	}
	for _, c := range e.left {
		if c != "v" && c != "amount" {
			return "unresolved_" + c
		}
	}
	for _, c := range []string{"v", "amount"} {
		if slices.Contains(e.left, c) && !o.find(e, c, before) {
			return "unresolved_" + c
		}
	}
	return ""
}

func (o *eventOracle) find(e *changed, column string, before []changed) bool {
	to := map[string]*string{"v": &e.v, "amount": &e.amount}[column]
	row, there := o.rows[e.k]
	own := map[string]string{"v": row.v, "amount": row.amount}[column]
	for _, d := range slices.Backward(before) {
		if there && row.seq > d.seq && row.seq <= e.seq {
			break // the table's row comes first
		}
		switch {
		case d.seq < 0 || d.op == "" || (d.op != "truncate" && d.k != e.k):
		case d.op == "truncate" || d.op == "delete":
			if there && row.seq >= e.seq {
				*to = own
			}
			return there && row.seq >= e.seq
		case !slices.Contains(d.left, column):
			*to = map[string]string{"v": d.v, "amount": d.amount}[column]
			return true
		}
	}
	if there && (row.seq >= e.seq || !row.gone) {
		*to = own
		return true
	}
	return false
}

// reason is the first rule that an event fails.
func (e changed) reason() string {
	switch {
	case e.op == "upsert" && (e.amount == "NULL" || strings.HasPrefix(e.amount, "-")):
		return "bad_amount"
	case e.op != "truncate" && e.k < 0:
		return "null_k"
	case e.seq < 0:
		return "null_seq"
	}
	return ""
}

func (o *eventOracle) refuse(e changed, why string) {
	o.counts.Quarantined++
	cells := make([]string, len(e.raw))
	for i, c := range e.raw {
		cells[i] = "NULL"
		if c != nil {
			cells[i] = c.(string)
		}
	}
	o.quarantined = append(o.quarantined, strings.Join(cells, "|")+"|"+why)
	slices.Sort(o.quarantined)
}

// count says which events win, on the table as it is before them.
func (o *eventOracle) count(good []changed) {
	add := func(i int, e changed) {
		if e.op != "upsert" {
			return
		}
		v, _ := new(big.Rat).SetString(e.amount)
		o.control[i].Add(o.control[i], v)
	}
	cut, last := -1, map[int]int{}
	for i, e := range good {
		add(0, e)
		if e.op == "truncate" {
			cut = e.seq
		} else {
			last[e.k] = i
		}
	}
	truncates := int64(0)
	o.removals = 0
	for i, e := range good {
		row, there := o.rows[e.k]
		switch {
		case e.op == "truncate":
			truncates++
		case last[e.k] != i || e.seq < cut:
			o.counts.Superseded++
			add(1, e)
		case there && (row.seq > e.seq || (row.seq == e.seq && (row.gone || e.op == "upsert"))):
			o.counts.Stale++
			add(2, e)
		case e.op == "delete":
			o.removals++
		}
	}
	o.counts.Superseded += max(truncates-1, 0)
	o.removals += min(truncates, 1)
	o.counts.Accepted = o.counts.Read - o.counts.Quarantined - o.counts.Superseded - o.counts.Stale
}

// step applies one event.
func (o *eventOracle) step(e changed) {
	if e.op == "truncate" {
		for k, row := range o.rows {
			switch {
			case row.seq >= e.seq:
			case o.hard:
				delete(o.rows, k)
			default:
				o.rows[k] = held{seq: e.seq, v: row.v, amount: row.amount, gone: true}
			}
		}
		return
	}
	row, there := o.rows[e.k]
	switch {
	case there && (e.seq < row.seq || (e.seq == row.seq && (row.gone || e.op == "upsert"))):
	case e.op == "upsert":
		o.rows[e.k] = held{seq: e.seq, v: e.v, amount: e.amount}
	case o.hard:
		delete(o.rows, e.k)
	case there:
		o.rows[e.k] = held{seq: e.seq, v: row.v, amount: row.amount, gone: true}
	default:
		o.rows[e.k] = held{seq: e.seq, v: e.v, amount: e.amount, gone: true}
	}
}

func (o *eventOracle) lines() []string {
	out := []string{}
	for k, row := range o.rows {
		line := fmt.Sprintf("%d|%d|%s|%s", k, row.seq, row.v, row.amount)
		if !o.hard {
			line += fmt.Sprintf("|%t", row.gone)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}
