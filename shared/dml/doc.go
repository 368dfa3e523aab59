// Package dml changes the rows of a Delta table: append, overwrite, delete, update, merge; and reads the change
// feed. It stands where the log (package delta) and the SQL engine (package engine) meet, and knows of no lake,
// pipeline or step: any Delta table will do.
//
// An operation is a value: Append, Overwrite, Delete, Update, Merge, or Replace by place. Table.Plan writes its data
// files and gives the Plan: what a commit would do, and what it depends on. A plan may be committed, staged or thrown
// away; its files are unknown to readers until then. Table.Run plans and commits, and plans anew when another writer
// came first with something that the outcome depends on.
//
// Rows are given as SQL for DuckDB (a SELECT); conditions and values are SQL expressions over the table's columns.
// Changed rows are copied on write: only files that hold one are written anew, each by itself with its rows in their
// old order, so that the table's clustering stays. Where the table enables deletion vectors, files stay and the old
// rows are marked deleted.
package dml
