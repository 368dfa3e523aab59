package asl

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// historyOf shows the events of a run, shortened: Task+A is TaskStateEntered of A, Task-A its exit.
func historyOf(d Decision) string {
	var out []string
	for _, e := range d.History {
		text := strings.NewReplacer("StateEntered", "+", "StateExited", "-").Replace(e.Type) + e.State
		out = append(out, strings.ReplaceAll(text, "LambdaFunction", "Lambda"))
	}
	return strings.Join(out, " ")
}

// TestHistory: the order of events where branches and items overlap, and what becomes of those that are given up.
func TestHistory(t *testing.T) {
	task := func(next string) string { return `{"Type":"Task","Resource":"${X}",` + next + `}` }
	for name, test := range map[string]struct {
		definition, input, want string
		order                   []string // Ops in the order in which they are answered; "!" before one fails it
	}{
		"two branches": {
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"A","States":{"A":` + task(`"Next":"B"`) + `,"B":{"Type":"Pass","End":true}}},{"StartAt":"C","States":{"C":` + task(`"End":true`) + `}}]}}}`, `{}`,
			"ExecutionStarted Parallel+P ParallelStateStarted Task+A LambdaScheduled Task+C LambdaScheduled LambdaStarted LambdaStarted " +
				"LambdaSucceeded Task-C LambdaSucceeded Task-A Pass+B Pass-B ParallelStateSucceeded Parallel-P ExecutionSucceeded",
			[]string{"P#1[1]/C#1", "P#1[0]/A#1"},
		},
		"a branch fails": {
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"A","States":{"A":` + task(`"End":true`) + `}},{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$.l","End":true,
				"ItemProcessor":{"StartAt":"B","States":{"B":` + task(`"End":true`) + `}}}}}]}}}`, `{"l":[1,2]}`,
			"ExecutionStarted Parallel+P ParallelStateStarted Task+A LambdaScheduled Map+M MapStateStarted MapIterationStarted MapIterationStarted " +
				"Task+B LambdaScheduled Task+B LambdaScheduled LambdaStarted LambdaStarted LambdaStarted LambdaSucceeded Task-B MapIterationSucceeded " +
				"LambdaFailed TaskStateAborted MapStateAborted MapIterationAborted TaskStateAborted ParallelStateFailed ExecutionFailed",
			[]string{"P#1[1]/M#1[0]/B#1", "!P#1[0]/A#1"},
		},
		"two at once": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":2,"End":true,"ItemProcessor":{"StartAt":"B","States":{"B":` + task(`"End":true`) + `}}}}}`, `[1,2,3]`,
			"ExecutionStarted Map+M MapStateStarted MapIterationStarted MapIterationStarted Task+B LambdaScheduled Task+B LambdaScheduled LambdaStarted LambdaStarted " +
				"LambdaSucceeded Task-B MapIterationSucceeded MapIterationStarted Task+B LambdaScheduled LambdaStarted LambdaSucceeded Task-B MapIterationSucceeded " +
				"LambdaSucceeded Task-B MapIterationSucceeded MapStateSucceeded Map-M ExecutionSucceeded",
			[]string{"M#1[1]/B#1", "M#1[0]/B#1", "M#1[2]/B#1"},
		},
		"retried and caught": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z"}],"End":true,
				"ItemProcessor":{"StartAt":"B","States":{"B":` + task(`"End":true`) + `}}},"Z":{"Type":"Succeed"}}}`, `[1]`,
			"ExecutionStarted Map+M MapStateStarted MapIterationStarted Task+B LambdaScheduled LambdaStarted LambdaFailed MapIterationFailed TaskStateAborted " +
				"MapStateStarted MapIterationStarted Task+B LambdaScheduled LambdaStarted LambdaFailed MapIterationFailed TaskStateAborted MapStateFailed Map-M Succeed+Z Succeed-Z ExecutionSucceeded",
			[]string{"!M#1[0]/B#1", "M#1!1~delay", "!M#1!1[0]/B#1"},
		},
		"tolerated": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","ToleratedFailureCount":1,"End":true,"ItemProcessor":{"StartAt":"B","States":{"B":` + task(`"End":true`) + `}}}}}`, `[1]`,
			"ExecutionStarted Map+M MapStateStarted MapIterationStarted Task+B LambdaScheduled LambdaStarted LambdaFailed MapIterationFailed TaskStateAborted MapStateSucceeded Map-M ExecutionSucceeded",
			[]string{"!M#1[0]/B#1"},
		},
		"distributed": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
				"StartAt":"B","States":{"B":` + task(`"End":true`) + `}}}}}`, `[1,2]`,
			"ExecutionStarted Map+M MapStateStarted MapRunStarted MapRunFailed MapStateFailed ExecutionFailed",
			[]string{"!M#1[0]/B#1"},
		},
		"time limit": {
			`{"TimeoutSeconds":5,"StartAt":"A","States":{"A":` + task(`"End":true`) + `}}`, `{}`,
			"ExecutionStarted Task+A LambdaScheduled LambdaStarted ExecutionTimedOut",
			[]string{"~timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse("test", []byte(test.definition))
			if err != nil {
				t.Fatal(err)
			}
			exec := Execution{ID: "x", StartTime: time.Unix(1e9, 0), Input: json.RawMessage(test.input)}
			var history []Event
			for _, op := range test.order {
				e := Event{Type: TaskSucceeded, Output: json.RawMessage("1"), Time: exec.StartTime.Add(time.Minute)}
				if rest, ok := strings.CutPrefix(op, "!"); ok {
					op, e = rest, Event{Type: TaskFailed, Error: "E", Time: e.Time}
				} else if strings.Contains(op, "~") {
					e = Event{Type: TimerFired, Time: e.Time}
				}
				e.Op = op
				history = append(history, e)
			}
			d := m.Decide(exec, history)
			if got := historyOf(d); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

// TestEventNumbers: the cause of a failure that the interpreter raises names the event by which the state was entered.
func TestEventNumbers(t *testing.T) {
	d := decideText(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","ResultPath":null,"Next":"A","Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","End":true}}}]},
		"A":{"Type":"Pass","InputPath":"$.nothing","End":true}}}`, `{}`)
	// started, P entered and started, B entered and left, P succeeded and left
	if want := "An error occurred while executing the state 'A' (entered at the event id #8). Invalid path"; !strings.HasPrefix(d.Cause, want) {
		t.Errorf("cause %q, want %q", d.Cause, want)
	}
	if d.History[7].State != "A" {
		t.Errorf("%v", d.History)
	}
	inner := decideText(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","InputPath":"$.nothing","End":true}}}]}}}`, `{}`)
	if strings.Contains(inner.Cause, "event id") {
		t.Errorf("cause %q: events of branches have no certain number", inner.Cause)
	}
}

// TestUnsupported: what the service has and the interpreter lacks is named, with what to do instead.
func TestUnsupported(t *testing.T) {
	machine := func(s string) string { return `{"StartAt":"A","States":{"A":{` + s + `,"End":true}}}` }
	items := `"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Pass","End":true}}}`
	for name, test := range map[string]struct{ definition, want string }{
		"JSONata":        {`{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`, `"QueryLanguage" is JSONPath here, not "JSONata"; write paths`},
		"JSONata, state": {machine(`"Type":"Pass","QueryLanguage":"JSONata","Output":"{% 1 %}"`), `"Output" belongs to JSONata`},
		"Assign":         {machine(`"Type":"Pass","Assign":{"x":1}`), `"Assign" belongs to JSONata or to variables, which are not supported; keep`},
		"variable":       {machine(`"Type":"Pass","Parameters":{"x.$":"$count"}`), `$count is a variable, which is not supported`},
		"task token":     {machine(`"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken"`), `waits until somebody returns its task token`},
		"sync":           {machine(`"Type":"Task","Resource":"arn:aws:states:::glue:startJobRun.sync"`), `waits for a job of another service`},
		"sync, version":  {machine(`"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2"`), `waits for a job`},
		"activity":       {machine(`"Type":"Task","Resource":"arn:aws:states:us-east-1:111111111111:activity:a"`), `is an activity`},
		"ItemReader":     {machine(`"Type":"Map","ItemReader":{},` + items), `"ItemReader" is not supported: it reads`},
		"ItemBatcher":    {machine(`"Type":"Map","ItemBatcher":{},` + items), `"ItemBatcher" is not supported`},
		"ResultWriter":   {machine(`"Type":"Map","ResultWriter":{},` + items), `"ResultWriter" is not supported`},
		"both at once":   {machine(`"Type":"Pass","Assign":{},"Next":"Nowhere"`), `it leads to "Nowhere"`},
	} {
		if _, err := Parse("f.json", []byte(test.definition)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := Parse("f.json", []byte(machine(`"Type":"Task","Resource":"${X}","Credentials":{"RoleArn":"arn:aws:iam::111111111111:role/r"}`))); err != nil {
		t.Error(err)
	}
}
