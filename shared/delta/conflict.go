package delta

import (
	"fmt"
)

// ConflictKind names why two transactions exclude each other.
type ConflictKind string

// The kinds of conflict, in the order in which they are looked for.
const (
	ProtocolChanged        ConflictKind = "ProtocolChanged"
	MetadataChanged        ConflictKind = "MetadataChanged"
	ConcurrentTransaction  ConflictKind = "ConcurrentTransaction"  // the same txn appId
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

// conflict checks the transaction against one winner under Serializable isolation; nil means that the
// transaction may follow it. Winners that only rearrange rows (dataChange=false) do not touch what was read; that
// they may have rewritten a file which this one removes is found by the delete-delete check.
func (x *Txn) conflict(w Commit) *ConflictError {
	found := func(k ConflictKind, format string, args ...any) *ConflictError {
		return &ConflictError{Kind: k, Winner: w, Detail: fmt.Sprintf(format, args...)}
	}
	if w.Protocol != nil {
		return found(ProtocolChanged, "changed the protocol")
	}
	if w.Metadata != nil {
		return found(MetadataChanged, "changed the metadata")
	}
	for _, theirs := range w.Txns {
		for _, mine := range x.changes.Txns {
			if mine.AppID == theirs.AppID {
				return found(ConcurrentTransaction, "recorded version %d for appId %q", theirs.Version, theirs.AppID)
			}
		}
	}
	if a, ok := x.touchedAdd(w); ok {
		return found(ConcurrentAppend, "added %q", a.Path)
	}
	if r, ok := x.touchedRemove(w); ok {
		return found(ConcurrentDeleteRead, "removed %q", r.Path)
	}
	// By path alone: a winner that replaced the file's deletion vector removed the old (path, vector) key.
	mine := map[string]bool{}
	for _, r := range x.changes.Removes {
		mine[fileID(r.Path, "")] = true
	}
	for _, r := range w.Removes {
		if mine[fileID(r.Path, "")] {
			return found(ConcurrentDeleteDelete, "removed %q", r.Path)
		}
	}
	for _, a := range x.changes.Adds {
		mine[fileID(a.Path, "")] = true
	}
	for _, a := range w.Adds {
		if mine[fileID(a.Path, "")] {
			return found(ConcurrentAppend, "added %q too", a.Path)
		}
	}
	return nil
}

// touchedAdd finds an add of the winner that this transaction should have seen. Files that are new under metadata
// that changes here were checked against the old one.
func (x *Txn) touchedAdd(w Commit) (Add, bool) {
	for _, a := range w.Adds {
		if a.DataChange && x.reads.Mode == readAll || x.changes.Metadata != nil {
			return a, true
		}
	}
	return Add{}, false
}

// touchedRemove finds a remove of the winner that takes away rows which were read.
func (x *Txn) touchedRemove(w Commit) (Remove, bool) {
	if x.reads.Mode == readNothing {
		return Remove{}, false
	}
	read := map[string]bool{}
	for _, f := range x.reads.Files {
		read[fileID(f.Path, "")] = true
	}
	for _, r := range w.Removes {
		if r.DataChange && (x.reads.Mode == readAll || read[fileID(r.Path, "")]) {
			return r, true
		}
	}
	return Remove{}, false
}
