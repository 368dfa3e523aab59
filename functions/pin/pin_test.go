package pin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
)

var started = time.Date(2026, 2, 1, 2, 3, 4, 567e6, time.UTC)

// What an execution was started with becomes the run's trigger: an event, the starter's, or an operator's words.
func TestTriggerOf(t *testing.T) {
	for input, want := range map[string]event.Trigger{
		`{"source":"aws.events","detail-type":"Scheduled Event","id":"i","time":"2026-02-01T02:00:00Z"}`: {Kind: event.Schedule, Source: event.EventBridge},
		`{"trigger":{"kind":"object","source":"eventbridge","key":"k"},"starter":"s"}`:                   {Kind: event.Object, Source: event.EventBridge},
		`{}`:                                  {Kind: event.Manual, Source: event.CLI},
		`{"Comment":"Insert your JSON here"}`: {Kind: event.Manual, Source: event.CLI},
		`{"waive":["silver.orders"],"reason":"a known gap"}`: {Kind: event.Manual, Source: event.CLI},
	} {
		got, err := triggerOf(json.RawMessage(input), started)
		if err != nil || got.Kind != want.Kind || got.Source != want.Source {
			t.Errorf("%s: %+v, %v", input, got, err)
		}
	}
	got, err := triggerOf(json.RawMessage(`{"waive":["silver.orders"],"reason":"a known gap","full_refresh":["bronze.raw"]}`), started)
	var words lake.Overrides
	if err != nil || json.Unmarshal(got.Input, &words) != nil || len(words.Waive) != 1 || words.Reason != "a known gap" || len(words.Refresh) != 1 {
		t.Errorf("an operator's words: %s, %v", got.Input, err)
	}
	for _, input := range []string{`{"wave":["silver.orders"]}`, `[]`, `"run"`} {
		if _, err := triggerOf(json.RawMessage(input), started); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", input, err)
		}
	}
}

// A repeated step gives the run the same name; names sort by time, and executions of one moment have different ones.
func TestNameOf(t *testing.T) {
	in := Input{Execution: "nightly", Started: started}
	if a, b := nameOf(in), nameOf(in); a != b || a[:20] != "20260201-020304-567-" {
		t.Errorf("%s, %s", a, b)
	}
	if nameOf(in) == nameOf(Input{Execution: "other", Started: started}) {
		t.Error("two executions share a name")
	}
}
