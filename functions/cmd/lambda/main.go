// Command lambda is the program of all functions on AWS Lambda: a bootstrap for the runtime provided.al2023. Which step it carries is the function's
// handler: the name of a step, or "starter", which takes events from a queue and starts the state machine.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/lambda"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	s, err := read(os.Getenv)
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.Level})).With(slog.String("step", s.Step), slog.String("version", version))
	slog.SetDefault(log)
	debug.SetMemoryLimit(s.heapBytes())
	handle := broken(err)
	if err == nil {
		handle = open(context.Background(), s)
	}
	runtime.Start(lambda.New(lambda.Options{Name: s.Step, Handle: handle, Log: log, Now: time.Now}))
}

// broken answers every call with the error that kept the function from coming up: so the execution tells what is wrong, and not that a program ended.
func broken(err error) step.Handler {
	return func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, err }
}

// open makes the function's handler.
func open(ctx context.Context, s settings) step.Handler {
	if s.Step == starterName {
		return retrying(func() (step.Handler, error) { return openStarter(ctx, s) })
	}
	return retrying(func() (step.Handler, error) { return openStep(ctx, s) })
}

// retrying opens at once, while a new function has a whole processor, and again at each call until it succeeds.
func retrying(open func() (step.Handler, error)) step.Handler {
	handle, err := open()
	return func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
		if err != nil {
			if handle, err = open(); err != nil {
				return nil, err
			}
		}
		return handle(ctx, in)
	}
}

func openStep(ctx context.Context, s settings) (step.Handler, error) {
	l, err := compose.OpenLake(ctx, s.Lake, version)
	if err != nil {
		return nil, err
	}
	temp := filepath.Join(os.TempDir(), "lakestep")
	if err := os.RemoveAll(temp); err != nil { // what an invocation left that was cut off
		return nil, fault.New(fault.Unavailable, "clean", temp, "%w", err)
	}
	e, err := engine.Open(engine.Options{MemoryMB: s.engineMB(), TempMB: s.spillMB(), Threads: s.threads(), TempDir: temp})
	if err != nil {
		return nil, err
	}
	var published catalog.Catalog
	if s.Glue != "" {
		if published, err = compose.OpenCatalog(ctx, s.Glue, false); err != nil {
			return nil, err
		}
	}
	set := functions.All(functions.Deps{Lake: l, Engine: e, Open: compose.OpenSource, Catalog: published, Limit: connector.Limit{Items: 1000, Bytes: s.pageBytes()},
		Bundle: func() (pipeline.Bundle, error) { return pipeline.ReadBundle(s.Pipeline, s.Vars) }})
	handle, ok := set[s.Step]
	if !ok {
		return nil, fault.New(fault.InvalidInput, "open step", s.Step, "there is none of this name").WithHint("the function's handler is one of %v, or %s", set.Names(), starterName)
	}
	return handle, nil
}
