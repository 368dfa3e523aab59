// Package gold is the step that makes a business table by its model and holds it against its contract, staged for the audit. The work is
// package transform's.
package gold

import (
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/transform"
)

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	return step.New("gold", (&transform.Runner{Lake: l, Engine: e}).Handle)
}
