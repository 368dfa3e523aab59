package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/lakestep/lakestep/shared/fault"
)

// settings are what a function is told by its environment: the first ones by Terraform, the others by Lambda itself.
type settings struct {
	Pipeline     string            // LAKESTEP_PIPELINE: folder of the package that holds pipeline.yaml
	Lake         string            // LAKESTEP_LAKE: s3://BUCKET/PATH
	Vars         map[string]string // LAKESTEP_VARS: variables of the pipeline, a JSON object
	StateMachine string            // LAKESTEP_STATE_MACHINE: ARN; of the starter only
	Glue         string            // LAKESTEP_GLUE_DATABASE: where tables are registered; "": nowhere
	TempMB       int               // LAKESTEP_TMP_MB: size of /tmp; 512 is what Lambda gives by itself
	Level        slog.Level        // LAKESTEP_LOG_LEVEL: DEBUG, INFO, WARN or ERROR

	Step     string // _HANDLER
	MemoryMB int    // AWS_LAMBDA_FUNCTION_MEMORY_SIZE
}

// read takes the settings from an environment.
func read(env func(string) string) (settings, error) {
	s := settings{Lake: env("LAKESTEP_LAKE"), StateMachine: env("LAKESTEP_STATE_MACHINE"), Glue: env("LAKESTEP_GLUE_DATABASE"), Step: env("_HANDLER")}
	bad := func(name, format string, args ...any) error {
		return fault.New(fault.InvalidInput, "read setting", name, format, args...).WithHint("set it in terraform/ and apply")
	}
	for name, value := range map[string]string{"_HANDLER": s.Step, "LAKESTEP_LAKE": s.Lake} {
		if value == "" {
			return s, bad(name, "it is not set")
		}
	}
	s.Pipeline = filepath.Join(env("LAMBDA_TASK_ROOT"), orElse(env("LAKESTEP_PIPELINE"), "config/retail"))
	if text := env("LAKESTEP_VARS"); text != "" {
		if err := json.Unmarshal([]byte(text), &s.Vars); err != nil {
			return s, bad("LAKESTEP_VARS", "it is no JSON object of texts: %w", err)
		}
	}
	if text := env("LAKESTEP_LOG_LEVEL"); text != "" {
		if err := s.Level.UnmarshalText([]byte(text)); err != nil {
			return s, bad("LAKESTEP_LOG_LEVEL", "it is none of DEBUG, INFO, WARN, ERROR")
		}
	}
	for _, n := range []struct {
		name     string
		fallback int
		to       *int
	}{{"LAKESTEP_TMP_MB", 512, &s.TempMB}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 2048, &s.MemoryMB}} {
		value, err := strconv.Atoi(orElse(env(n.name), fmt.Sprint(n.fallback)))
		if err != nil || value < 128 {
			return s, bad(n.name, "it is no number of megabytes from 128 up")
		}
		*n.to = value
	}
	return s, nil
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// A function's memory holds DuckDB's buffers, which may exceed their limit by a quarter, Go's heap, and about 100 MB of the program itself.
func (s settings) engineMB() int    { return max(s.MemoryMB/2-64, 64) }
func (s settings) heapBytes() int64 { return int64(s.MemoryMB/4) << 20 }

// threads are the processors that Lambda gives: one for each 1,769 MB.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
func (s settings) threads() int { return max(1, (s.MemoryMB+884)/1769) }

// /tmp holds what the engine spills, as much again of data files that it fetches, and the page that comes from a source.
func (s settings) spillMB() int     { return s.TempMB * 3 / 10 }
func (s settings) pageBytes() int64 { return min(1<<30, int64(s.TempMB)<<20/5) }
