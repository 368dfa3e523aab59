package asl

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/asl/asltest"
)

// recorded cases, with what plays their functions.
type corpusCase struct{ *asltest.Case }

func corpusCases(t testing.TB) []corpusCase {
	var out []corpusCase
	for _, c := range asltest.Cases(t) {
		if c.LeftOut() == "" {
			out = append(out, corpusCase{c})
		}
	}
	return out
}

// TestCorpus runs every case in JSONPath without variables and without services, self-contained or with placeholders
// masked. The cases listed in testdata/known_gaps.txt (id, then the reason) are expected to miss in their outcome or
// in the order of their events, and fail the test when they do not, so that the list stays true.
func TestCorpus(t *testing.T) {
	gaps := knownGaps(t)
	var score asltest.Score
	for _, c := range asltest.Cases(t) {
		if c.LeftOut() != "" {
			score.Left(c)
			continue
		}
		t.Run(c.Family+"/"+c.ID, func(t *testing.T) {
			outcome, events := corpusCase{c}.check()
			score.Ran(c, outcome, events)
			reason, gap := gaps[c.ID]
			delete(gaps, c.ID)
			switch {
			case outcome == nil && events == nil && gap:
				t.Errorf("agrees now, but is listed in known_gaps.txt (%s)", reason)
			case (outcome != nil || events != nil) && !gap:
				t.Error(outcome, events)
			}
		})
	}
	for id := range gaps {
		t.Errorf("known_gaps.txt lists %s, which is no case in scope", id)
	}
	good, all := score.Agreeing()
	t.Logf("SCORE: Step Functions corpus: %d of %d recorded runs agree", good, all)
	t.Logf("by family:\n%s", score.String())
	if all < 475 {
		t.Errorf("only %d cases in scope; the corpus is not what it was", all)
	}
}

func knownGaps(t *testing.T) map[string]string {
	data, err := os.ReadFile(filepath.Join("testdata", "known_gaps.txt"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, reason, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("known_gaps.txt: %q has no reason", line)
		}
		out[id] = reason
	}
	return out
}

// TestCorpusIsRefusedByName: what is left out for its language is refused when it is read, by the name of what is not
// supported; what is left out for a service's task alone can be read.
func TestCorpusIsRefusedByName(t *testing.T) {
	refused := map[string]int{}
	for _, c := range asltest.Cases(t) {
		if c.LeftOut() == "" {
			continue
		}
		_, err := Parse("definition.json", c.Definition)
		word := c.Refusal()
		switch {
		case word == "" && err != nil:
			t.Errorf("%s: %v", c.ID, err)
		case word != "" && (err == nil || !strings.Contains(err.Error(), word)):
			t.Errorf("%s: %v, want a message with %q", c.ID, err, word)
		}
		refused[word]++
	}
	t.Logf("refused: %v (those of \"\" call services, and can be read)", refused)
}

func (c corpusCase) check() (outcome, events error) {
	m, err := Parse("definition.json", c.Definition)
	if err != nil {
		return err, nil
	}
	exec := Execution{ID: "arn:aws:states:eu-central-1:111111111111:execution:m:e", Name: "e", Role: "snf_role_arn", Input: c.Input,
		MachineID: "arn:aws:states:eu-central-1:111111111111:stateMachine:m", MachineName: "m", Express: c.Express(),
		StartTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if c.Express() {
		exec.ID = "arn:aws:states:eu-central-1:111111111111:express:m:e:1"
	}
	host := &fakeHost{machine: m, exec: exec, task: c.lambda}
	d, err := host.finish()
	if err != nil {
		return err, nil
	}
	r := asltest.Result{Status: string(d.Status), Output: d.Output, Error: d.Error, Cause: d.Cause}
	for _, e := range d.History {
		r.EventTypes = append(r.EventTypes, e.Type)
		if strings.HasSuffix(e.Type, "StateEntered") {
			r.Entered = append(r.Entered, e.State)
		}
	}
	return c.Check(r), c.CheckEvents(r)
}

// lambda plays the functions that the recordings call.
func (c corpusCase) lambda(cmd Command) Event {
	if cmd.Resource != "arn:aws:states:::lambda:invoke" {
		name := cmd.Resource[strings.LastIndex(cmd.Resource, ":")+1:]
		return c.invoke(name, cmd.Input)
	}
	var in struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := json.Unmarshal(cmd.Input, &in); err != nil {
		return Event{Type: TaskFailed, Error: "Lambda.InvalidRequestContentException", Cause: err.Error()}
	}
	e := c.invoke(in.FunctionName, in.Payload)
	if e.Type == TaskSucceeded {
		e.Output = json.RawMessage(fmt.Sprintf(`{"ExecutedVersion":"$LATEST","Payload":%s,"SdkHttpMetadata":{},"SdkResponseMetadata":{},"StatusCode":200}`, e.Output))
	}
	return e
}

func (c corpusCase) invoke(name string, input json.RawMessage) Event {
	source, ok := c.Lambdas[name]
	if !ok {
		return Event{Type: TaskFailed, Error: "Lambda.ResourceNotFoundException",
			Cause: "Function not found: arn:aws:lambda:eu-central-1:111111111111:function:" + name +
				":$LATEST (Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: 1; Proxy: null)"}
	}
	succeed := func(out string) Event { return Event{Type: TaskSucceeded, Output: json.RawMessage(out)} }
	switch filepath.Base(source) {
	case "id_function.py":
		if string(input) == "null" {
			return succeed("{}") // the service sends an empty event for a null payload
		}
		return succeed(string(input))
	case "echo_function.py": // its name notwithstanding
		return succeed(`{"Return":"HelloWorld"}`)
	case "return_bytes_str.py":
		return succeed(`"HelloWorld!"`)
	case "wait_60_seconds.py":
		return Event{Type: TaskFailed, Error: "States.Timeout"}
	case "large_output_string.py":
		return succeed(`"` + strings.Repeat("a", 257*1024) + `"`)
	case "raise_exception.py":
		return raised("Exception", "Some exception was raised.", "line 2, in handler\n    raise Exception(\"Some exception was raised.\")\n")
	case "raise_custom_exception.py":
		return raised("CustomException", "", "line 9, in handler\n    raise CustomException()\n")
	}
	return Event{Type: TaskFailed, Error: "UnknownFunction", Cause: source}
}

func raised(kind, message, line string) Event {
	cause := encode(map[string]any{"errorMessage": message, "errorType": kind, "requestId": "1",
		"stackTrace": []any{`  File "/var/task/handler.py", ` + line}})
	return Event{Type: TaskFailed, Error: kind, Cause: string(cause)}
}
