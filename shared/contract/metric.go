package contract

import "github.com/lakestep/lakestep/shared/document"

// Metric names what a Quality measures (ODCS 3.1, "library" metrics).
type Metric string

// The metrics.
const (
	NullValues      Metric = "nullValues"
	MissingValues   Metric = "missingValues"
	InvalidValues   Metric = "invalidValues"
	DuplicateValues Metric = "duplicateValues"
	RowCount        Metric = "rowCount"
)

// Operator compares the metric with Quality.Bounds. Its value is the ODCS key.
type Operator string

// The operators; the last two take two bounds, inclusive.
const (
	MustBe                 Operator = "mustBe"
	MustNotBe              Operator = "mustNotBe"
	MustBeGreaterThan      Operator = "mustBeGreaterThan"
	MustBeGreaterOrEqualTo Operator = "mustBeGreaterOrEqualTo"
	MustBeLessThan         Operator = "mustBeLessThan"
	MustBeLessOrEqualTo    Operator = "mustBeLessOrEqualTo"
	MustBeBetween          Operator = "mustBeBetween"
	MustNotBeBetween       Operator = "mustNotBeBetween"
)

// Quality is a check of the data: Metric Operator Bounds.
type Quality struct {
	Name     string // "" when the contract gives none
	Metric   Metric
	Columns  []string // none for RowCount; several only for DuplicateValues
	Values   []string // InvalidValues: the valid ones; MissingValues: those that count as missing besides NULL
	Operator Operator
	Bounds   []string // numbers as written, one or two
	Percent  bool     // the metric is a share of the rows in percent, not a count
	Warn     bool     // severity info or warning: report, do not close the gate
	Pos      document.Position
}
