// Package delta reads and writes the transaction log of Delta Lake tables: actions, snapshots, the change
// stream, transactions with optimistic concurrency, staged commits, deletion vectors, checkpoints and their cleanup.
//
// It never touches data. Whoever writes Parquet hands Add actions in; whoever reads gets file lists out.
// "Protocol" in comments means PROTOCOL.md of github.com/delta-io/delta; section names are its headings.
//
// # Reading
//
// Open a Table, take a Snapshot (immutable; the latest, or by AsOf), or walk its Changes. Snapshot.Prune chooses the
// files that may hold rows for which a Predicate is true. A table that would be misread is refused, by the name of the
// feature.
//
// # Writing
//
// Snapshot.Begin gives a Txn; Commit publishes it with a put-if-absent of the next version, checking every commit that came
// in between; Stage writes it aside under `<table>/_lakestep/staged/`, unseen by readers, until LoadStaged and
// Commit publish it. Commits of one Txn, staged or not, carry one txnId, so that Commit may be repeated
// after any failure and still applies once.
//
// Whether a transaction may follow one that came first depends on what it read (ReadNothing, ReadFiles, ReadWhere, ReadAll,
// ReadTxn), what it writes, and its Isolation. Where it may not, the error is a *ConflictError in a Stale fault, and the
// operation is planned anew on a newer snapshot. NewMetadata and Protocol.Supporting give the protocol that a table's
// properties need; Snapshot.Constraints what its rows must fulfil. Commits write a checkpoint when one is due; CleanLog is
// for maintenance.
//
// # Errors
//
// Every error is a fault.Fault. InvalidInput: the table, or what was asked, cannot be; SourceLost: a version is gone; Stale: plan
// anew; Unavailable and Throttled: the store; the same call may be repeated.
package delta
