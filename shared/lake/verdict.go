package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// The outcomes of an audit.
const (
	Passed = "passed"
	Waived = "waived" // a gate is closed, and a person let the batch through by name
	Closed = "closed"
)

// Verdict is the audit of one staged commit.
type Verdict struct {
	Table   string  `json:"table"`
	Attempt int64   `json:"attempt,string"`
	Staged  string  `json:"staged"` // SHA-256 of the staged document: the verdict is on that and nothing else
	Verdict string  `json:"verdict"`
	Score   float64 `json:"score"` // percent of rows that hold, averaged over the rules
	Checks  []Check `json:"checks"`
	Reason  string  `json:"reason,omitempty"` // of the waiver
	Run     string  `json:"run"`
}

// Check is the outcome of one rule.
type Check struct {
	Name     string     `json:"name"`
	Kind     string     `json:"kind"`
	Passed   bool       `json:"passed"`
	Severity string     `json:"severity"` // fail, warn or quarantine
	Rows     int64      `json:"rows"`     // looked at
	Failed   int64      `json:"failed"`   // of them
	Message  string     `json:"message,omitempty"`
	Sample   [][]string `json:"sample,omitempty"` // first line: column names
}

// Share is the part of the rows that hold, 0 to 1. A check that fails as a whole, without rows to blame, holds for none.
func (c Check) Share() float64 {
	switch {
	case c.Passed:
		return 1
	case c.Rows == 0 || c.Failed == 0:
		return 0
	}
	return 1 - float64(c.Failed)/float64(c.Rows)
}

func (t *Table) verdictKey(attempt int64) string {
	return fmt.Sprintf("%s/_lakestep/verdicts/%d.json", t.Delta.Prefix(), attempt)
}

// PutVerdict stores an audit; a repeated audit of the same attempt replaces it.
func (t *Table) PutVerdict(ctx context.Context, v *Verdict) error {
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fault.New(fault.Internal, "store verdict of", t.Name, "%w", err)
	}
	return t.lake.Store.Put(ctx, t.verdictKey(v.Attempt), bytes.NewReader(raw), store.PutOptions{})
}

// VerdictOn gives the audit of a staged commit. There must be one, on this very document.
func (t *Table) VerdictOn(ctx context.Context, s StagedRef) (*Verdict, error) {
	var v Verdict
	found, err := t.lake.getJSON(ctx, t.verdictKey(s.Attempt), &v)
	if err != nil {
		return nil, err
	}
	if !found || v.Staged != s.SHA256 {
		return nil, fault.New(fault.Internal, "publish", t.Name, "attempt %d has no verdict on the staged commit %s", s.Attempt, s.SHA256)
	}
	return &v, nil
}

// Held says why a table was not published in a run.
type Held struct {
	Table  string `json:"table"`
	Cause  string `json:"cause"` // the table whose gate is closed: itself, or one that it reads
	Reason string `json:"reason"`

	Attempt int64 `json:"attempt,string,omitempty"` // of the cause's own verdict
}

// HeldDocument is the name of the run's document that says so.
func HeldDocument(table string) string { return "held/" + table }

// Hold records in the run that a table is held back.
func (l *Lake) Hold(ctx context.Context, run string, h Held) error {
	return l.PutRun(ctx, run, HeldDocument(h.Table), h)
}

// Release takes a hold back: the table got through after all.
func (l *Lake) Release(ctx context.Context, run, table string) error {
	return l.Store.Delete(ctx, runKey(run, HeldDocument(table)))
}

// HeldTables lists what a run holds back.
func (l *Lake) HeldTables(ctx context.Context, run string) ([]Held, error) {
	var out []Held
	prefix := strings.TrimSuffix(runKey(run, "held/"), ".json")
	for o, err := range l.Store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		var h Held
		if _, err := l.getJSON(ctx, o.Key, &h); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// LastVerdict gives the audit of an attempt; nil when there was none.
func (t *Table) LastVerdict(ctx context.Context, attempt int64) (*Verdict, error) {
	var v Verdict
	found, err := t.lake.getJSON(ctx, t.verdictKey(attempt), &v)
	if err != nil || !found {
		return nil, err
	}
	return &v, nil
}
