// Package silver is the step that turns new bronze rows into a cleaned table: the model gives them types, the rules send bad ones to
// quarantine, the rest is merged and staged for the audit. The work is package transform's.
package silver

import (
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/transform"
)

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	return step.New("silver", (&transform.Runner{Lake: l, Engine: e}).Handle)
}
