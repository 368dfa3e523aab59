package asl

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// corpusCase is one recorded run of the real service; see shared/corpus/asl/README.md beside the checkout.
type corpusCase struct {
	ID            string            `json:"id"`
	Family        string            `json:"family"`
	Features      []string          `json:"features"`
	Resources     []string          `json:"resources"`
	Lambdas       map[string]string `json:"lambdas"`
	SelfContained bool              `json:"self_contained"`
	Masked        bool              `json:"placeholders_in_expectation"`
	Definition    json.RawMessage   `json:"definition"`
	Input         json.RawMessage   `json:"input"`
	Status        Status            `json:"expected_status"`
	Output        json.RawMessage   `json:"expected_output"`
	Error         *string           `json:"expected_error"`
	Cause         json.RawMessage   `json:"expected_cause"`
	Entered       []string          `json:"expected_states_entered"`
}

// inScope: JSONPath without variables, and nothing outside but the trivial lambdas.
func (c *corpusCase) inScope() bool {
	if slices.Contains(c.Features, "JSONata") || slices.Contains(c.Features, "Assign") {
		return false
	}
	for _, r := range c.Resources {
		if !strings.HasPrefix(r, "arn:aws:lambda:") && r != "arn:aws:states:::lambda:invoke" {
			return false
		}
	}
	return c.SelfContained || c.Family != "service"
}

func corpusDir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
	dir = filepath.Join(filepath.Dir(dir), "shared", "corpus", "asl")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: the corpus of recorded runs is not beside the checkout (shared/corpus/asl)")
	}
	return dir
}

func corpusCases(t testing.TB) []*corpusCase {
	files, err := filepath.Glob(filepath.Join(corpusDir(t), "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*corpusCase
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c := &corpusCase{}
		if err := json.Unmarshal(data, c); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if c.inScope() {
			out = append(out, c)
		}
	}
	return out
}

// TestCorpus runs every case in scope. The cases listed in testdata/known_gaps.txt (id, then the reason) are
// expected to fail, and fail the test when they pass, so that the list stays true.
func TestCorpus(t *testing.T) {
	gaps := knownGaps(t)
	passed := 0
	cases := corpusCases(t)
	for _, c := range cases {
		t.Run(c.Family+"/"+c.ID, func(t *testing.T) {
			err := c.check()
			reason, gap := gaps[c.ID]
			delete(gaps, c.ID)
			switch {
			case err == nil && gap:
				t.Errorf("passes now, but is listed in known_gaps.txt (%s)", reason)
			case err != nil && !gap:
				t.Error(err)
			case err == nil:
				passed++
			}
		})
	}
	for id := range gaps {
		t.Errorf("known_gaps.txt lists %s, which is no case in scope", id)
	}
	t.Logf("SCORE: Step Functions corpus: %d of %d recorded runs agree", passed, len(cases))
	if len(cases) < 400 {
		t.Errorf("only %d cases in scope; the corpus is not what it was", len(cases))
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

func (c *corpusCase) check() error {
	m, err := Parse("definition.json", c.Definition)
	if err != nil {
		return err
	}
	exec := Execution{ID: "arn:aws:states:eu-central-1:111111111111:execution:m:e", Name: "e", Role: "snf_role_arn", Input: c.Input,
		MachineID: "arn:aws:states:eu-central-1:111111111111:stateMachine:m", MachineName: "m",
		StartTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	host := &fakeHost{machine: m, exec: exec, task: c.lambda}
	d, err := host.finish()
	if err != nil {
		return err
	}
	if d.Status != c.Status {
		return fmt.Errorf("status %s (%s: %s), recorded %s", d.Status, d.Error, d.Cause, c.Status)
	}
	if c.Status == Succeeded {
		if err := c.same("output", d.Output, c.Output); err != nil {
			return err
		}
	}
	want := ""
	if c.Error != nil {
		want = *c.Error
	}
	if d.Error != want {
		return fmt.Errorf("error %q (%s), recorded %q", d.Error, d.Cause, want)
	}
	if len(c.Cause) > 0 && string(c.Cause) != "null" {
		if err := c.same("cause", encode(d.Cause), c.Cause); err != nil {
			return err
		}
	}
	if got := c.entered(d); len(c.Entered) > 0 && !slices.Equal(got, c.Entered) {
		return fmt.Errorf("entered %q, recorded %q", got, c.Entered)
	}
	return nil
}

// entered lists the states entered, without those in the child executions of a distributed Map.
func (c *corpusCase) entered(d Decision) []string {
	hidden := map[string]bool{}
	var def any
	_ = json.Unmarshal(c.Definition, &def)
	hideDistributed(def, false, hidden)
	var out []string
	for _, t := range d.Trace {
		if !t.Exited && !hidden[t.State] {
			out = append(out, t.State)
		}
	}
	return out
}

func hideDistributed(v any, inside bool, hidden map[string]bool) {
	m, ok := v.(map[string]any)
	if !ok {
		if list, ok := v.([]any); ok {
			for _, e := range list {
				hideDistributed(e, inside, hidden)
			}
		}
		return
	}
	if config, ok := m["ProcessorConfig"].(map[string]any); ok && config["Mode"] == "DISTRIBUTED" {
		inside = true
	}
	if states, ok := m["States"].(map[string]any); ok && inside {
		for name := range states {
			hidden[name] = true
		}
	}
	for _, e := range m {
		hideDistributed(e, inside, hidden)
	}
}

func (c *corpusCase) same(what string, got, want []byte) error {
	g, err := decode(got)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w, err := decode(want)
	if err != nil {
		return fmt.Errorf("recorded %s: %w", what, err)
	}
	if !c.agree(unnest(g), unnest(w)) {
		return fmt.Errorf("%s %s, recorded %s", what, clip(string(got), 2000), clip(string(want), 2000))
	}
	return nil
}

// unnest replaces text that is JSON by its value, as the recordings do.
func unnest(v any) any {
	switch t := v.(type) {
	case string:
		if inner, err := decode([]byte(t)); err == nil && t != "" {
			return unnest(inner)
		}
	case map[string]any:
		out := map[string]any{}
		for k, e := range t {
			out[k] = unnest(e)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range t {
			out = append(out, unnest(e))
		}
		return out
	}
	return v
}

// eventNumber is the service's own numbering of its history, which this interpreter does not have.
var eventNumber = regexp.MustCompile(` \(entered at the event id #\d+\)`)

var placeholder = regexp.MustCompile(`<[^<>]*>|\bdate\b|\bstart-time\b|\bentered-time\b|RandomNumberGenerated|\bs[nf]{2}_role_arn\b`)

// agree compares with what was recorded; placeholders match anything, and so do the HTTP details of an AWS call.
func (c *corpusCase) agree(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return false
			}
		}
		for k, e := range w {
			if k == "SdkHttpMetadata" || k == "SdkResponseMetadata" {
				continue
			}
			if inner, ok := g[k]; !ok || !c.agree(inner, e) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !c.agree(g[i], w[i]) {
				return false
			}
		}
		return true
	case string:
		w = eventNumber.ReplaceAllString(w, "")
		if !c.Masked {
			return equal(got, w)
		}
		text := plainText(got)
		pattern := "^"
		for rest := w; ; {
			at := placeholder.FindStringIndex(rest)
			if at == nil {
				pattern += regexp.QuoteMeta(rest) + "$"
				break
			}
			pattern += regexp.QuoteMeta(rest[:at[0]]) + `(?s:.*)`
			rest = rest[at[1]:]
		}
		return regexp.MustCompile(pattern).MatchString(text)
	}
	return equal(got, want)
}

// lambda plays the functions that the recordings call.
func (c *corpusCase) lambda(cmd Command) Event {
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

func (c *corpusCase) invoke(name string, input json.RawMessage) Event {
	source, ok := c.Lambdas[name]
	if !ok {
		return Event{Type: TaskFailed, Error: "Lambda.ResourceNotFoundException",
			Cause: "Function not found: arn:aws:lambda:eu-central-1:111111111111:function:" + name +
				":$LATEST (Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: 1; Proxy: null)"}
	}
	succeed := func(out string) Event { return Event{Type: TaskSucceeded, Output: json.RawMessage(out)} }
	switch filepath.Base(source) {
	case "id_function.py", "echo_function.py":
		if string(input) == "null" {
			return succeed("{}") // the service sends an empty event for a null payload
		}
		return succeed(string(input))
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
