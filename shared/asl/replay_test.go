package asl

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machines draws definitions with nested Maps and Parallels, retries, catches, waits and loops.
type machines struct {
	t     *rapid.T
	names int
	fails bool // tasks may fail
}

func (g *machines) name() string {
	g.names++
	return fmt.Sprintf("S%d", g.names)
}

// processor draws a chain of one to three states.
func (g *machines) processor(depth int) map[string]any {
	n := rapid.IntRange(1, 3).Draw(g.t, "states")
	states := map[string]any{}
	names := make([]string, n)
	for i := range names {
		names[i] = g.name()
	}
	for i, name := range names {
		s := g.state(depth)
		if i+1 < n {
			s["Next"] = names[i+1]
		} else {
			s["End"] = true
		}
		if s["Type"] != "Wait" && s["Type"] != "Pass" && rapid.Bool().Draw(g.t, "catch") {
			s["Catch"] = []any{map[string]any{"ErrorEquals": []any{"States.ALL"}, "ResultPath": "$.caught", "Next": names[n-1]}}
			if i == n-1 {
				delete(s, "Catch")
			}
		}
		states[name] = s
	}
	return map[string]any{"StartAt": names[0], "States": states}
}

func (g *machines) state(depth int) map[string]any {
	kinds := []string{"Task", "Task", "Wait", "Pass"}
	if depth > 0 {
		kinds = append(kinds, "Map", "Map", "Parallel")
	}
	retry := []any{map[string]any{"ErrorEquals": []any{"Throttled"}, "MaxAttempts": 2, "JitterStrategy": "FULL"}}
	switch rapid.SampledFrom(kinds).Draw(g.t, "kind") {
	case "Task":
		return map[string]any{"Type": "Task", "Resource": "${X}", "ResultPath": "$.result", "Retry": retry,
			"Parameters": map[string]any{"in.$": "$", "id.$": "States.UUID()", "n.$": "States.MathRandom(0, 1000)", "tries.$": "$$.State.RetryCount"}}
	case "Wait":
		return map[string]any{"Type": "Wait", "Seconds": rapid.IntRange(0, 3).Draw(g.t, "seconds")}
	case "Pass":
		return map[string]any{"Type": "Pass", "Parameters": map[string]any{"id.$": "States.UUID()"}, "ResultPath": "$.pass"}
	case "Map":
		return map[string]any{"Type": "Map", "ItemsPath": "$$.Execution.Input.items", "ResultPath": "$.map", "Retry": retry,
			"MaxConcurrency": rapid.IntRange(0, 3).Draw(g.t, "concurrency"),
			"ItemSelector":   map[string]any{"item.$": "$$.Map.Item.Value"}, "ItemProcessor": g.processor(depth - 1)}
	}
	return map[string]any{"Type": "Parallel", "ResultPath": "$.parallel", "Branches": []any{g.processor(depth - 1), g.processor(depth - 1)}}
}

func drawMachine(t *rapid.T, fails bool) (*Machine, Execution) {
	g := &machines{t: t, fails: fails}
	text, err := json.Marshal(g.processor(2))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse("drawn", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	items := rapid.IntRange(0, 4).Draw(t, "items")
	input := map[string]any{"items": []int{1, 2, 3, 4}[:items]}
	raw, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	return m, Execution{ID: "exec", StartTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Input: raw}
}

// answer gives each operation a result that depends on its key alone.
func answer(fails bool) func(Command) Event {
	return func(c Command) Event {
		switch luck := hashBits("answer", c.Op) % 8; {
		case fails && luck == 0:
			return Event{Type: TaskFailed, Error: "Broken", Cause: c.Op}
		case fails && luck < 3:
			return Event{Type: TaskFailed, Error: "Throttled", Cause: c.Op}
		}
		return Event{Type: TaskSucceeded, Output: encode(map[string]any{"op": c.Op})}
	}
}

// TestPrefixesAgree: what a history has led to is never taken back by what comes after it. For every prefix of a
// run's history, states entered and exited are the same in the whole (operation, value, time), each command is
// the same whenever it is given, and once done, the execution stays so with the same end.
func TestPrefixesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, exec := drawMachine(t, true)
		h := &fakeHost{machine: m, exec: exec, task: answer(true),
			pick: func(open []Command) int { return rapid.IntRange(0, len(open)-1).Draw(t, "pick") }}
		end, err := h.finish()
		if err != nil {
			t.Fatal(err)
		}
		checkPrefixes(t, m, exec, h.history, end)
		// Answers that come after the end, or to abandoned commands, change nothing.
		late := append(append([]Event(nil), h.history...), Event{Op: "S1#1", Type: TaskFailed, Error: "Late"}, Event{Op: "no such", Type: TimerFired})
		if d := m.Decide(exec, late); !reflect.DeepEqual(d, end) {
			t.Fatalf("late events changed the end from %+v to %+v", end, d)
		}
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkPrefixes(t fataler, m *Machine, exec Execution, history []Event, end Decision) {
	t.Helper()
	whole := map[string]Trace{}
	for _, tr := range end.Trace {
		whole[fmt.Sprint(tr.Op, tr.Exited)] = tr
	}
	given := map[string]Command{}
	for n := 0; n <= len(history); n++ {
		d := m.Decide(exec, history[:n])
		if again := m.Decide(exec, history[:n]); !reflect.DeepEqual(d, again) {
			t.Fatalf("after %d events, two decisions differ", n)
		}
		if d.Done != (n == len(history)) {
			t.Fatalf("after %d of %d events, done is %v", n, len(history), d.Done)
		}
		for _, tr := range d.Trace {
			if got, ok := whole[fmt.Sprint(tr.Op, tr.Exited)]; !ok || !reflect.DeepEqual(got, tr) {
				t.Fatalf("after %d events %s (exited %v) has %v, in the end %v", n, tr.Op, tr.Exited, tr, got)
			}
		}
		for _, c := range d.Commands {
			if before, ok := given[c.Op]; ok && !reflect.DeepEqual(before, c) {
				t.Fatalf("after %d events the command is %+v, before it was %+v", n, c, before)
			}
			given[c.Op] = c
		}
	}
}

// TestOrderOfResultsDoesNotMatter: without failures, the output is the same in whatever order independent
// results arrive.
func TestOrderOfResultsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, exec := drawMachine(t, false)
		want, err := (&fakeHost{machine: m, exec: exec, task: answer(false)}).finish()
		if err != nil || want.Status != Succeeded {
			t.Fatalf("%v %v", want, err)
		}
		h := &fakeHost{machine: m, exec: exec, task: answer(false),
			pick: func(open []Command) int { return rapid.IntRange(0, len(open)-1).Draw(t, "pick") }}
		got, err := h.finish()
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Output) != string(want.Output) {
			t.Fatalf("output %s in one order, %s in another", got.Output, want.Output)
		}
	})
}

// TestCorpusPrefixesAgree holds the recorded machines to the same.
func TestCorpusPrefixesAgree(t *testing.T) {
	for _, c := range corpusCases(t) {
		m, err := Parse(c.ID, c.Definition)
		if err != nil {
			t.Fatal(err)
		}
		h := &fakeHost{machine: m, exec: Execution{ID: c.ID, StartTime: time.Unix(1e9, 0), Input: c.Input}, task: c.lambda}
		end, err := h.finish()
		if err != nil {
			t.Fatal(err)
		}
		checkPrefixes(t, m, h.exec, h.history, end)
	}
}

// wide is a run over n items with two tasks each, and its history.
func wide(t testing.TB, n int) (*Machine, Execution, []Event) {
	m, err := Parse("wide", []byte(`{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":10,"ItemProcessor":{"StartAt":"A","States":{
		"A":{"Type":"Task","Resource":"${A}","ResultPath":"$.a","Next":"B"},"B":{"Type":"Task","Resource":"${B}","End":true}}},"End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	items := make([]any, n)
	for i := range items {
		items[i] = map[string]any{"table": "t"}
	}
	exec := Execution{ID: "x", StartTime: time.Unix(1e9, 0), Input: encode(items)}
	var history []Event
	for i := range n {
		for _, s := range []string{"A", "B"} {
			history = append(history, Event{Op: fmt.Sprintf("M#1[%d]/%s#1", i, s), Type: TaskSucceeded, Output: []byte(`{"rows":1}`), Time: exec.StartTime})
		}
	}
	if d := m.Decide(exec, history); d.Status != Succeeded {
		t.Fatalf("%+v", d)
	}
	return m, exec, history
}

// TestDecideIsLinear counts allocations, which unlike seconds are the same on every machine.
func TestDecideIsLinear(t *testing.T) {
	count := func(n int) float64 {
		m, exec, history := wide(t, n)
		return testing.AllocsPerRun(3, func() { m.Decide(exec, history) })
	}
	if small, large := count(250), count(2000); large > 9*small {
		t.Errorf("%v allocations for 500 events, %v for 4000", small, large)
	}
}

func BenchmarkDecide(b *testing.B) {
	m, exec, history := wide(b, 1500)
	for b.Loop() {
		m.Decide(exec, history)
	}
}
