package delta

import (
	"context"
	"errors"
	"fmt"

	"github.com/lakestep/lakestep/shared/fault"
)

// Operation says what a transaction does; it becomes the commitInfo.
type Operation struct {
	Name         string           `json:"name"` // "WRITE", "MERGE", "OPTIMIZE", "CREATE TABLE", ...
	Parameters   map[string]any   `json:"parameters,omitempty"`
	Metrics      map[string]int64 `json:"metrics,omitempty"`
	UserMetadata string           `json:"userMetadata,omitempty"`
	Attempt      int64            `json:"attempt,omitempty"` // the invocation, for tracing; 0 none
	Erasure      string           `json:"erasure,omitempty"` // by whose order rows are deleted for good, "" for all else: see Commit.Erasure
}

// Txn collects the actions of one transaction on top of a snapshot. Methods that add to it return it, and keep
// the first mistake for Commit or Stage to report. A Txn is used by one goroutine.
type Txn struct {
	table           *Table
	base            *Snapshot // nil in a loaded one until it is needed
	readVersion     int64
	tableID         string // metaData.id at the read version
	id              string // commitInfo.txnId: says whose a commit is after an answer was lost
	op              Operation
	changes         Commit // the actions; its other fields are unused
	reads           readSet
	newVectors      bool // SetDeletionVector was called
	constraintsHold bool
	err             error
}

// Begin starts a transaction that depends on the snapshot. Until ReadNothing, ReadFiles or ReadWhere says otherwise it
// counts as having read the whole table.
func (s *Snapshot) Begin(op Operation) *Txn {
	return &Txn{
		table: s.table, base: s, readVersion: s.version, tableID: s.metadata.ID, id: s.table.newID(), op: op,
		reads: readSet{Mode: readAll},
	}
}

// Add makes files part of the table.
func (x *Txn) Add(files ...Add) *Txn {
	x.changes.Adds = append(x.changes.Adds, files...)
	return x
}

// Remove takes live files of the snapshot out of the table. dataChange is false when the transaction adds the
// same rows again.
func (x *Txn) Remove(dataChange bool, files ...Add) *Txn {
	for _, f := range files {
		size, values := f.Size, f.PartitionValues
		if values == nil {
			values = map[string]*string{}
		}
		x.changes.Removes = append(x.changes.Removes, Remove{
			Path: f.Path, DataChange: dataChange, ExtendedFileMetadata: ptr(true), PartitionValues: values,
			Size: &size, Stats: f.Stats, Tags: f.Tags, DeletionVector: f.DeletionVector,
			BaseRowID: f.BaseRowID, DefaultRowCommitVersion: f.DefaultRowCommitVersion,
		})
	}
	return x
}

// SetDeletionVector replaces the set of deleted rows of a live file, nil meaning none (protocol, "Deletion Vectors"). The file
// stays; its bounds stay as they are and need no longer be tight. Its statistics must hold the number of its physical
// rows, which readers of deletion vectors ask for: of a file without, the caller rewrites the rows instead.
func (x *Txn) SetDeletionVector(old Add, dv *DeletionVector) *Txn {
	stats, ok := ParseStats(old.Stats)
	switch {
	case !ok:
		x.misuse(fmt.Errorf("deletion vector for %q, whose statistics have no numRecords", old.Path))
	case dv != nil && dv.Cardinality > stats.NumRecords:
		x.misuse(fmt.Errorf("deletion vector of %d rows for %q, which has %d", dv.Cardinality, old.Path, stats.NumRecords))
	}
	x.Remove(true, old)
	x.newVectors = x.newVectors || dv != nil
	next := old
	stats.TightBounds = ptr(false)
	next.Stats, next.DataChange, next.DeletionVector = stats.JSON(), true, dv
	return x.Add(next)
}

// ConstraintsHold declares that all rows of the added files were checked against Snapshot.Constraints. Without, rows are not
// added to tables that have invariants or CHECK constraints.
func (x *Txn) ConstraintsHold() *Txn {
	x.constraintsHold = true
	return x
}

// CDC adds files of the change data feed. A version that has any is read from them alone.
func (x *Txn) CDC(files ...CDC) *Txn {
	x.changes.CDC = append(x.changes.CDC, files...)
	return x
}

// SetTxn records how far an application got. Of concurrent transactions with one appID only the first commits.
func (x *Txn) SetTxn(appID string, version int64) *Txn {
	x.changes.Txns = append(x.changes.Txns, SetTransaction{AppID: appID, Version: version, LastUpdated: ptr(x.table.now().UnixMilli())})
	return x
}

// SetDomain sets the configuration of a metadata domain, or takes it away (Removed). Names that start with "delta." are the
// protocol's own (protocol, "Domain Metadata").
func (x *Txn) SetDomain(d DomainMetadata) *Txn {
	x.changes.Domains = append(x.changes.Domains, d)
	return x
}

// SetMetadata replaces the table's metadata.
func (x *Txn) SetMetadata(m Metadata) *Txn {
	if x.changes.Metadata != nil {
		x.misuse(errors.New("metaData is set twice"))
	}
	x.changes.Metadata = &m
	return x
}

// SetProtocol replaces the table's protocol, which may only grow.
func (x *Txn) SetProtocol(p Protocol) *Txn {
	if x.changes.Protocol != nil {
		x.misuse(errors.New("protocol is set twice"))
	}
	x.changes.Protocol = &p
	return x
}

// Actions are what the transaction will commit, without the commitInfo, for Snapshot.With.
func (x *Txn) Actions() []Action {
	c := &x.changes
	var out []Action
	if c.Protocol != nil {
		out = append(out, *c.Protocol)
	}
	if c.Metadata != nil {
		out = append(out, *c.Metadata)
	}
	out = appendActions(out, c.Txns)
	out = appendActions(out, c.Domains)
	out = appendActions(out, c.Removes)
	out = appendActions(out, c.Adds)
	return appendActions(out, c.CDC)
}

func appendActions[A Action](out []Action, in []A) []Action {
	for _, a := range in {
		out = append(out, a)
	}
	return out
}

// Base is the snapshot at the read version.
func (x *Txn) Base(ctx context.Context) (*Snapshot, error) {
	if x.base != nil {
		return x.base, nil
	}
	if x.readVersion < 0 {
		x.base = x.table.Empty()
		return x.base, nil
	}
	s, err := x.table.Snapshot(ctx, AsOf{Version: &x.readVersion})
	if fault.KindOf(err) == fault.SourceLost {
		return nil, fault.New(fault.Stale, "commit to", x.table.prefix, "%w", err).
			WithHint("the log was cleaned up since version %d was read; run the step again", x.readVersion)
	}
	if err != nil {
		return nil, err
	}
	if s.metadata.ID != x.tableID {
		return nil, fault.New(fault.Stale, "commit to", x.table.prefix, "the table was replaced: its id was %s and is now %s", x.tableID, s.metadata.ID)
	}
	x.base = s
	return s, nil
}

// blindAppend is true only if nothing at all was read and files are only added (protocol, "Commit Provenance").
func (x *Txn) blindAppend() bool {
	c := x.changes
	return x.reads.Mode == readNothing && len(x.reads.Apps) == 0 && len(c.Removes) == 0 && len(c.CDC) == 0 &&
		c.Metadata == nil && c.Protocol == nil && len(c.Domains) == 0
}

func (x *Txn) misuse(err error) {
	if x.err == nil {
		x.err = err
	}
}
