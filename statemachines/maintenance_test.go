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

// maintain runs the maintenance machine over tables a and b, which have more to do twice; failing is a step that fails for good.
func maintain(t *testing.T, failing string) (d asl.Decision, tasks []string) {
	t.Helper()
	m, err := asl.Parse(statemachines.MaintenanceFile, statemachines.Maintenance())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"${Complete}", "${Fail}", "${Maintain}", "${Pin}", "${Survey}"}
	if got := m.Resources(); !slices.Equal(got, want) {
		t.Fatalf("resources %q, want %q", got, want)
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	exec := asl.Execution{ID: "m-1", StartTime: now, Input: json.RawMessage(`{"run":"r","bundle":"b"}`)}
	left := map[string]int{}
	var history []asl.Event
	for range 200 {
		if d = m.Decide(exec, history); d.Done {
			return d, tasks
		}
		cmd := d.Commands[0]
		ev := asl.Event{Type: asl.TimerFired}
		if cmd.Kind == asl.Task {
			step := strings.Trim(cmd.Resource, "${}")
			tasks = append(tasks, step+" "+string(cmd.Input))
			switch {
			case step == failing:
				ev = *failure(string(fault.SourceLost))
			case step == "Survey":
				ev = succeed(`{"tables":["a","b"]}`)
			case step == "Maintain":
				left[string(cmd.Input)]++
				ev = succeed(fmt.Sprintf(`{"more":%t}`, left[string(cmd.Input)] < 3))
			default:
				ev = succeed("")
			}
		} else {
			now = cmd.FireAt
		}
		now = now.Add(time.Second)
		ev.Op, ev.Time = cmd.Op, now
		history = append(history, ev)
	}
	t.Fatal("the run does not end")
	return d, tasks
}

func TestMaintenanceGoesOnWhileThereIsMore(t *testing.T) {
	d, tasks := maintain(t, "")
	a, b := `Maintain {"bundle":"b","run":"r","table":"a"}`, `Maintain {"bundle":"b","run":"r","table":"b"}`
	want := []string{`Complete {"bundle":"b","run":"r"}`, a, a, a, b, b, b, `Survey {"bundle":"b","run":"r"}`}
	slices.Sort(tasks)
	if d.Status != asl.Succeeded || !slices.Equal(tasks, want) {
		t.Errorf("%s %s: %q", d.Status, d.Error, tasks)
	}
}

func TestMaintenanceFailures(t *testing.T) {
	for _, step := range []string{"Survey", "Maintain", "Complete"} {
		d, tasks := maintain(t, step)
		if last := tasks[len(tasks)-1]; d.Status != asl.Failed || d.Error != "SourceLost" || !strings.HasPrefix(last, "Fail ") {
			t.Errorf("%s: %s %s, last %s", step, d.Status, d.Error, last)
		}
	}
}
