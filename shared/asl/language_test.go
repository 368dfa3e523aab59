package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func value(t *testing.T, text string) any {
	t.Helper()
	v, err := decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPaths(t *testing.T) {
	const doc = `{"a": {"b": [10, 20, 30], "x-y": true, "é": 1, "sp ace": 2}, "list": [{"n": "p", "v": 1}, {"n": "q", "v": 2.5}, {"n": "r"}], "big": 12345678901234567890.10}`
	for text, want := range map[string]string{
		"$":                       doc,
		"$.a.b[0]":                "10",
		"$.a.b[-1]":               "30",
		"$.a.x-y":                 "true",
		"$.a.é":                   "1",
		"$['a']['sp ace']":        "2",
		`$["a"].b`:                "[10,20,30]",
		"$.big":                   "12345678901234567890.10", // digits stay
		"$.a.b[0,2]":              "[10,30]",
		"$.a.b[1:]":               "[20,30]",
		"$.a.b[:-1]":              "[10,20]",
		"$.a.b[5:9]":              "[]",
		"$.list[*].n":             `["p","q","r"]`,
		"$.list[*]['n','v']":      `["p",1,"q",2.5,"r"]`,
		"$..v":                    "[1,2.5]",
		"$.a.*":                   `[[10,20,30],2,true,1]`, // by name
		"$.list[?(@.v)].n":        `["p","q"]`,
		"$.list[?(@.v > 1)].n":    `["q"]`,
		"$.list[?(@.n == 'r')].n": `["r"]`,
		"$.list[?(@.v>=1&&!(@.n=='q') || @.n == \"r\")].n": `["p","r"]`,
		"$.nothing[*].x": "[]",
	} {
		p, err := parsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := p.get(value(t, doc))
		if err != nil || !equal(got, value(t, want)) {
			t.Errorf("%s gives %s, %v; want %s", text, encode(got), err, want)
		}
	}
	for text, want := range map[string]string{
		"$.c":      "No results for path: $['c']",
		"$.a.c.d":  "Missing property in path $['a']['c']",
		"$.a.b[3]": "No results for path: $['a']['b'][3]",
		"$.big.x":  "No results for path: $['big']['x']",
	} {
		p, err := parsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.get(value(t, doc)); err == nil || err.Error() != want {
			t.Errorf("%s fails with %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "a", "$.", "$.a.", "$.a[", "$.a[]", "$['a", "$.a b", "$.a[1", "$[?(@.a ==)]", "$[?(@..a)]", "$[?@.a]", "$.a[x]"} {
		if _, err := parsePath(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestResultPaths(t *testing.T) {
	for _, test := range []struct{ root, path, want string }{
		{`{"a":1}`, "$.b", `{"a":1,"b":"new"}`},
		{`{"a":1}`, "$.b.c", `{"a":1,"b":{"c":"new"}}`},
		{`{"a":[1,2]}`, "$.a[1]", `{"a":[1,"new"]}`},
		{`{"a":1}`, "$", `"new"`},
		{`{"a":1}`, "$.a.b", ""},
		{`[1]`, "$.a", ""},
		{`{"a":[1]}`, "$.a[1]", ""},
	} {
		p, err := parsePath(test.path)
		if err != nil {
			t.Fatal(err)
		}
		root := value(t, test.root)
		got, err := p.set(root, "new")
		if test.want == "" {
			if err == nil {
				t.Errorf("%s in %s gives %s, want an error", test.path, test.root, encode(got))
			}
			continue
		}
		if err != nil || !equal(got, value(t, test.want)) {
			t.Errorf("%s in %s gives %s, %v", test.path, test.root, encode(got), err)
		}
		if !equal(root, value(t, test.root)) {
			t.Errorf("%s changed its input to %s", test.path, encode(root))
		}
	}
}

func TestIntrinsics(t *testing.T) {
	const input = `{"s": "it's", "n": 3, "list": [1, 2, 2, "a", "a", {"k": 1}, {"k": 1.0}], "o": {"k": [1, "x"]}}`
	for text, want := range map[string]string{
		`States.Format('{} and {}', $.s, $.n)`:                         `"it's and 3"`,
		`States.Format('\{\} {} \'q\' \\', true)`:                      `"{} true 'q' \\"`,
		`States.Format('{}', $.o)`:                                     `"{k=[1, x]}"`,
		`States.StringToJson('{"a": 1.50}')`:                           `{"a":1.50}`,
		`States.JsonToString($.o)`:                                     `"{\"k\":[1,\"x\"]}"`,
		`States.Array($.n, 'x', null, States.Array())`:                 `[3,"x",null,[]]`,
		`States.ArrayPartition($.list, 4)`:                             `[[1,2,2,"a"],["a",{"k":1},{"k":1}]]`,
		`States.ArrayContains($.list, $.list[5])`:                      `true`,
		`States.ArrayRange(1, 9, 2)`:                                   `[1,3,5,7,9]`,
		`States.ArrayRange(3, 1, -1)`:                                  `[3,2,1]`,
		`States.ArrayRange(3, 1, 1)`:                                   `[]`,
		`States.ArrayGetItem($.list, 3)`:                               `"a"`,
		`States.ArrayLength($.list)`:                                   `7`,
		`States.ArrayUnique($.list)`:                                   `[1,2,"a",{"k":1}]`,
		`States.Base64Encode('Data to encode')`:                        `"RGF0YSB0byBlbmNvZGU="`,
		`States.Base64Decode('RGF0YSB0byBlbmNvZGU=')`:                  `"Data to encode"`,
		`States.Hash('input data', 'SHA-1')`:                           `"aaff4a450a104cd177d28d18d74485e8cae074b7"`,
		`States.JsonMerge($.o, States.StringToJson('{"z":2}'), false)`: `{"k":[1,"x"],"z":2}`,
		`States.MathAdd($.n, -5)`:                                      `-2`,
		`States.MathAdd(1.6, 9007199254740993)`:                        `9007199254740995`,
		`States.StringSplit('a.b+c', '.+')`:                            `["a","b","c"]`,
		`States.MathRandom(5, 6)`:                                      `5`,
	} {
		x, err := parseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := x.eval(&env{input: value(t, input)})
		if err != nil || !equal(got, value(t, want)) {
			t.Errorf("%s gives %s, %v; want %s", text, encode(got), err, want)
		}
	}
	for _, text := range []string{`States.Format('{}')`, `States.Format('', 1)`, `States.ArrayRange(0, 5, 0)`, `States.ArrayRange(0, 1000, 1)`,
		`States.ArrayGetItem($.list, 7)`, `States.JsonMerge($.o, $.o, true)`, `States.Hash('x', 'CRC')`, `States.Base64Decode('?')`,
		`States.StringToJson('{')`, `States.MathAdd('1', 2)`, `States.MathAdd(9223372036854775807, 1)`, `States.MathRandom(2, 2)`, `States.ArrayPartition($.list, 0)`} {
		x, err := parseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var se *stateError
		if v, err := x.eval(&env{input: value(t, input)}); !errors.As(err, &se) || se.Name != errIntrinsicFailure {
			t.Errorf("%s gives %s, %v; want States.IntrinsicFailure", text, encode(v), err)
		}
	}
	for _, text := range []string{"States.Format", "States.Format('a'", "States.Format('a)", "States.Array(,)", "States.Array(1 2)", "States.Array(x)", "States.UUID(1)", "States.UUID() x", strings.Repeat("States.Array(", 11) + strings.Repeat(")", 11)} {
		if _, err := parseExpr(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestRandomIsRepeatable: the same operation draws the same numbers and ids, another one draws others.
func TestRandomIsRepeatable(t *testing.T) {
	n := &node{kind: '{', object: []field{
		{name: "a.$", value: &node{scalar: "States.UUID()"}}, {name: "b.$", value: &node{scalar: "States.UUID()"}},
		{name: "n.$", value: &node{scalar: "States.MathRandom(0, 1000000)"}}, {name: "s.$", value: &node{scalar: "States.MathRandom(0, 1000000, 7)"}}}}
	tmpl := parseTemplate(n, &problems{}, "")
	draw := func(seed string) map[string]any {
		v, err := tmpl.fill(&env{seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return v.(map[string]any)
	}
	one, again, other := draw("x"), draw("x"), draw("y")
	if !equal(one, again) || one["a"] == one["b"] || one["a"] == other["a"] || one["n"] == other["n"] || one["s"] != other["s"] {
		t.Errorf("%v, %v, %v", one, again, other)
	}
}

func TestWildcards(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"log-*.txt", "log-1.txt", true}, {"log-*.txt", "log-.txt", true}, {"log-*.txt", "log-1.tx", false},
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbX", false},
		{`foo\*`, "foo*", true}, {`foo\*`, "foox", false}, {`a\\b`, `a\b`, true}, {"*a", "aaa", true}, {"**", "x", true}, {"a*", "ba", false},
	} {
		if got := wildcardMatch(test.pattern, test.s); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.s, got)
		}
	}
}

func TestRetryDelays(t *testing.T) {
	half := uint64(math.MaxUint64/2 + 1)
	for name, test := range map[string]struct {
		retrier retrier
		want    []time.Duration
	}{
		"defaults":    {retrier{interval: 1, backoff: 2, maxAttempts: 3}, []time.Duration{1, 2, 4}},
		"max delay":   {retrier{interval: 3, backoff: 2, maxAttempts: 4, maxDelay: 5}, []time.Duration{3, 5, 5, 5}},
		"constant":    {retrier{interval: 2, backoff: 1, maxAttempts: 2}, []time.Duration{2, 2}},
		"never":       {retrier{interval: 1, backoff: 2}, nil},
		"full jitter": {retrier{interval: 4, backoff: 2, maxAttempts: 2, jitter: true}, []time.Duration{2, 4}},
	} {
		test.retrier.errors = []string{"E"}
		policy := retryState{[]*retrier{&test.retrier}, make([]int64, 1)}
		var got []time.Duration
		for {
			d, ok := policy.next(&stateError{Name: "E"}, half)
			if !ok {
				break
			}
			got = append(got, d/time.Second)
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: delays %v, want %v", name, got, test.want)
		}
	}
}

func TestErrorMatching(t *testing.T) {
	task := func(name string) *stateError { return &stateError{Name: name, thrown: true} }
	own := func(name string) *stateError { return &stateError{Name: name} }
	for _, test := range []struct {
		pattern string
		err     *stateError
		want    bool
	}{
		{"Throttled", task("Throttled"), true}, {"Throttled", task("Stale"), false},
		{errAll, task("Stale"), true}, {errAll, task(errTimeout), true}, {errAll, own(errIntrinsicFailure), true},
		{errAll, own(errRuntime), false}, {errRuntime, own(errRuntime), false},
		{errAll, own(errDataLimit), false}, {errDataLimit, own(errDataLimit), true}, {errAll, task(errDataLimit), true},
		{errTaskFailed, task("Stale"), true}, {errTaskFailed, task(errTimeout), false}, {errTaskFailed, own(errNoChoiceMatched), false},
		{errTimeout, task(errHeartbeatTimeout), true},
	} {
		if got := matches([]string{test.pattern}, test.err); got != test.want {
			t.Errorf("%s matches %v: %v", test.pattern, test.err, got)
		}
	}
}

// decideText runs a definition on input with tasks that answer {}.
func decideText(t *testing.T, definition, input string) Decision {
	t.Helper()
	m, err := Parse("test", []byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	d, err := (&fakeHost{machine: m, exec: Execution{ID: "x", StartTime: time.Unix(1e9, 0), Input: json.RawMessage(input)},
		task: func(Command) Event { return Event{Type: TaskSucceeded, Output: json.RawMessage("{}")} },
		pick: earliest}).finish()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// earliest picks a task, or the timer that is due first.
func earliest(open []Command) int {
	first := 0
	for i, c := range open {
		if c.FireAt.Before(open[first].FireAt) {
			first = i
		}
	}
	return first
}

func TestEnds(t *testing.T) {
	big := `{"x":"` + strings.Repeat("a", 200*1024) + `"}`
	for name, test := range map[string]struct {
		definition, input string
		status            Status
		error             string
	}{
		"no choice":             {`{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"B"}]},"B":{"Type":"Succeed"}}}`, `{"a":1}`, Failed, errNoChoiceMatched},
		"choice on nothing":     {`{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.b","NumericEquals":1,"Next":"B"}]},"B":{"Type":"Succeed"}}}`, `{"a":1}`, Failed, errRuntime},
		"endless loop":          {`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"A"}}}`, `{}`, Failed, errRuntime},
		"payload that grows":    {`{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a.$":"$","b.$":"$"},"Next":"A"}}}`, `{"x":1}`, Failed, errDataLimit},
		"payload too large":     {`{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a.$":"$.x","b.$":"$.x"},"End":true}}}`, big, Failed, errDataLimit},
		"time limit of the run": {`{"TimeoutSeconds":5,"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":4,"Next":"B"},"B":{"Type":"Wait","Seconds":2,"End":true}}}`, `{}`, TimedOut, errTimeout},
		"map over an object":    {`{"StartAt":"A","States":{"A":{"Type":"Map","ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}},"End":true}}}`, `{}`, Failed, errRuntime},
		"map over nothing":      {`{"StartAt":"A","States":{"A":{"Type":"Map","ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}},"End":true}}}`, `[]`, Succeeded, ""},
		"tolerated":             {`{"StartAt":"A","States":{"A":{"Type":"Map","ToleratedFailureCount":1,"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":1,"Next":"F"}],"Default":"S"},"S":{"Type":"Succeed"},"F":{"Type":"Fail","Error":"E"}}},"End":true}}}`, `[1,2]`, Succeeded, ""},
		"too many failures":     {`{"StartAt":"A","States":{"A":{"Type":"Map","ToleratedFailureCount":1,"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":1,"Next":"F"}],"Default":"S"},"S":{"Type":"Succeed"},"F":{"Type":"Fail","Error":"E"}}},"End":true}}}`, `[1,1]`, Failed, errToleratedExceeded},
		"result path":           {`{"StartAt":"A","States":{"A":{"Type":"Pass","ResultPath":"$.a.b","End":true}}}`, `{"a":1}`, Failed, errResultPath},
	} {
		t.Run(name, func(t *testing.T) {
			if d := decideText(t, test.definition, test.input); d.Status != test.status || d.Error != test.error {
				t.Errorf("%s %s: %s; want %s %s", d.Status, d.Error, clip(d.Cause, 200), test.status, test.error)
			}
		})
	}
}

func TestAbort(t *testing.T) {
	m, err := Parse("test", []byte(`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"${A}","End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	abort := Event{Type: ExecutionAborted, Error: "Stopped", Cause: "by hand"}
	success := Event{Op: "A#1", Type: TaskSucceeded, Output: json.RawMessage("1")}
	if d := m.Decide(Execution{}, []Event{abort, success}); d.Status != Aborted || d.Error != "Stopped" {
		t.Errorf("%+v", d)
	}
	if d := m.Decide(Execution{}, []Event{success, abort}); d.Status != Succeeded {
		t.Errorf("%+v", d)
	}
}

// TestRetryKeys: the operation keys of attempts and visits differ, and $$.State.RetryCount counts.
func TestRetryKeys(t *testing.T) {
	m, err := Parse("test", []byte(`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"${A}","Parameters":{"n.$":"$$.State.RetryCount"},
		"Retry":[{"ErrorEquals":["E"]}],"Next":"C"},"C":{"Type":"Choice","Choices":[{"Variable":"$.again","BooleanEquals":true,"Next":"A"}],"Default":"Z"},"Z":{"Type":"Succeed"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	var inputs []string
	h := &fakeHost{machine: m, exec: Execution{StartTime: time.Unix(1e9, 0)}, task: func(c Command) Event {
		inputs = append(inputs, string(c.Input))
		if calls++; calls == 1 {
			return Event{Type: TaskFailed, Error: "E"}
		}
		return Event{Type: TaskSucceeded, Output: json.RawMessage(fmt.Sprintf(`{"again":%t}`, calls == 2))}
	}}
	if _, err := h.finish(); err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, e := range h.history {
		ops = append(ops, e.Op)
	}
	if got, want := strings.Join(ops, " "), "A#1 A#1!1~delay A#1!1 A#2"; got != want {
		t.Errorf("operations %s, want %s", got, want)
	}
	if got, want := strings.Join(inputs, " "), `{"n":0} {"n":1} {"n":0}`; got != want {
		t.Errorf("inputs %s, want %s", got, want)
	}
}
