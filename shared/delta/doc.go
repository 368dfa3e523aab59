// Package delta reads and writes the transaction log of Delta Lake tables: actions, snapshots, the change
// stream, transactions with optimistic concurrency, staged commits and checkpoints.
//
// It never touches data. Whoever writes Parquet hands Add actions in; whoever reads gets file lists out.
// "Protocol" in comments means PROTOCOL.md of github.com/delta-io/delta; section names are its headings.
//
// Reading: Open a Table, take a Snapshot (immutable), or walk its Changes. Writing: Snapshot.Begin gives a
// Txn; Commit publishes it with a put-if-absent of the next version, checking every commit that came in
// between; Stage writes it aside under `<table>/_lakestep/staged/`, unseen by readers, until LoadStaged and
// Commit publish it. Commits of one Txn, staged or not, carry one txnId, so that Commit may be repeated
// after any failure and still applies once.
package delta
