package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
)

// requestID stands for the ids that the service gives to its calls.
const requestID = "00000000-0000-0000-0000-000000000000"

// maxResult bounds what is kept of a command's output; the interpreter refuses results far below that.
const maxResult = 1 << 20

// call is one task to be done.
type call struct {
	command  string
	input    json.RawMessage
	function string // whom lambda:invoke calls; "" for any other resource
	env      []string
}

// prepare finds out which command does a task, on which input. Where none does, the event says so.
func (t *Tasks) prepare(cmd asl.Command) (call, *asl.Event) {
	c := call{input: cmd.Input, env: []string{"LAKESTEP_RESOURCE=" + cmd.Resource, "LAKESTEP_STATE=" + cmd.State,
		"LAKESTEP_RETRY_COUNT=" + strconv.Itoa(cmd.Attempt)}}
	if cmd.Resource == invokeFunction {
		var in struct {
			FunctionName string
			Payload      json.RawMessage
		}
		if err := json.Unmarshal(cmd.Input, &in); err != nil || in.FunctionName == "" {
			e := failed("Lambda.InvalidParameterValueException", "The parameters name no function: FunctionName is missing.")
			return c, &e
		}
		c.function, c.input = in.FunctionName, in.Payload
		c.env = append(c.env, "LAKESTEP_FUNCTION="+shortName(in.FunctionName))
	}
	if text := string(c.input); (text == "null" || text == "") && (c.function != "" || strings.Contains(cmd.Resource, ":function:")) {
		c.input = json.RawMessage("{}") // a function without payload gets an empty event
	}
	command, ok := t.find(cmd.Resource, c.function)
	if !ok {
		e := notFound(c.function)
		return c, &e
	}
	c.command = command
	return c, nil
}

// succeeded is the event of a result, in the form in which the resource gives it.
func (c *call) succeeded(result json.RawMessage) asl.Event {
	if c.function != "" {
		result = fmt.Appendf(nil, `{"ExecutedVersion":"$LATEST","Payload":%s,"SdkHttpMetadata":{"HttpStatusCode":200},"SdkResponseMetadata":{"RequestId":%q},"StatusCode":200}`,
			result, requestID)
	}
	return asl.Event{Type: asl.TaskSucceeded, Output: result}
}

// run does the task. Its command gets the input on stdin and answers on stdout; what it says on stderr goes to errs. It
// is killed, with what it started, when ctx ends.
func (c *call) run(ctx context.Context, errs io.Writer) asl.Event {
	cmd := shellCommand(ctx, c.command)
	out, said := &limited{max: maxResult}, &tail{max: 4096}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.input), out, io.MultiWriter(errs, said)
	cmd.Env = append(cmd.Environ(), c.env...)
	cmd.WaitDelay = time.Second // for its output, when something that it left behind holds that open
	ownGroup(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // it has ended, and something that it started has not
		endGroup(cmd)
		err = nil
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed("States.Timeout", "")
	case err != nil:
		return c.broken(err, out.kept, said.String())
	}
	return c.answered(out)
}

// answered takes a command's output for a result. No output is null.
func (c *call) answered(out *limited) asl.Event {
	text := bytes.TrimSpace(out.kept)
	if out.over {
		return c.succeeded(bytes.Repeat([]byte("0"), maxResult)) // whatever it is, it is too large
	}
	if len(text) == 0 {
		return c.succeeded(json.RawMessage("null"))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return errorDocument("Runtime.MarshalError", fmt.Sprintf("the command printed what is no JSON: %v: %.200q", err, text))
	}
	return c.succeeded(compact.Bytes())
}

// broken takes a command that ended with another status than 0 for an error: the one that it printed, else one that
// tells the status.
func (c *call) broken(err error, out []byte, said string) asl.Event {
	for _, text := range [][]byte{bytes.TrimSpace(out), []byte(lastLine(said))} {
		var doc struct {
			ErrorType, ErrorMessage *string
			Error, Cause            *string
		}
		if json.Unmarshal(text, &doc) != nil {
			continue
		}
		if doc.ErrorType != nil {
			var compact bytes.Buffer
			if json.Compact(&compact, text) == nil {
				return failed(*doc.ErrorType, compact.String())
			}
		}
		if doc.Error != nil {
			cause := ""
			if doc.Cause != nil {
				cause = *doc.Cause
			}
			return failed(*doc.Error, cause)
		}
	}
	message := err.Error()
	if line := lastLine(said); line != "" {
		message += ": " + line
	}
	return errorDocument("Runtime.ExitError", message)
}

// errorDocument is an error as a Lambda function reports it.
func errorDocument(kind, message string) asl.Event {
	doc, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	if err != nil {
		doc = nil // cannot happen: it is text
	}
	return failed(kind, string(doc))
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// limited keeps the first max bytes written.
type limited struct {
	kept []byte
	max  int
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := min(len(p), l.max-len(l.kept))
	l.over = l.over || room < len(p)
	l.kept = append(l.kept, p[:room]...)
	return len(p), nil
}

// tail keeps the last max bytes written.
type tail struct {
	kept []byte
	max  int
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.max; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
