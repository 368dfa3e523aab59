package asl

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/statemachines"
)

const passEnd = `{"Type": "Pass", "End": true}`

func TestParseNamesThePlace(t *testing.T) {
	for name, test := range map[string]struct {
		definition string
		want       []string // each is contained in the error
	}{
		"no JSON":             {"{\n  \"StartAt\": x}", []string{"f.json:2:14: the file is not JSON"}},
		"torn":                {`{"StartAt": "A"`, []string{"f.json:1:15: the file is not JSON", "unexpected"}},
		"empty":               {``, []string{"f.json:1:1"}},
		"two documents":       {`{} {}`, []string{"f.json:1:4: the file is not JSON"}},
		"no StartAt":          {`{"States": {"A": ` + passEnd + `}}`, []string{`f.json:1:1: "StartAt" is missing`}},
		"no States":           {`{"StartAt": "A"}`, []string{`"States" is an object`}},
		"StartAt is nowhere":  {`{"StartAt": "B", "States": {"A": ` + passEnd + `}}`, []string{`"StartAt" names "B"`}},
		"unknown field":       {"{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Pass\",\n \"Foo\": 1, \"End\": true}}}", []string{`f.json:2:2: state "A": "Foo" is not a field`}},
		"a name twice":        {`{"StartAt": "A", "StartAt": "A", "States": {"A": ` + passEnd + `}}`, []string{`"StartAt" is listed twice`}},
		"unknown type":        {`{"StartAt": "A", "States": {"A": {"Type": "Jump"}}}`, []string{`"Type" "Jump" is none of Task`}},
		"no transition":       {`{"StartAt": "A", "States": {"A": {"Type": "Pass"}}}`, []string{`exactly one of "Next" and "End"`}},
		"both transitions":    {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A", "End": true}}}`, []string{`exactly one of "Next" and "End"`}},
		"unknown Next":        {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}`, []string{`leads to "B"`}},
		"unreachable":         {`{"StartAt": "A", "States": {"A": ` + passEnd + `, "B": ` + passEnd + `}}`, []string{`f.json:1:65: state "B": no state leads to it`}},
		"JSONata":             {`{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": ` + passEnd + `}}`, []string{`is JSONPath here`}},
		"variables":           {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {}, "End": true}}}`, []string{`"Assign" belongs to JSONata or to variables`}},
		"path":                {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.a[", "End": true}}}`, []string{`f.json:1:64: state "A": "InputPath": an index`}},
		"ResultPath":          {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "ResultPath": "$.a[*]", "End": true}}}`, []string{`names one place`}},
		"intrinsic":           {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"x.$": "States.Nope()"}, "End": true}}}`, []string{`"x.$": "States.Nope" is no intrinsic function`}},
		"intrinsic arguments": {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"x.$": "States.MathAdd(1)"}, "End": true}}}`, []string{`has 1 arguments`}},
		"template":            {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"x.$": 1}, "End": true}}}`, []string{`"x.$" needs a path`}},
		"Choice without rule": {`{"StartAt": "A", "States": {"A": {"Type": "Choice", "Default": "B"}, "B": ` + passEnd + `}}`, []string{`"Choices" is a list`}},
		"rule without Next":   {`{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true}]}}}`, []string{`needs "Next"`}},
		"two operators":       {`{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "IsString": true, "Next": "B"}]}, "B": ` + passEnd + `}}`, []string{`a rule has one operator`}},
		"operand type":        {`{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": "1", "Next": "B"}]}, "B": ` + passEnd + `}}`, []string{`"NumericEquals" does not compare with a string`}},
		"Catch on Pass":       {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Catch": [], "End": true}}}`, []string{`"Catch" is not a field`}},
		"Retry on Wait":       {`{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 1, "Retry": [], "End": true}}}`, []string{`"Retry" is not a field`}},
		"States.ALL first": {`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${X}", "End": true,
			"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]}}}`, []string{`stands alone and in the last entry`}},
		"made-up States name": {`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${X}", "End": true, "Retry": [{"ErrorEquals": ["States.Foo"]}]}}}`, []string{`"States.Foo" in Retry is no error name`}},
		"backoff below one":   {`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${X}", "End": true, "Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]}}}`, []string{`"BackoffRate" is between 1`}},
		"no Resource":         {`{"StartAt": "A", "States": {"A": {"Type": "Task", "End": true}}}`, []string{`"Resource" is missing`}},
		"odd Resource":        {`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "bronze", "End": true}}}`, []string{`neither an ARN nor a placeholder`}},
		"Wait for nothing":    {`{"StartAt": "A", "States": {"A": {"Type": "Wait", "End": true}}}`, []string{`exactly one of "Seconds"`}},
		"Wait timestamp":      {`{"StartAt": "A", "States": {"A": {"Type": "Wait", "Timestamp": "tomorrow", "End": true}}}`, []string{`is no timestamp`}},
		"name used twice": {`{"StartAt": "A", "States": {"A": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": ` + passEnd + `}}], "End": true}}}`,
			[]string{`the name is used twice`}},
		"two problems": {"{\"StartAt\": \"A\", \"States\": {\n\"A\": {\"Type\": \"Pass\", \"Foo\": 1, \"End\": true},\n\"B\": {\"Type\": \"Pass\", \"Bar\": 1, \"End\": true}}}",
			[]string{`f.json:2:23: state "A"`, `f.json:3:23: state "B"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.json", []byte(test.definition))
			var f *fault.Fault
			if !errors.As(err, &f) || f.Kind != fault.InvalidInput || f.Hint == "" {
				t.Fatalf("%v, want an InvalidInput fault with a hint", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestParseAcceptsPlaceholders(t *testing.T) {
	m, err := Parse("medallion", statemachines.Medallion())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(m.Resources(), "${Bronze}") || !slices.Contains(m.ErrorNames(), "Stale") {
		t.Errorf("resources %q, error names %q", m.Resources(), m.ErrorNames())
	}
}

// FuzzParse: no text may crash the parser, and whatever it accepts can be run without a crash.
func FuzzParse(f *testing.F) {
	f.Add(statemachines.Medallion())
	f.Add([]byte(`{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a.$":"States.Format('{}', $$.Execution.Name)"},"End":true}}}`))
	f.Add([]byte(`{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Not":{"Variable":"$.a[?(@.b>1)]","IsPresent":true},"Next":"B"}]},"B":{"Type":"Wait","SecondsPath":"$.s","End":true}}}`))
	f.Add([]byte(`{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":2,"ItemProcessor":{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"${X}","End":true}}},"End":true}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("f", data)
		if err != nil {
			var fl *fault.Fault
			if !errors.As(err, &fl) {
				t.Fatalf("%v is no fault", err)
			}
			return
		}
		for _, input := range []string{`{}`, `[{"a":1},[]]`} {
			exec := Execution{ID: "x", StartTime: time.Unix(0, 0), Input: []byte(input)}
			var history []Event
			for range 10 {
				d := m.Decide(exec, history)
				if d.Done {
					break
				}
				if len(d.Commands) == 0 {
					t.Fatal("neither done nor anything to do")
				}
				history = append(history, Event{Op: d.Commands[0].Op, Type: TaskSucceeded, Output: []byte(`{"a":[1]}`), Time: d.Commands[0].FireAt})
			}
		}
	})
}
