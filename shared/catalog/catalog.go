// Package catalog is the port to catalogs: where query engines look up which tables there are, where they lie and what their columns mean. A
// catalog is a copy for those who ask there first. The Delta log decides; nothing in lakestep reads a catalog to know what a table is.
package catalog

import (
	"context"

	"github.com/lakestep/lakestep/shared/delta"
)

// Table is a published table as a catalog shows it.
type Table struct {
	Name        string // full name: "silver.orders"
	Pipeline    string // that declares it
	Lake        string // URL of the lake: "s3://bucket/lake"
	Location    string // URL of the table's folder
	ID          string // metaData.id: a table made anew has another
	Version     int64  // of the Delta table, that the entry shows
	Run         string // that published last; names of runs sort by time
	Description string
	Schema      delta.Schema // partition columns included; a field's comment is its metadata "comment", as in Spark
	Partitions  []string     // names of partition columns
}

// Declared are the tables that a pipeline has in a lake.
type Declared struct {
	Pipeline string
	Lake     string
	Run      string   // entries of later runs stay: who asks is late. "": nobody is later
	Tables   []string // full names
}

// Catalog keeps the entries of published tables.
type Catalog interface {
	// Register makes the table's entry say what t says. It may be repeated, run concurrently and come late: an entry of a newer version of the
	// same table stays. An entry of that name which is not of this lake is an InvalidInput fault, and stays too.
	Register(ctx context.Context, t Table) (Change, error)

	// Prune removes the entries that the pipeline has in the lake for tables which are not declared any more. The tables stay.
	Prune(ctx context.Context, d Declared) ([]Change, error)
}

// Action is what was done with an entry, or would be.
type Action string

// The actions.
const (
	Unchanged Action = "unchanged"
	Created   Action = "created"
	Updated   Action = "updated"
	Removed   Action = "removed"
)

// Change is what Register and Prune did with an entry.
type Change struct {
	Table  string   `json:"table"` // full name
	Entry  string   `json:"entry"` // its name in the catalog
	Action Action   `json:"action"`
	What   []string `json:"what,omitempty"` // of Updated: what differed
}
