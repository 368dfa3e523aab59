package statemachines_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/statemachines"
)

func medallion(t *testing.T) *asl.Machine {
	t.Helper()
	m, err := asl.Parse(statemachines.MedallionFile, statemachines.Medallion())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestErrorNamesAreKnown(t *testing.T) {
	for _, name := range medallion(t).ErrorNames() {
		if slices.Contains(fault.Kinds(), fault.Kind(name)) || strings.HasPrefix(name, "States.") || strings.HasPrefix(name, "Lambda.") ||
			name == "Sandbox.Timedout" || name == "Runtime.ExitError" { // a function that was cut off, and one whose program ended: too little memory, mostly
			continue
		}
		t.Errorf("ErrorEquals %q is neither a fault kind nor a name of States or Lambda", name)
	}
}

func TestResourcesAreTheSteps(t *testing.T) {
	want := []string{"${Bronze}", "${Complete}", "${Fail}", "${Gold}", "${Pin}", "${Publish}", "${Quality}", "${Silver}", "${Validate}"}
	if got := medallion(t).Resources(); !slices.Equal(got, want) {
		t.Errorf("resources %q, want %q", got, want)
	}
}

// play runs the machine with one source, one silver and one gold table. answer may take over a task.
type play struct {
	answer func(cmd asl.Command) *asl.Event
	inputs map[string][]string // of the tasks run, by step
	delays int
}

func (p *play) run(t *testing.T) asl.Decision {
	t.Helper()
	m := medallion(t)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	exec := asl.Execution{ID: "run-1", StartTime: now, Input: json.RawMessage(`{"run":"r","bundle":"b","trigger":{"kind":"manual"}}`)}
	p.inputs = map[string][]string{}
	var history []asl.Event
	for range 2000 {
		d := m.Decide(exec, history)
		if d.Done {
			return d
		}
		cmd := d.Commands[0]
		ev := asl.Event{Type: asl.TimerFired}
		if cmd.Kind == asl.Task {
			step := strings.Trim(cmd.Resource, "${}")
			p.inputs[step] = append(p.inputs[step], string(cmd.Input))
			ev = p.task(cmd, step)
		} else {
			now = cmd.FireAt
			p.delays++
		}
		now = now.Add(time.Second)
		ev.Op, ev.Time = cmd.Op, now
		history = append(history, ev)
	}
	t.Fatal("the run does not end")
	return asl.Decision{}
}

func (p *play) task(cmd asl.Command, step string) asl.Event {
	if p.answer != nil {
		if ev := p.answer(cmd); ev != nil {
			return *ev
		}
	}
	return succeed(map[string]string{
		"Validate": `{"run":"r","bundle":"b","nothing":false,"sources":["raw"],"silver":[["clean"]],"gold":[["daily"]]}`,
		"Bronze":   `{"table":"raw","more":false}`,
		"Silver":   `{"status":"staged","staged":{"attempt":1,"sha256":"s"}}`,
		"Gold":     `{"status":"staged","staged":{"attempt":2,"sha256":"g"}}`,
		"Quality":  `{"verdict":"passed"}`,
		"Publish":  `{"version":4}`,
	}[step])
}

func succeed(out string) asl.Event {
	if out == "" {
		out = "{}"
	}
	return asl.Event{Type: asl.TaskSucceeded, Output: json.RawMessage(out)}
}

func failure(kind string) *asl.Event {
	return &asl.Event{Type: asl.TaskFailed, Error: kind, Cause: `{"message":"why"}`}
}

func TestEveryStepGetsItsInput(t *testing.T) {
	p := &play{}
	if d := p.run(t); d.Status != asl.Succeeded {
		t.Fatalf("%s %s", d.Error, d.Cause)
	}
	want := map[string][]string{
		"Validate": {`{"bundle":"b","run":"r","trigger":{"kind":"manual"}}`},
		"Bronze":   {`{"bundle":"b","run":"r","table":"raw"}`},
		"Silver":   {`{"bundle":"b","round":0,"run":"r","table":"clean"}`},
		"Gold":     {`{"bundle":"b","round":0,"run":"r","table":"daily"}`},
		"Quality": {`{"bundle":"b","run":"r","staged":{"attempt":1,"sha256":"s"},"table":"clean"}`,
			`{"bundle":"b","run":"r","staged":{"attempt":2,"sha256":"g"},"table":"daily"}`},
		"Publish": {`{"bundle":"b","run":"r","staged":{"attempt":1,"sha256":"s"},"table":"clean"}`,
			`{"bundle":"b","run":"r","staged":{"attempt":2,"sha256":"g"},"table":"daily"}`},
		"Complete": {`{"bundle":"b","run":"r"}`},
	}
	if fmt.Sprint(p.inputs) != fmt.Sprint(want) {
		t.Errorf("inputs\n%v, want\n%v", p.inputs, want)
	}
}

func TestNothingNew(t *testing.T) {
	p := &play{answer: func(cmd asl.Command) *asl.Event {
		ev := succeed(`{"nothing":true}`)
		return &ev
	}}
	if d := p.run(t); d.Status != asl.Succeeded || len(p.inputs) != 1 {
		t.Errorf("%s %s, tasks %v", d.Status, d.Cause, p.inputs)
	}
}

func TestBronzeGoesOnWhileThereIsMore(t *testing.T) {
	left := 3
	p := &play{answer: func(cmd asl.Command) *asl.Event {
		if cmd.State != "Bronze" {
			return nil
		}
		left--
		ev := succeed(fmt.Sprintf(`{"table":"raw","more":%t}`, left > 0))
		return &ev
	}}
	d := p.run(t)
	if d.Status != asl.Succeeded || len(p.inputs["Bronze"]) != 3 || p.inputs["Bronze"][2] != p.inputs["Bronze"][0] {
		t.Errorf("%s %s, bronze %v", d.Status, d.Cause, p.inputs["Bronze"])
	}
}

func TestGates(t *testing.T) {
	for verdict, published := range map[string]int{"passed": 2, "waived": 2, "failed": 0} {
		p := &play{answer: func(cmd asl.Command) *asl.Event {
			if !strings.HasSuffix(cmd.State, "Quality") {
				return nil
			}
			ev := succeed(`{"verdict":"` + verdict + `"}`)
			return &ev
		}}
		if d := p.run(t); d.Status != asl.Succeeded || len(p.inputs["Publish"]) != published {
			t.Errorf("%s: %s %s, published %v", verdict, d.Status, d.Cause, p.inputs["Publish"])
		}
	}
}

func TestNothingStaged(t *testing.T) {
	p := &play{answer: func(cmd asl.Command) *asl.Event {
		if cmd.State != "Silver" {
			return nil
		}
		ev := succeed(`{"status":"unchanged"}`)
		return &ev
	}}
	if d := p.run(t); d.Status != asl.Succeeded || len(p.inputs["Publish"]) != 1 {
		t.Errorf("%s %s, published %v", d.Status, d.Cause, p.inputs["Publish"])
	}
}

func TestLostRacesAreRepeatedFiveTimes(t *testing.T) {
	for lost, want := range map[int]asl.Status{4: asl.Succeeded, 5: asl.Failed} {
		n := 0
		p := &play{answer: func(cmd asl.Command) *asl.Event {
			if cmd.State != "SilverPublish" {
				return nil
			}
			if n++; n <= lost {
				return failure("Stale")
			}
			return nil
		}}
		d := p.run(t)
		if d.Status != want || want == asl.Failed && d.Error != "Stale" {
			t.Errorf("%d lost: %s %s %s", lost, d.Status, d.Error, d.Cause)
		}
		last := p.inputs["Silver"][len(p.inputs["Silver"])-1]
		if len(p.inputs["Silver"]) != 5 || !strings.Contains(last, `"round":4`) {
			t.Errorf("%d lost: silver ran %d times, last with %s", lost, len(p.inputs["Silver"]), last)
		}
	}
}

// TestStaleGoesRound: wherever a table turns out to have moved on, it is made again, five times in all.
func TestStaleGoesRound(t *testing.T) {
	for _, state := range []string{"Silver", "SilverQuality", "SilverPublish", "Gold", "GoldQuality", "GoldPublish"} {
		p := &play{answer: func(cmd asl.Command) *asl.Event {
			if cmd.State == state {
				return failure("Stale")
			}
			return nil
		}}
		d := p.run(t)
		layer := strings.TrimSuffix(strings.TrimSuffix(state, "Quality"), "Publish")
		if d.Status != asl.Failed || d.Error != "Stale" || len(p.inputs[layer]) != 5 || len(p.inputs["Fail"]) != 1 {
			t.Errorf("%s: %s %s after %d rounds", state, d.Status, d.Error, len(p.inputs[layer]))
		}
	}
}

// TestEveryKindIsCaught fails each task with each kind of fault for good: what is retried is retried five times,
// everything ends in the Fail step, and the run fails by the kind's name.
func TestEveryKindIsCaught(t *testing.T) {
	states := []string{"Validate", "Bronze", "Silver", "SilverQuality", "SilverPublish", "Gold", "GoldQuality", "GoldPublish", "Complete"}
	for _, state := range states {
		for _, kind := range fault.Kinds() {
			if kind == fault.Stale && (strings.HasPrefix(state, "Silver") || strings.HasPrefix(state, "Gold")) {
				continue // goes round, see TestStaleGoesRound
			}
			p := &play{answer: func(cmd asl.Command) *asl.Event {
				if cmd.State == state {
					return failure(string(kind))
				}
				return nil
			}}
			d := p.run(t)
			if d.Status != asl.Failed || d.Error != string(kind) || d.Cause != `{"message":"why"}` {
				t.Errorf("%s with %s: %s %s %s", state, kind, d.Status, d.Error, d.Cause)
			}
			want := fmt.Sprintf(`{"bundle":"b","error":{"Cause":"{\"message\":\"why\"}","Error":%q},"run":"r"}`, kind)
			if got := p.inputs["Fail"]; len(got) != 1 || got[0] != want {
				t.Errorf("%s with %s: the Fail step got %q, want %s", state, kind, got, want)
			}
			if (p.delays > 0) != kind.Retryable() || p.delays > 5 {
				t.Errorf("%s with %s: %d retries", state, kind, p.delays)
			}
		}
	}
}

// TestAFailingFailStepDoesNotHideTheError: the run still ends by the name of what went wrong first.
func TestAFailingFailStepDoesNotHideTheError(t *testing.T) {
	p := &play{answer: func(cmd asl.Command) *asl.Event {
		switch cmd.State {
		case "Bronze":
			return failure("SourceLost")
		case "Fail":
			return failure("Internal")
		}
		return nil
	}}
	if d := p.run(t); d.Error != "SourceLost" {
		t.Errorf("%s %s", d.Error, d.Cause)
	}
}
