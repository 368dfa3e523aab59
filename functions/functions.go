// Package functions lists the steps: the only list there is. Every host (AWS Lambda, Azure Functions, the local runner) carries this set, and
// statemachines/medallion.asl.json and maintenance.asl.json order it.
package functions

import (
	"context"

	"github.com/lakestep/lakestep/functions/bronze"
	"github.com/lakestep/lakestep/functions/complete"
	"github.com/lakestep/lakestep/functions/fail"
	"github.com/lakestep/lakestep/functions/gold"
	"github.com/lakestep/lakestep/functions/maintain"
	"github.com/lakestep/lakestep/functions/pin"
	"github.com/lakestep/lakestep/functions/publish"
	"github.com/lakestep/lakestep/functions/quality"
	"github.com/lakestep/lakestep/functions/silver"
	"github.com/lakestep/lakestep/functions/survey"
	"github.com/lakestep/lakestep/functions/validate"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
)

// Deps are what the steps need from their host.
type Deps struct {
	Lake    *lake.Lake
	Engine  *engine.Engine
	Open    func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error) // connects to a declared source
	Limit   connector.Limit                                                                      // of one page of a source
	Loaded  func(table string, p connector.Progress)                                             // hears of a page on its way; may be nil
	Catalog catalog.Catalog                                                                      // hears of what is published; may be nil
	Bundle  func() (pipeline.Bundle, error)                                                      // reads the pipeline that runs begin with; nil where they are started with it
}

// All gives every step.
func All(d Deps) step.Set {
	return step.NewSet(
		pin.New(pin.Options{Lake: d.Lake, Bundle: d.Bundle}),
		validate.New(validate.Options{Lake: d.Lake, Engine: d.Engine, Open: d.Open}),
		bronze.New(bronze.Options{Lake: d.Lake, Engine: d.Engine, Open: d.Open, Limit: d.Limit, Progress: d.Loaded}),
		silver.New(d.Lake, d.Engine),
		gold.New(d.Lake, d.Engine),
		quality.New(d.Lake, d.Engine),
		publish.New(d.Lake, d.Catalog),
		complete.New(d.Lake, d.Engine, d.Catalog),
		fail.New(d.Lake, d.Engine),
		survey.New(d.Lake),
		maintain.New(d.Lake, d.Engine),
	)
}
