// Package pipeline reads what a user declares: pipeline.yaml, the SQL models and the contracts that it names, all of it
// checked together and before any data is touched.
//
// A Bundle is those files as text, to be stored, pinned by its Digest and loaded again by every step of a run. Load
// turns it into a Pipeline or lists everything that is wrong with it, with file, line and column. The language itself
// is explained in config/retail/pipeline.yaml.
package pipeline

import (
	"slices"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/document"
)

// Position, Problem and Problems are those of package document, named here for callers that know only pipelines.
type (
	Position = document.Position
	Problem  = document.Problem
	Problems = document.Problems
)

// Layer is a stage of the medallion.
type Layer string

// The layers, in the order of the data's path.
const (
	Bronze Layer = "bronze"
	Silver Layer = "silver"
	Gold   Layer = "gold"
)

// Layers lists the layers in the order of the data's path.
func Layers() []Layer { return []Layer{Bronze, Silver, Gold} }

// Materialization is how a model's rows change its table.
type Materialization string

// The materializations.
const (
	Append Materialization = "append" // rows are added
	Merge  Materialization = "merge"  // rows replace those of the same unique key
	Full   Materialization = "full"   // the rows are the table
	SCD2   Materialization = "scd2"   // a changed row is a new version (slowly changing dimension, type 2)
)

// Deletes is what a delete does to the row of its key in a merged table.
type Deletes string

// The kinds of deletes.
const (
	SoftDeletes Deletes = "soft" // the row stays, and its column is_deleted is true
	HardDeletes Deletes = "hard" // the row goes
)

// IsDeleted is the column that deletes: soft adds behind those of the model.
const IsDeleted = "is_deleted"

// History is what an scd2 table keeps of several versions of a key in one batch.
type History string

// The histories.
const (
	LatestPerBatch History = "latest_per_batch" // the last version of the batch only (the default)
	AllVersions    History = "all"              // each
)

// Failure is what happens when a rule does not hold.
type Failure string

// The failures.
const (
	OnFailureQuarantine Failure = "quarantine" // the row goes to the quarantine table with the rule's name as reason
	OnFailureWarn       Failure = "warn"       // it is reported
	OnFailureFail       Failure = "fail"       // the gate closes: nothing is published
)

// Pipeline is a checked declaration. It is read-only once loaded.
type Pipeline struct {
	Name        string
	Description string
	Lake        string            // folder or URL of the lake
	Vars        map[string]string // defaults and overrides
	Sources     []Source
	Maintenance Maintenance
	Tables      []*Table // bronze, silver, gold; within a layer each table after those it reads
}

// Source is a place that data comes from.
type Source struct {
	Name      string
	Connector string // one of connectors()
	Settings  connector.Settings
	Streams   []Stream
	Pos       Position
}

// Config is what a source's connector is given; secrets stay references until the composition root adds the way to them.
func (s Source) Config(pipeline string) connector.Config {
	c := connector.Config{Pipeline: pipeline, Name: s.Name, At: s.Pos.String(), Settings: s.Settings, Streams: map[string]connector.Settings{}}
	for _, st := range s.Streams {
		c.Streams[st.Name] = st.Settings
	}
	return c
}

// Stream is one kind of record of a source.
type Stream struct {
	Name     string
	Settings connector.Settings
	Contract SchemaContract
	Limit    connector.Limit // of a page; zero fields: the host's
	Added    []Column        // that the connector adds to every row
	Pos      Position
}

// Column is a column of a raw table, and its type in Delta's words.
type Column struct {
	Name string
	Type string
}

// Table is a table of the lake and how it is made.
type Table struct {
	Layer          Layer
	Name           string
	Description    string
	Materialized   Materialization
	Stream         string   // bronze: "landing.orders"
	Columns        []Column // bronze: those that the table begins with, in this order; more come as the source brings them
	Model          *Model   // silver and gold
	UniqueKey      []string
	SequenceBy     string  // merge, scd2: the column whose greatest value is the newest row of a key
	Operation      string  // merge: the model's column that says what a row does; "": every row is the state of its key. It is not stored
	Deletes        Deletes // merge with Operation
	Unchanged      string  // merge with Operation: the model's column that lists the columns which the event did not carry. It is not stored
	TrackedColumns []string
	SurrogateKey   string
	History        History
	Quarantine     string // silver: name of the quarantine table, in silver
	Rules          []Rule // of rows, in order: the first that fails names the reason
	Tests          []Test // of the table, audited on what a step staged
	Contract       *contract.Object
	Inputs         []string // full names of the tables it reads or is tested against, sorted
	Pos            Position
}

// FullName is "silver.cleaned_orders".
func (t *Table) FullName() string { return string(t.Layer) + "." + t.Name }

// QuarantineName is the full name of the quarantine table, "" when the table has none.
func (t *Table) QuarantineName() string {
	if t.Quarantine == "" {
		return ""
	}
	return string(Silver) + "." + t.Quarantine
}

// Rule is a row rule. A row passes when Expr is true: false and NULL both fail.
type Rule struct {
	Name      string
	Expr      string // SQL over the columns of the model's result
	OnFailure Failure
	Pos       Position // of the expression
}

// TestKind is what a Test asks of a table.
type TestKind string

// The kinds of tests, and which fields of Test they use.
const (
	NotNull        TestKind = "not_null"        // Column: no NULL
	Unique         TestKind = "unique"          // Columns: no two rows alike in all of them; rows with a NULL among them do not count
	AcceptedValues TestKind = "accepted_values" // Column, Values: every value that is not NULL, as text, is one of them
	Relationships  TestKind = "relationships"   // Column, To, Field, MinShare: share of rows whose Column is a Field of To
	RowCount       TestKind = "row_count"       // Min, Max: number of rows, inclusive, either may be nil
	ControlTotal   TestKind = "control_total"   // Expr: its sum over what a batch brought equals what it left in table and quarantine
	Expression     TestKind = "expression"      // Expr: SQL aggregate over the whole table that must be true
)

// Test is a table rule.
type Test struct {
	Name         string
	Kind         TestKind
	OnFailure    Failure // fail or warn
	Columns      []string
	Column       string
	Values       []string
	Expr         string
	To           string // full name
	Field        string
	MinShare     float64 // 0 to 1; a NULL in Column does not count as found
	Min, Max     *int64
	FromContract bool // the contract asks for it, not pipeline.yaml
	Pos          Position
}

// Table gives the table of a full name.
func (p *Pipeline) Table(fullName string) (*Table, bool) {
	for _, t := range p.Tables {
		if t.FullName() == fullName {
			return t, true
		}
	}
	return nil, false
}

// Stream gives a stream by its full name ("landing.orders"), and its source.
func (p *Pipeline) Stream(fullName string) (Source, Stream, bool) {
	for _, src := range p.Sources {
		for _, s := range src.Streams {
			if src.Name+"."+s.Name == fullName {
				return src, s, true
			}
		}
	}
	return Source{}, Stream{}, false
}

// Levels gives the full names of a layer's tables in levels: the tables of one level do not read one another, and
// read only tables of levels and layers before.
func (p *Pipeline) Levels(layer Layer) [][]string {
	level := map[string]int{}
	var out [][]string
	for _, t := range p.Tables {
		if t.Layer != layer {
			continue
		}
		n := 0
		for _, in := range t.Inputs {
			if l, same := level[in]; same {
				n = max(n, l+1)
			}
		}
		level[t.FullName()] = n
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], t.FullName())
	}
	return out
}

// Downstream gives the full names of all tables that depend on one, directly or not, in the order of Tables.
func (p *Pipeline) Downstream(fullName string) []string {
	reached := map[string]bool{fullName: true}
	var out []string
	for _, t := range p.Tables {
		if slices.ContainsFunc(t.Inputs, func(in string) bool { return reached[in] }) && !reached[t.FullName()] {
			reached[t.FullName()] = true
			out = append(out, t.FullName())
		}
	}
	return out
}
