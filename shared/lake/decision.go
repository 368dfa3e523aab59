package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Decision is what a table's commit decided about one batch of input. It is a document beside the table,
// <table>/_lakestep/cursors/<attempt>.json, written before the commit, which carries txn {appId "lakestep/<table>", version <attempt>}: so
// the cursor of a consumer lives in its own data's commit, and no second store can disagree. The newest txn names the document that holds;
// two writers of one table conflict by Delta's own rule on appId.
//
// Rows that a decision refuses go to another table (a quarantine). Their files are written before the commit and their adds are in the
// document; whoever comes next commits them, once (Lake.Forward).
type Decision struct {
	Format      int               `json:"format"` // 1
	Table       string            `json:"table"`  // full name
	Attempt     int64             `json:"attempt,string"`
	Parent      int64             `json:"parent,string,omitempty"` // the decision before; 0: none
	Depth       int               `json:"depth"`                   // parents to follow to one that names the segments
	Run         string            `json:"run"`
	ReadVersion int64             `json:"read_version"`     // of the table, on which the decision was made; -1: there was none
	Inputs      map[string]Input  `json:"inputs,omitempty"` // tables read, by full name
	Items       []connector.Item  `json:"items,omitempty"`  // of the source: what this batch took
	Cursor      json.RawMessage   `json:"cursor,omitempty"` // of a source without items: its position after this batch
	Again       bool              `json:"again,omitempty"`  // the batch was read again by an operator's word, its first one in this run
	Fresh       bool              `json:"fresh,omitempty"`  // and the position began anew with it: what was taken before does not count
	Older       []Segment         `json:"older,omitempty"`  // at depth 0: what all decisions before took, newest first
	Kind        string            `json:"kind,omitempty"`   // materialization and key, which a table keeps
	Model       string            `json:"model,omitempty"`  // digest of the SQL and the rules that were applied
	Counts      Counts            `json:"counts"`
	Control     map[string]Totals `json:"control,omitempty"` // control totals, by test name
	Refused     *Refused          `json:"refused,omitempty"` // the newest rows that were refused: this batch's or an earlier one's
}

// Input is how far a table has been read.
type Input struct {
	Version int64  `json:"version"`  // the last one
	TableID string `json:"table_id"` // metaData.id: a table made anew has another
}

// Counts says where a batch's rows went: Read = Accepted + Superseded + Stale + Quarantined.
type Counts struct {
	Read        int64 `json:"read"`
	Accepted    int64 `json:"accepted"`
	Superseded  int64 `json:"superseded"`  // a newer row of the same key was in the batch
	Stale       int64 `json:"stale"`       // the table held a row of the same key that is as new or newer
	Quarantined int64 `json:"quarantined"` // refused, with a reason
}

// Balanced tells whether every row is accounted for.
func (c Counts) Balanced() bool { return c.Read == c.Accepted+c.Superseded+c.Stale+c.Quarantined }

// Plus adds two counts.
func (c Counts) Plus(d Counts) Counts {
	return Counts{c.Read + d.Read, c.Accepted + d.Accepted, c.Superseded + d.Superseded, c.Stale + d.Stale, c.Quarantined + d.Quarantined}
}

// Totals are the sums of an expression over the rows that went each way, as exact decimal texts.
type Totals struct {
	Good       string `json:"good"` // all rows that passed the row rules
	Superseded string `json:"superseded"`
	Stale      string `json:"stale"`
	Accepted   string `json:"accepted"`           // Good - Superseded - Stale
	Removals   int64  `json:"removals,omitempty"` // accepted rows that only remove, which the sums leave out
}

// Refused is an append to another table that belongs to a decision.
type Refused struct {
	Attempt int64        `json:"attempt,string"` // of the decision that refused the rows
	Table   string       `json:"table"`          // full name
	Schema  delta.Schema `json:"schema"`
	Adds    []delta.Add  `json:"adds"`
	Rows    int64        `json:"rows"`
}

// AppID is the application id of a table's decisions.
func AppID(table string) string { return "lakestep/" + table }

const (
	format      = 1
	maxDepth    = 100
	maxDocument = 64 << 20
)

// decisionKey is where a decision's document lies, under the table.
func decisionKey(attempt int64) string { return fmt.Sprintf("_lakestep/cursors/%d.json", attempt) }

// loadDecision gives the decision that holds in a snapshot; nil when there is none yet.
func loadDecision(ctx context.Context, s store.Store, prefix, table string, snap *delta.Snapshot) (*Decision, error) {
	attempt, ok := snap.Txn(AppID(table))
	if !ok {
		return nil, nil
	}
	return readDecision(ctx, s, prefix, attempt)
}

// readDecision gives one decision by its attempt.
func readDecision(ctx context.Context, s store.Store, prefix string, attempt int64) (*Decision, error) {
	key := prefix + "/" + decisionKey(attempt)
	raw, err := store.ReadAll(ctx, s, key, maxDocument)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.SourceLost, "read", key, "the table's newest commit names this cursor, and it is gone").
			WithHint("restore the file from a backup, or rebuild the table from its inputs")
	}
	if err != nil {
		return nil, err
	}
	var d Decision
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fault.New(fault.SourceLost, "read", key, "cursor document: %w", err)
	}
	if d.Format != format || d.Attempt != attempt {
		return nil, fault.New(fault.SourceLost, "read", key, "cursor document of format %d, attempt %d", d.Format, d.Attempt)
	}
	return &d, nil
}

// pointer is what later decisions keep of rows refused earlier: enough to tell that they are in.
func (r *Refused) pointer() *Refused {
	if r == nil {
		return nil
	}
	return &Refused{Attempt: r.Attempt, Table: r.Table}
}
