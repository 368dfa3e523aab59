//go:build !windows

package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
)

func options(t *testing.T, definition string, tasks ...string) Options {
	t.Helper()
	m, err := asl.Parse("test.asl.json", []byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Machine: m, MachineName: "m", Tasks: parsed, Name: "e", Input: json.RawMessage(`{"a":1}`), Fast: true, Parallel: 4,
		Now: time.Now, Stderr: &bytes.Buffer{}}
}

func run1(t *testing.T, o Options) Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

const function = "arn:aws:lambda:us-east-1:111111111111:function:charge"

func oneTask(resource, more string) string {
	return `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + resource + `"` + more + `,"End":true}}}`
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		command              string
		output, error, cause string
	}{
		"result":             {"cat", `{"a":1}`, "null", "null"},
		"spread over lines":  {`printf '{\n "b":\n 1.50}\n'`, `{"b":1.50}`, "null", "null"},
		"nothing":            {"true", "null", "null", "null"},
		"no JSON":            {"echo hello", "", "Runtime.MarshalError", `{"errorType":"Runtime.MarshalError","errorMessage":"the command printed what is no JSON: invalid character 'h' looking for beginning of value: \"hello\""}`},
		"error":              {`echo '{"errorType": "Refused", "errorMessage": "no"}'; exit 3`, "", "Refused", `{"errorType":"Refused","errorMessage":"no"}`},
		"error on stderr":    {`echo '{"errorType": "Refused"}' >&2; exit 1`, "", "Refused", `{"errorType":"Refused"}`},
		"error and cause":    {`echo '{"Error": "DynamoDB.Nope", "Cause": "why"}'; exit 1`, "", "DynamoDB.Nope", "why"},
		"status":             {"echo one >&2; echo two >&2; exit 4", "", "Runtime.ExitError", `{"errorType":"Runtime.ExitError","errorMessage":"exit status 4: two"}`},
		"success of a kind":  {`echo '{"errorType": "Refused"}'`, `{"errorType":"Refused"}`, "null", "null"},
		"no such program":    {"./nowhere", "", "Runtime.ExitError", "*nowhere*"},
		"large":              {`printf '"'; head -c 300000 /dev/zero | tr '\0' a; printf '"'`, "", "States.DataLimitExceeded", "*"},
		"very large":         {`head -c 3000000 /dev/zero`, "", "States.DataLimitExceeded", "*"},
		"environment":        {`printf '"%s %s %s"' "$LAKESTEP_RESOURCE" "$LAKESTEP_STATE" "$LAKESTEP_RETRY_COUNT"`, `"` + function + ` T 0"`, "null", "null"},
		"something left":     {"sleep 30 & echo 1", "1", "null", "null"},
		"input is not read":  {"echo 2 < /dev/null", "2", "null", "null"},
		"signal":             {"kill -TERM $$", "", "Runtime.ExitError", "*signal: terminated*"},
		"identity":           {Identity, `{"a":1}`, "null", "null"},
		"equals signs in it": {`echo '{"x":"a=b"}'`, `{"x":"a=b"}`, "null", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run1(t, options(t, oneTask(function, ""), function+"="+test.command))
			wantStatus := asl.Succeeded
			if test.error != "null" {
				wantStatus = asl.Failed
			}
			part, some := strings.CutPrefix(test.cause, "*")
			if r.Status != wantStatus || string(r.Output) != test.output || text(r.Error) != test.error ||
				(!some && text(r.Cause) != test.cause) || (some && !strings.Contains(text(r.Cause), strings.TrimSuffix(part, "*"))) {
				t.Errorf("%s %s %s %s", r.Status, r.Output, text(r.Error), text(r.Cause))
			}
		})
	}
}

// TestInvoke: a function called by lambda:invoke gets the payload, and its result is the Payload of the task's.
func TestInvoke(t *testing.T) {
	invoke := oneTask(invokeFunction, `,"Parameters":{"FunctionName.$":"$.f","Payload.$":"$.p"},"ResultSelector":{"got.$":"$.Payload","code.$":"$.StatusCode"}`)
	for name, test := range map[string]struct {
		task, input, want string
	}{
		"by name":          {`charge=cat`, `{"f":"charge","p":{"n":1}}`, `{"code":200,"got":{"n":1}}`},
		"by its ARN":       {`charge=cat`, `{"f":"` + function + `:live","p":2}`, `{"code":200,"got":2}`},
		"ARN for a name":   {function + `=cat`, `{"f":"charge:3","p":2}`, `{"code":200,"got":2}`},
		"any function":     {invokeFunction + `=printf '"%s"' $LAKESTEP_FUNCTION`, `{"f":"charge","p":2}`, `{"code":200,"got":"charge"}`},
		"any task":         {`*=` + Identity, `{"f":"charge","p":"x"}`, `{"code":200,"got":"x"}`},
		"nothing is empty": {`charge=cat`, `{"f":"charge","p":null}`, `{"code":200,"got":{}}`},
	} {
		o := options(t, invoke, test.task)
		o.Input = json.RawMessage(test.input)
		if r := run1(t, o); string(r.Output) != test.want {
			t.Errorf("%s: %s %s %s, want %s", name, r.Output, text(r.Error), text(r.Cause), test.want)
		}
	}
	o := options(t, invoke, "other=cat")
	o.Input = json.RawMessage(`{"f":"charge","p":1}`)
	if r := run1(t, o); text(r.Error) != "Lambda.ResourceNotFoundException" || !strings.Contains(text(r.Cause), "function:charge:$LATEST") ||
		strings.Join(r.EventTypes, " ") != "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed ExecutionFailed" {
		t.Errorf("%+v", r)
	}
}

func TestFind(t *testing.T) {
	tasks, err := ParseTasks([]string{"*=all", "a=short", "arn:aws:lambda:x:1:function:a=long", "Bronze=b", "arn:aws:states:::dynamodb:putItem=put"})
	if err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]string{
		"arn:aws:lambda:x:1:function:a": "long", "arn:aws:lambda:y:1:function:a": "short", "arn:aws:lambda:x:1:function:a:live": "short",
		"${Bronze}": "b", "${Silver}": "all", "arn:aws:states:::dynamodb:putItem": "put", "arn:aws:states:::dynamodb:getItem": "all",
	} {
		if got, _ := tasks.find(resource, ""); got != want {
			t.Errorf("%s is played by %s, want %s", resource, got, want)
		}
	}
	for _, bad := range []string{"a", "=b", "a=", "a= ", "a=builtin:nothing"} {
		if _, err := ParseTasks([]string{bad}); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := ParseTasks([]string{"a=b", "a=c"}); err == nil {
		t.Error("two commands for one task")
	}
	o := options(t, oneTask("${Silver}", ""), "Bronze=cat")
	if err := o.Tasks.Check("f", o.Machine); err == nil || !strings.Contains(err.Error(), "nothing plays ${Silver}") || !strings.Contains(fault.HintOf(err), "--task '${Silver}=COMMAND'") {
		t.Error(err)
	}
}

// TestTimeoutKillsTheGroup: a command that takes too long is killed with what it started.
func TestTimeoutKillsTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	began := time.Now()
	r := run1(t, options(t, oneTask(function, `,"TimeoutSeconds":1`), `*=sleep 60 & echo $! $$ > `+pids+`; wait; echo late`))
	if r.Status != asl.Failed || text(r.Error) != "States.Timeout" || r.Cause != nil || time.Since(began) > 20*time.Second ||
		strings.Join(r.EventTypes, " ") != "ExecutionStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionTimedOut ExecutionFailed" {
		t.Errorf("%+v after %v", r, time.Since(began))
	}
	wantGone(t, pids)
}

// wantGone waits until no process of a list runs any more; what nobody has waited for yet is a zombie, and does not run.
func wantGone(t *testing.T, file string) {
	t.Helper()
	list, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(list)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		runs := func() bool {
			stat, err := os.ReadFile("/proc/" + word + "/stat")
			return syscall.Kill(pid, 0) == nil && (err != nil || !strings.Contains(string(stat), ") Z "))
		}
		for end := time.Now().Add(10 * time.Second); runs(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d still runs", pid)
			}
		}
	}
}

// TestStopped: an execution that is stopped is aborted, and leaves no command behind.
func TestStopped(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for { // until the command runs
			if list, err := os.ReadFile(pids); err == nil && len(list) > 0 {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r, err := Run(ctx, options(t, oneTask(function, ""), "*=echo $$ > "+pids+"; sleep 60"))
	if err != nil || r.Status != asl.Aborted || r.Error != nil || text(r.Cause) != "the run was stopped" || r.EventTypes[len(r.EventTypes)-1] != "ExecutionAborted" {
		t.Errorf("%+v, %v", r, err)
	}
	wantGone(t, pids)
}

// TestFast: time that is only waited for passes at once, in the order in which it would pass.
func TestFast(t *testing.T) {
	began := time.Now()
	r := run1(t, options(t, `{"TimeoutSeconds":90000,"StartAt":"P","States":{"P":{"Type":"Parallel","Next":"T","Branches":[
		{"StartAt":"Long","States":{"Long":{"Type":"Wait","Seconds":7200,"Next":"AfterLong"},"AfterLong":{"Type":"Pass","End":true}}},
		{"StartAt":"Short","States":{"Short":{"Type":"Wait","Seconds":3600,"Next":"AfterShort"},"AfterShort":{"Type":"Pass","End":true}}},
		{"StartAt":"Task","States":{"Task":{"Type":"Task","Resource":"${T}","Next":"AfterTask"},"AfterTask":{"Type":"Pass","End":true}}}]},
		"T":{"Type":"Task","Resource":"${Broken}","Retry":[{"ErrorEquals":["E"],"IntervalSeconds":1000}],"Catch":[{"ErrorEquals":["E"],"Next":"Late"}],"End":true},
		"Late":{"Type":"Wait","Seconds":99999,"End":true}}}`,
		"T=sleep 0.2; echo 1", `Broken=echo '{"errorType":"E"}'; exit 1`))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if got, want := strings.Join(r.Entered, " "), "P Long Short Task AfterTask AfterShort AfterLong T Late"; got != want {
		t.Errorf("entered %s, want %s", got, want)
	}
	if r.Status != asl.TimedOut || text(r.Error) != "States.Timeout" || r.Cause != nil {
		t.Errorf("%+v", r)
	}
}

// TestSlow: without Fast, waiting takes its time.
func TestSlow(t *testing.T) {
	o := options(t, `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":1,"End":true}}}`)
	o.Fast = false
	began := time.Now()
	if r := run1(t, o); r.Status != asl.Succeeded || time.Since(began) < time.Second {
		t.Errorf("%+v after %v", r, time.Since(began))
	}
}

// TestParallel: as many commands at once as are allowed, and all in the end.
func TestParallel(t *testing.T) {
	dir := t.TempDir()
	o := options(t, `{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$.l","End":true,"ItemProcessor":{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"${T}","End":true}}}}}}`,
		`T=read n; touch `+dir+`/$n; ls `+dir+` | wc -l; sleep 0.1; rm `+dir+`/$n`)
	o.Parallel, o.Input = 2, json.RawMessage(`{"l":[1,2,3,4,5,6]}`)
	r := run1(t, o)
	var seen []int
	if err := json.Unmarshal(r.Output, &seen); err != nil || len(seen) != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, n := range seen {
		if n > 2 {
			t.Errorf("%d commands at once", n)
		}
	}
}

// TestContext: $$ tells the same as in the service, and stderr of commands is shown.
func TestContext(t *testing.T) {
	o := options(t, `{"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"id.$":"$$.Execution.Id","name.$":"$$.Execution.Name","input.$":"$$.Execution.Input",
		"machine.$":"$$.StateMachine.Name","state.$":"$$.State.Name","redrive.$":"$$.Execution.RedriveCount"},"ResultPath":"$.p","Next":"T"},
		"T":{"Type":"Task","Resource":"${T}","ResultPath":null,"OutputPath":"$.p","End":true}}}`, "T=echo said >&2")
	var said bytes.Buffer
	o.Stderr = &said
	r := run1(t, o)
	want := `{"id":"arn:aws:states:us-east-1:111111111111:execution:m:e","input":{"a":1},"machine":"m","name":"e","redrive":0,"state":"P"}`
	if string(r.Output) != want || said.String() != "said\n" {
		t.Errorf("%s, %q", r.Output, said.String())
	}
	o.Express = true
	if r := run1(t, o); text(r.Error) != "States.Runtime" {
		t.Errorf("%+v", r)
	}
}

func TestStuckIsABug(t *testing.T) {
	r := &run{o: Options{Now: time.Now}}
	var f *fault.Fault
	if err := r.wait(t.Context()); !errors.As(err, &f) || f.Kind != fault.Internal {
		t.Error(err)
	}
}
