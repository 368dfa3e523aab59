package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lakestep/lakestep/shared/asl/asltest"
)

// TestStateMachineCorpus runs every recorded run that can be played here through the command's code, its functions as
// shell commands, and one of each family by the real program.
func TestStateMachineCorpus(t *testing.T) {
	cases := asltest.Cases(t)
	var score asltest.Score
	inProcess := func(t *testing.T, args []string) (int, []byte, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, &stdout, &stderr)
		return code, stdout.Bytes(), stderr.String()
	}
	program := func(t *testing.T, args []string) (int, []byte, string) {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "lakestep", args...) // which TestMain has put in the path
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()
	}
	one := func(t *testing.T, c *asltest.Case, byProgram bool) {
		check := func(invoke func(*testing.T, []string) (int, []byte, string)) (outcome, events error) {
			r, err := runCase(t, c, invoke)
			if err != nil {
				return err, nil
			}
			return c.Check(r), c.CheckEvents(r)
		}
		outcome, events := check(inProcess)
		score.Ran(c, outcome, events)
		if outcome != nil {
			t.Errorf("%s: %v", c.ID, outcome)
		}
		if events != nil && !c.Slow() { // shared/asl/testdata/known_gaps.txt tells which
			t.Errorf("%s: %v", c.ID, events)
		}
		if byProgram {
			if again, _ := check(program); again != nil {
				t.Errorf("%s by the program: %v", c.ID, again)
			}
		}
	}
	sampled := map[string]bool{}
	var waiting sync.WaitGroup
	for _, c := range cases {
		byProgram := !sampled[c.Family] || len(c.Lambdas) > 0
		switch {
		case c.LeftOut() != "":
			score.Left(c)
			continue
		case c.Slow(): // they wait for the same five seconds
			waiting.Go(func() { one(t, c, false) })
		default:
			t.Run(c.Family+"/"+c.ID, func(t *testing.T) { one(t, c, byProgram) })
		}
		sampled[c.Family] = true
	}
	waiting.Wait()
	good, all := score.Agreeing()
	t.Logf("SCORE: lakestep statemachine run: %d of %d recorded runs agree", good, all)
	t.Logf("by family:\n%s", score.String())
	if all < 475 {
		t.Errorf("only %d cases in scope", all)
	}
}

// runCase runs a case by the command, and reads the document that it prints.
func runCase(t *testing.T, c *asltest.Case, invoke func(*testing.T, []string) (int, []byte, string)) (asltest.Result, error) {
	dir := t.TempDir()
	definition, input := filepath.Join(dir, "definition.json"), filepath.Join(dir, "input.json")
	for file, text := range map[string][]byte{definition: c.Definition, input: c.Input} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"statemachine", "run", definition, "--input", input, "--fast"}
	for name := range c.Lambdas {
		args = append(args, "--task", name+"="+c.Command(name))
	}
	if c.Express() {
		args = append(args, "--express")
	}
	code, stdout, stderr := invoke(t, args)
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(stdout, &doc); err != nil {
		return asltest.Result{}, fmt.Errorf("exit code %d, %w: %s%s", code, err, stdout, stderr)
	}
	keys := []string{}
	for k := range doc {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if got := strings.Join(keys, " "); got != "cause error event_types output states_entered status" {
		t.Errorf("keys %s", got)
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	r := asltest.Result{Output: doc["output"]}
	for key, to := range map[string]any{"status": &r.Status, "states_entered": &r.Entered, "event_types": &r.EventTypes, "error": &r.Error, "cause": &r.Cause} {
		if err := json.Unmarshal(doc[key], to); err != nil { // null leaves ""
			t.Errorf("%s: %v", key, err)
		}
	}
	return r, nil
}
