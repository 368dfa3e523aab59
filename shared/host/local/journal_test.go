package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/statemachines"
)

// lake plays the steps of a pipeline with two sources, two silver levels and one gold table. What a step
// answers depends on its input and on how often it has succeeded, as it does in a lake that keeps its state.
type lake struct {
	mu      sync.Mutex
	batches map[string]int // bronze batches still to read
	stale   map[string]int // lost races still to come
	slow    map[string]int // Throttled answers still to come
}

func newLake() *lake {
	return &lake{batches: map[string]int{"raw_a": 2, "raw_b": 1}, stale: map[string]int{"s1": 1}, slow: map[string]int{"s2": 1}}
}

func (l *lake) steps() step.Set {
	answer := func(f func(in map[string]any) (any, error)) step.Handler {
		return func(_ context.Context, raw json.RawMessage) (json.RawMessage, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			var in map[string]any
			if err := json.Unmarshal(raw, &in); err != nil {
				return nil, err
			}
			out, err := f(in)
			if err != nil {
				return nil, err
			}
			return json.Marshal(out)
		}
	}
	write := func(in map[string]any) (any, error) {
		table := in["table"].(string)
		if l.slow[table] > 0 {
			l.slow[table]--
			return nil, fault.New(fault.Throttled, "write", table, "slow down")
		}
		if table == "s3" {
			return map[string]any{"status": "unchanged"}, nil
		}
		return map[string]any{"status": "staged", "staged": map[string]any{"attempt": 7, "sha256": "x"}}, nil
	}
	done := func(map[string]any) (any, error) { return map[string]any{"status": "ok"}, nil }
	return step.Set{
		"validate": answer(func(map[string]any) (any, error) {
			return map[string]any{"nothing": false, "sources": []string{"raw_a", "raw_b"},
				"silver": [][]string{{"s1", "s2"}, {"s3", "s4"}}, "gold": [][]string{{"g1"}}}, nil
		}),
		"bronze": answer(func(in map[string]any) (any, error) {
			table := in["table"].(string)
			l.batches[table]--
			return map[string]any{"table": table, "more": l.batches[table] > 0}, nil
		}),
		"silver": answer(write), "gold": answer(write),
		"quality": answer(func(in map[string]any) (any, error) {
			if in["table"] == "s4" {
				return map[string]any{"verdict": "failed"}, nil
			}
			return map[string]any{"verdict": "passed"}, nil
		}),
		"publish": answer(func(in map[string]any) (any, error) {
			table := in["table"].(string)
			if l.stale[table] > 0 {
				l.stale[table]--
				return nil, fault.New(fault.Stale, "publish", table, "lost the race")
			}
			return map[string]any{"version": 3}, nil
		}),
		"complete": answer(done), "fail": answer(done), "pin": answer(done),
	}
}

func medallionRun(t *testing.T, dir string, resume bool) (Outcome, *events, error) {
	t.Helper()
	r, seen, _ := newRunner(t, dir, string(statemachines.Medallion()), newLake().steps(), 3)
	if resume {
		out, err := r.Resume(context.Background(), "run-1")
		return out, seen, err
	}
	out, err := r.Start(context.Background(), "run-1", json.RawMessage(`{"run":"run-1","bundle":"b","trigger":{}}`))
	return out, seen, err
}

// TestKilledAnywhere cuts the journal of a finished run at every line and at every byte of some lines, and
// resumes: the outcome is the same, and no step whose success is in what is left of the journal runs again.
func TestKilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	want, seen, err := medallionRun(t, dir, false)
	if err != nil || want.Status != asl.Succeeded {
		t.Fatalf("%+v, %v", want, err)
	}
	verdicts := seen.verdicts()
	if len(verdicts) != 5 {
		t.Fatalf("verdicts %v, want five tables", verdicts)
	}
	whole, err := os.ReadFile(journalPath(dir, "run-1"))
	if err != nil {
		t.Fatal(err)
	}
	headerEnd := bytes.IndexByte(whole, '\n') + 1
	lines := bytes.Count(whole, []byte("\n"))
	if lines < 20 {
		t.Fatalf("the journal has %d lines only", lines)
	}
	cuts := map[int]bool{}
	for at := headerEnd; at <= len(whole); at++ {
		line := bytes.Count(whole[:at], []byte("\n"))
		if whole[at-1] == '\n' || line >= lines-3 || line == lines/2 && at%5 == 0 {
			cuts[at] = true
		}
	}
	for at := range cuts {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel() // most of the time goes into syncing
			scratch := t.TempDir()
			if err := os.WriteFile(journalPath(scratch, "run-1"), whole[:at], 0o644); err != nil {
				t.Fatal(err)
			}
			checkResume(t, scratch, at, want, verdicts, whole[:at])
		})
	}
	t.Logf("%d cuts of %d lines", len(cuts), lines)
}

func checkResume(t *testing.T, dir string, at int, want Outcome, verdicts map[string]string, left []byte) {
	t.Helper()
	recorded := map[string]bool{}
	for text := range bytes.Lines(left) {
		var l line
		if json.Unmarshal(text, &l) == nil && bytes.HasSuffix(text, []byte("\n")) && l.Event != nil && l.Event.Type == asl.TaskSucceeded {
			recorded[l.Event.Op] = true
		}
	}
	ended := bytes.Contains(left, []byte(`{"outcome":`)) && bytes.HasSuffix(left, []byte("\n"))
	got, seen, err := medallionRun(t, dir, true)
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Fatalf("cut at byte %d: %+v, %v; want %+v", at, got, err, want)
	}
	for _, ev := range seen.of(StateEntered) {
		if ev.State == "Validate" && ev.Replayed != bytes.Contains(left, []byte(`{"event":{"op":"Validate#1"`)) && !ended {
			t.Errorf("cut at byte %d: Validate entered, replayed %v", at, ev.Replayed)
		}
	}
	started := map[string]bool{}
	for _, ev := range seen.of(TaskStarted) {
		if recorded[ev.Op] || started[ev.Op] {
			t.Errorf("cut at byte %d: %s runs again", at, ev.Op)
		}
		started[ev.Op] = true
	}
	if got := seen.verdicts(); !ended && fmt.Sprint(got) != fmt.Sprint(verdicts) {
		t.Errorf("cut at byte %d: verdicts %v, want %v", at, got, verdicts)
	}
	again, seen, err := medallionRun(t, dir, true)
	if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", want) || len(seen.list) != 0 {
		t.Fatalf("cut at byte %d: resuming the finished run gave %+v, %v and %d events", at, again, err, len(seen.list))
	}
}

// verdicts is each table's last small result: what a Map item of the machine ends with.
func (e *events) verdicts() map[string]string {
	out := map[string]string{}
	for _, ev := range e.of(StateExited) {
		if v, ok := ev.Value.(map[string]any); ok && v["verdict"] != nil {
			out[fmt.Sprint(v["table"])] = fmt.Sprint(v["verdict"], v["version"])
		}
	}
	return out
}

// TestKilledBeforeTheHeader: nothing has begun, so the run is started again under its id.
func TestKilledBeforeTheHeader(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := medallionRun(t, dir, false); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(journalPath(dir, "run-1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1, 100, bytes.IndexByte(whole, '\n')} {
		scratch := t.TempDir()
		if err := os.WriteFile(journalPath(scratch, "run-1"), whole[:at], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := medallionRun(t, scratch, true); !errors.Is(err, errNoHeader) {
			t.Errorf("cut at byte %d: %v, want errNoHeader", at, err)
		}
		if out, _, err := medallionRun(t, scratch, false); err != nil || out.Status != asl.Succeeded {
			t.Errorf("cut at byte %d: %+v, %v", at, out, err)
		}
	}
}

func TestDamageInTheMiddleIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := medallionRun(t, dir, false); err != nil {
		t.Fatal(err)
	}
	path := journalPath(dir, "run-1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"definition": func(b []byte) []byte { return bytes.Replace(b, []byte("MaxConcurrency"), []byte("MaxConcurrencx"), 1) },
		"event":      func(b []byte) []byte { return bytes.Replace(b, []byte(`{"event":`), []byte(`{"evnt":`), 1) },
	} {
		if err := os.WriteFile(path, change(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := medallionRun(t, dir, true)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Kind != fault.InvalidInput || f.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.jsonl")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestNullResultSurvivesTheJournal: null is a result, and not the same as none.
func TestNullResultSurvivesTheJournal(t *testing.T) {
	dir := t.TempDir()
	set := handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(context.Context, string) (string, error) { return "null", nil }})
	r, _, _ := newRunner(t, dir, oneTask, set, 1)
	if out, err := r.Start(context.Background(), "run-1", nil); err != nil || string(out.Output) != "null" {
		t.Fatalf("%+v, %v", out, err)
	}
	whole, err := os.ReadFile(journalPath(dir, "run-1"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	if err := os.WriteFile(journalPath(dir, "run-1"), bytes.Join(lines[:2], nil), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := r.Resume(context.Background(), "run-1"); err != nil || string(out.Output) != "null" {
		t.Errorf("%+v, %v", out, err)
	}
}
