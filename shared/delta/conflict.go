package delta

import (
	"fmt"
	"slices"
	"time"
)

// ConflictKind names why two transactions exclude each other.
type ConflictKind string

// The kinds of conflict, in the order in which they are looked for.
const (
	ProtocolChanged        ConflictKind = "ProtocolChanged"
	MetadataChanged        ConflictKind = "MetadataChanged"
	ConcurrentTransaction  ConflictKind = "ConcurrentTransaction"  // the same txn appId or metadata domain
	ConcurrentAppend       ConflictKind = "ConcurrentAppend"       // rows were added to what was read
	ConcurrentDeleteRead   ConflictKind = "ConcurrentDeleteRead"   // rows were removed from what was read
	ConcurrentDeleteDelete ConflictKind = "ConcurrentDeleteDelete" // the same file was removed, or got another deletion vector
)

// ConflictError says that a transaction lost to another and cannot be rebased over it. It comes wrapped in a
// Stale fault.
type ConflictError struct {
	Kind   ConflictKind
	Winner Commit // the commit that came first
	Detail string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: version %d (%s) %s", e.Kind, e.Winner.Version, e.Winner.Info.Operation, e.Detail)
}

// race is a transaction against the commits that came before it: what it read, what it writes, and what the table has
// become meanwhile.
type race struct {
	x         *Txn
	base      *Snapshot
	isolation Isolation
	protocol  Protocol        // with the changes of the winners so far
	previous  time.Time       // of the last version before the next one
	reads     []fileTest      // predicates of the read set
	readFiles map[string]bool // paths, by fileID without a deletion vector
	removes   map[string]bool // paths that the transaction removes
	adds      map[string]bool // and adds
	apps      map[string]bool // appIds that it reads or writes
	domains   map[string]bool
}

func newRace(x *Txn, base *Snapshot) *race {
	r := &race{
		x: x, base: base, isolation: x.isolation(base.metadata.Configuration), protocol: base.protocol, previous: base.timestamp,
		readFiles: map[string]bool{}, removes: map[string]bool{}, adds: map[string]bool{}, apps: map[string]bool{}, domains: map[string]bool{},
	}
	for _, p := range x.reads.Predicates {
		r.reads = append(r.reads, base.test(p))
	}
	for _, f := range x.reads.Files {
		r.readFiles[fileID(f.Path, "")] = true
	}
	for _, f := range x.changes.Removes {
		r.removes[fileID(f.Path, "")] = true
	}
	for _, f := range x.changes.Adds {
		r.adds[fileID(f.Path, "")] = true
	}
	for _, t := range x.changes.Txns {
		r.apps[t.AppID] = true
	}
	for _, id := range x.reads.Apps {
		r.apps[id] = true
	}
	for _, d := range x.changes.Domains {
		r.domains[d.Domain] = true
	}
	return r
}

// protocolAfter is the table's protocol once the transaction is committed.
func (r *race) protocolAfter() Protocol {
	if p := r.x.changes.Protocol; p != nil {
		return *p
	}
	return r.protocol
}

// rules decide, in this order, whether the transaction may follow a winner; "" says yes. There are none of Spark's exceptions
// to MetadataChanged (identity columns' high water mark, switching on single features): those start over.
var rules = []struct {
	kind  ConflictKind
	check func(r *race, w Commit) (detail string)
}{
	{ProtocolChanged, (*race).protocolRule},
	{MetadataChanged, func(_ *race, w Commit) string {
		if w.Metadata != nil {
			return "changed the metadata"
		}
		return ""
	}},
	{ConcurrentTransaction, (*race).identifierRule},
	{ConcurrentAppend, (*race).addRule},
	{ConcurrentDeleteRead, (*race).removeRule},
	{ConcurrentDeleteDelete, (*race).sameRemoveRule},
	{ConcurrentAppend, (*race).sameAddRule},
}

// lost checks the transaction against one winner; nil means that it may follow it. Winners come in order of their versions.
func (r *race) lost(w Commit) *ConflictError {
	for _, rule := range rules {
		if detail := rule.check(r, w); detail != "" {
			return &ConflictError{Kind: rule.kind, Winner: w, Detail: detail}
		}
	}
	r.previous = w.Timestamp
	return nil
}

// protocolRule lets a winner add features that lie still until metadata turns them on, which would be a conflict of its own.
func (r *race) protocolRule(w Commit) string {
	switch p := w.Protocol; {
	case p == nil:
		return ""
	case r.x.changes.Protocol != nil:
		return "changed the protocol too"
	case !p.covers(r.protocol):
		return "took features out of the protocol"
	case p.checkReadable() != nil || checkWritable(*p, r.base.metadata, r.base.schema) != nil:
		return "added to the protocol what this writer must act on"
	default:
		r.protocol = *p
		return ""
	}
}

func (r *race) identifierRule(w Commit) string {
	for _, d := range w.Domains {
		if r.domains[d.Domain] {
			return fmt.Sprintf("set the metadata domain %q", d.Domain)
		}
	}
	for _, t := range w.Txns {
		if r.apps[t.AppID] {
			return fmt.Sprintf("recorded version %d for appId %q", t.Version, t.AppID)
		}
	}
	return ""
}

// addRule finds an add of the winner that the transaction should have seen. Files that are new under metadata that changes
// here were checked against the old one, whatever was read.
func (r *race) addRule(w Commit) string {
	blind := w.Info.IsBlindAppend != nil && *w.Info.IsBlindAppend
	for _, a := range w.Adds {
		switch {
		case r.x.changes.Metadata != nil:
			return fmt.Sprintf("added %q under the metadata that changes", a.Path)
		case !a.DataChange, r.isolation == SnapshotIsolation, r.isolation == WriteSerializable && blind:
		case r.mayRead(a):
			return fmt.Sprintf("added %q", a.Path)
		}
	}
	return ""
}

// mayRead tells whether the transaction, run again, might see a row of a new file.
func (r *race) mayRead(a Add) bool {
	if r.x.reads.Mode == readAll {
		return true
	}
	return slices.ContainsFunc(r.reads, func(t fileTest) bool { return t.outcomes(&fileFacts{add: &a})&canTrue != 0 })
}

// removeRule finds a remove of the winner that takes away rows which were read. Winners that only rearrange rows
// (dataChange=false) take none away; that they rewrote a file which is removed here is found by sameRemoveRule.
func (r *race) removeRule(w Commit) string {
	for _, f := range w.Removes {
		if f.DataChange && (r.x.reads.Mode == readAll || r.readFiles[fileID(f.Path, "")]) {
			return fmt.Sprintf("removed %q", f.Path)
		}
	}
	return ""
}

// sameRemoveRule goes by path alone: a winner that replaced the file's deletion vector removed the old (path, vector) key.
// To add a file anew that the winner removed would bring it back.
func (r *race) sameRemoveRule(w Commit) string {
	for _, f := range w.Removes {
		if id := fileID(f.Path, ""); r.removes[id] || r.adds[id] {
			return fmt.Sprintf("removed %q", f.Path)
		}
	}
	return ""
}

func (r *race) sameAddRule(w Commit) string {
	for _, a := range w.Adds {
		if id := fileID(a.Path, ""); r.removes[id] || r.adds[id] {
			return fmt.Sprintf("added %q too", a.Path)
		}
	}
	return ""
}
