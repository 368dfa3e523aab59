package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/transform"
)

func validateCommand(g *globals, io func() streams) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [PIPELINE]",
		Short: "Check a pipeline without data: YAML, SQL, rules and contracts",
		Long:  "Check pipeline.yaml, every SQL model, every rule and every contract of a pipeline, without data. Everything that is wrong is listed with file, line and column.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := defaultPipeline
			if len(args) == 1 {
				dir = args[0]
			}
			return g.validate(c.Context(), io(), dir)
		},
	}
}

// finding is one thing that is wrong.
type finding struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (g *globals) validate(ctx context.Context, s streams, dir string) error {
	_, p, err := g.load(dir)
	var problems pipeline.Problems
	if errors.As(err, &problems) {
		var found []finding
		for _, p := range problems {
			found = append(found, finding{fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message), p.Hint})
		}
		return verdict(s, dir, found, nil)
	}
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "lakestep-validate-")
	if err != nil {
		return fault.New(fault.Internal, "validate", dir, "%w", err)
	}
	defer os.RemoveAll(temp)
	e, err := engine.Open(engine.Options{MemoryMB: 512, Threads: 1, TempDir: temp})
	if err != nil {
		return err
	}
	defer e.Close()
	checked, err := transform.Check(ctx, e, p)
	if err != nil {
		return err
	}
	var found []finding
	for _, err := range checked.Errors {
		message := err.Error()
		if f := (*fault.Fault)(nil); errors.As(err, &f) { // its object is file:line:column, which editors look for at the start of a line
			message = strings.TrimPrefix(message, f.Op+" ")
		}
		found = append(found, finding{message, fault.HintOf(err)})
	}
	if len(found) == 0 && !s.json {
		fmt.Fprintf(s.out, "%s: %d sources, %d tables, SQL, rules and contracts are in order.\n", dir, len(p.Sources), len(p.Tables))
	}
	return verdict(s, dir, found, checked.Skipped)
}

func verdict(s streams, dir string, found []finding, skipped []string) error {
	if s.json {
		if err := printJSON(s, map[string]any{"pipeline": dir, "problems": append([]finding{}, found...), "skipped": append([]string{}, skipped...)}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintln(s.err, f.Message)
			if f.Hint != "" {
				fmt.Fprintln(s.err, "  hint:", f.Hint)
			}
		}
		for _, text := range skipped {
			fmt.Fprintln(s.err, "not checked:", text)
		}
	}
	if len(found) > 0 {
		return errReported{2}
	}
	return nil
}
