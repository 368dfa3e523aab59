package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/host/lambda"
	"github.com/lakestep/lakestep/statemachines"
	"github.com/lakestep/lakestep/tools/lambdatest"
)

// play makes this test's program a function, whose step does what its input says.
const play = "LAKESTEP_TEST_FUNCTION"

func TestMain(m *testing.M) {
	if os.Getenv(play) == "" {
		os.Exit(m.Run())
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	slog.SetDefault(log) // aws-lambda-go writes errors once more, to the standard logger
	runtime.Start(lambda.New(lambda.Options{Name: os.Getenv("_HANDLER"), Handle: act, Log: log, Now: time.Now}))
}

// act is a step: the name of a fault makes it fail so.
func act(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
	var in struct{ Do string }
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	switch in.Do {
	case "":
		return raw, nil
	case "sleep": // past the time that the host gives it, but not past the function's
		<-ctx.Done()
		return nil, fmt.Errorf("write data files: %w", context.Cause(ctx))
	case "hang":
		time.Sleep(time.Hour)
	case "exit":
		os.Exit(3)
	case "panic":
		panic("a bug")
	case "plain":
		return nil, errors.New("not a fault")
	case "large":
		return json.RawMessage(`"` + strings.Repeat("x", host.MaxPayload) + `"`), nil
	}
	return nil, fmt.Errorf("around it: %w", fault.New(fault.Kind(in.Do), "commit", "silver.orders", "it is so").WithHint("do that"))
}

func function(t *testing.T, timeout time.Duration) *lambdatest.Function {
	return lambdatest.New(t, lambdatest.Options{Program: os.Args[0], Handler: "silver", Env: []string{play + "=1"}, Timeout: timeout})
}

func invoke(t *testing.T, f *lambdatest.Function, do string) lambdatest.Answer {
	t.Helper()
	a, err := f.Invoke(t.Context(), fmt.Appendf(nil, `{"do":%q,"run":"r-1","table":"silver.orders"}`, do))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Every kind of fault is the errorType that the runtime answers, however deep in an error it is; the text is that of the local host.
func TestKindsAreErrorTypes(t *testing.T) {
	f := function(t, time.Minute)
	for _, kind := range fault.Kinds() {
		a := invoke(t, f, string(kind))
		if a.ErrorType() != string(kind) {
			t.Errorf("%s: %s", kind, a.Payload)
		}
		var c host.Cause
		if err := json.Unmarshal([]byte(a.ErrorMessage()), &c); err != nil || c.Op != "commit" || c.Object != "silver.orders" || c.Hint != "do that" {
			t.Errorf("%s: %s, %v", kind, a.ErrorMessage(), err)
		}
	}
	for do, want := range map[string]string{"plain": "Internal", "large": "Internal", "panic": "Internal"} {
		if a := invoke(t, f, do); a.ErrorType() != want {
			t.Errorf("%s: %.300s", do, a.Payload)
		}
	}
	if a := invoke(t, f, ""); a.Failed || !json.Valid(a.Payload) {
		t.Errorf("after all that: %s", a.Payload)
	}
	if n := len(f.ColdStarts()); n != 1 {
		t.Errorf("%d processes were started: a fault ended one", n)
	}
	for line := range strings.Lines(f.Log()) {
		var fields map[string]any
		err := json.Unmarshal([]byte(line), &fields)
		if err == nil && strings.HasPrefix(fmt.Sprint(fields["msg"]), `{"errorMessage"`) { // aws-lambda-go's
			continue
		}
		if err != nil || fields["requestId"] == nil || !strings.HasPrefix(fmt.Sprint(fields["trace"]), "1-5bef4de7-") ||
			fields["run"] != "r-1" || fields["table"] != "silver.orders" {
			t.Errorf("log line %s: %v", line, err)
		}
	}
}

// A step that takes too long is stopped before the function is, and says so; a function that hangs or ends is replaced.
func TestTime(t *testing.T) {
	f := function(t, 2*time.Second)
	if a := invoke(t, f, "sleep"); a.ErrorType() != string(fault.Unavailable) || !strings.Contains(a.ErrorMessage(), "the function's time is up") {
		t.Errorf("sleep: %s", a.Payload)
	}
	if a := invoke(t, f, "hang"); a.ErrorType() != "Sandbox.Timedout" {
		t.Errorf("hang: %s", a.Payload)
	}
	if a := invoke(t, f, "exit"); a.ErrorType() != "Runtime.ExitError" {
		t.Errorf("exit: %s", a.Payload)
	}
	if a := invoke(t, f, ""); a.Failed {
		t.Errorf("after it: %s", a.Payload)
	}
}

// TestEachRetryAndCatch lets each task of the definitions fail in each way that its Retry and Catch name, by a function, and looks where the state
// machine goes. The names that begin with Lambda. are answers of the service, which no function gives: they are looked for only.
func TestEachRetryAndCatch(t *testing.T) {
	f := function(t, 2*time.Second)
	answers := map[string]lambdatest.Answer{"Sandbox.Timedout": invoke(t, f, "hang"), "Runtime.ExitError": invoke(t, f, "exit")}
	for _, k := range fault.Kinds() {
		answers[string(k)] = invoke(t, f, string(k))
	}
	for file, text := range map[string][]byte{statemachines.MedallionFile: statemachines.Medallion(), statemachines.MaintenanceFile: statemachines.Maintenance()} {
		m, err := asl.Parse(file, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasksOf(t, text) {
			for name, a := range answers {
				if a.ErrorType() != name {
					t.Fatalf("%s: the function answered %s", name, a.Payload)
				}
				got := failOnce(t, m, task.name, name, a.ErrorMessage())
				if want := task.after(name); got != want {
					t.Errorf("%s: after %s in %s comes %s, want %s", file, name, task.name, got, want)
				}
			}
		}
	}
}

// task is a Task state as the file has it.
type task struct {
	name  string
	Type  string
	Retry []struct{ ErrorEquals []string }
	Catch []struct {
		ErrorEquals []string
		Next        string
	}
	States        map[string]*task
	ItemProcessor *task
}

// after is where the file says that the state machine goes: to the state itself, to that of a Catch, or to the Catch of the Map around it, which is Fail.
func (k task) after(name string) string {
	for _, r := range k.Retry {
		if slices.Contains(r.ErrorEquals, name) {
			return k.name
		}
	}
	for _, c := range k.Catch {
		if slices.Contains(c.ErrorEquals, name) || slices.Contains(c.ErrorEquals, "States.ALL") {
			return c.Next
		}
	}
	if k.name == "Pin" || k.name == "Complete" || k.name == "Fail" {
		return "the end"
	}
	return "Fail"
}

func tasksOf(t *testing.T, text []byte) (all []task) {
	t.Helper()
	var root task
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(name string, k *task)
	walk = func(name string, k *task) {
		k.name = name
		if k.Type == "Task" {
			all = append(all, *k)
		}
		if k.ItemProcessor != nil {
			walk("", k.ItemProcessor)
		}
		for n, s := range k.States {
			walk(n, s)
		}
	}
	walk("", &root)
	return all
}

// failOnce runs a definition whose task fails the first time with an error, and tells where it goes then: to the same state, after waiting, or to another.
func failOnce(t *testing.T, m *asl.Machine, state, name, cause string) (next string) {
	t.Helper()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	exec := asl.Execution{ID: "e-1", Name: "e-1", StartTime: now, Input: json.RawMessage(`{}`)}
	var history []asl.Event
	failed := ""
	for range 300 {
		d := m.Decide(exec, history)
		if failed != "" {
			if next := entered(d.Trace, failed, state); next != "" {
				return next
			}
		}
		if d.Done {
			return "the end"
		}
		cmd := d.Commands[0]
		ev := asl.Event{Op: cmd.Op, Type: asl.TimerFired}
		switch {
		case cmd.Kind == asl.Timer:
			now = cmd.FireAt
			if failed != "" && cmd.State == state {
				return state
			}
		case cmd.State == state && failed == "":
			failed = cmd.Op
			ev.Type, ev.Error, ev.Cause = asl.TaskFailed, name, cause
		default:
			ev.Type, ev.Output = asl.TaskSucceeded, output(cmd.Resource)
			if state == "Fail" && cmd.State == "Validate" || state == "Fail" && cmd.State == "Survey" { // so that it comes to Fail
				ev.Type, ev.Error, ev.Output = asl.TaskFailed, "Internal", nil
			}
		}
		now = now.Add(time.Second)
		ev.Time = now
		history = append(history, ev)
	}
	t.Fatalf("%s: the run does not end", state)
	return ""
}

// entered is the state that was entered after the failed one.
func entered(trace []asl.Trace, op, state string) string {
	past := false
	for _, e := range trace {
		switch {
		case e.State == state && e.Op == op:
			past = true
		case past && !e.Exited:
			return e.State
		}
	}
	return ""
}

// output is what a step answers, so that a run goes through every task.
func output(resource string) json.RawMessage {
	switch resource {
	case "${Pin}":
		return json.RawMessage(`{"run":"r","bundle":"b","trigger":{}}`)
	case "${Validate}":
		return json.RawMessage(`{"nothing":false,"sources":["bronze.a"],"silver":[["silver.a"]],"gold":[["gold.a"]]}`)
	case "${Survey}":
		return json.RawMessage(`{"tables":["a"]}`)
	case "${Bronze}", "${Maintain}":
		return json.RawMessage(`{"more":false}`)
	case "${Silver}", "${Gold}":
		return json.RawMessage(`{"status":"staged","staged":{}}`)
	case "${Quality}":
		return json.RawMessage(`{"verdict":"passed"}`)
	case "${Publish}":
		return json.RawMessage(`{"version":1}`)
	}
	return json.RawMessage(`{}`)
}
