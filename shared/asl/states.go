package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// state runs one visit of a state.
func (w *walker) state(s *state, raw any, at place) result {
	switch s.kind {
	case "Task", "Map", "Parallel":
		return w.attempts(s, raw, at)
	case "Choice":
		return w.choice(s, raw, at)
	}
	input, err := w.project(s.input, "InputPath", raw, s, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	switch s.kind {
	case "Fail":
		return w.failState(s, input, at)
	case "Wait":
		t, err := w.waitUntil(s, input, at)
		if err != nil {
			return w.fail(s, at, err)
		}
		if !w.timer(s, &at, at.op, t, 0) {
			return result{blocked: true}
		}
		return w.leave(s, input, at)
	case "Pass":
		return w.pass(s, raw, input, at)
	}
	return w.leave(s, input, at) // Succeed
}

func (w *walker) pass(s *state, raw, input any, at place) result {
	out := input
	if s.parameters != nil {
		filled, err := s.parameters.fill(w.env(s, input, at))
		if err != nil {
			return w.fail(s, at, err)
		}
		out = filled
	}
	if s.hasFixed {
		out = s.fixed
	}
	merged, err := mergeResult(s.result, raw, out)
	if err != nil {
		return w.fail(s, at, err)
	}
	return w.leave(s, merged, at)
}

// leave applies OutputPath and checks the size of what goes on.
func (w *walker) leave(s *state, value any, at place) result {
	out, err := w.project(s.output, "OutputPath", value, s, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	if changesPayload(s) && payloadSize(out) > maxPayload {
		return w.fail(s, at, &stateError{Name: errDataLimit,
			Cause: fmt.Sprintf("The output of the state is larger than %d bytes.", maxPayload)})
	}
	return at.done(out, s.next)
}

// changesPayload tells whether the output can be larger than the input was.
func changesPayload(s *state) bool {
	switch s.kind {
	case "Pass":
		return s.hasFixed || s.parameters != nil
	case "Task", "Map", "Parallel":
		return true
	}
	return false
}

// project applies an InputPath or OutputPath.
func (w *walker) project(l *location, field string, value any, s *state, at place) (any, error) {
	switch {
	case l == nil:
		return value, nil
	case l.null:
		return map[string]any{}, nil
	}
	v, err := l.path.eval(w.env(s, value, at))
	if err != nil {
		return nil, runtimeError("Invalid path '%s' : %v", l.path.text, err)
	}
	return v, nil
}

// mergeResult applies a ResultPath.
func mergeResult(l *location, raw, out any) (any, error) {
	switch {
	case l == nil:
		return out, nil
	case l.null:
		return raw, nil
	}
	merged, err := l.path.set(raw, out)
	if err != nil {
		return nil, &stateError{Name: errResultPath,
			Cause: fmt.Sprintf("Unable to apply ResultPath %s to the input: %v.", l.path.text, err)}
	}
	return merged, nil
}

// fail ends the visit with an error that the interpreter raised, and says in which state.
func (w *walker) fail(s *state, at place, err error) result {
	var se *stateError
	if !errors.As(err, &se) {
		var missing *missingError
		if errors.As(err, &missing) {
			err = fmt.Errorf("Invalid path '%s' : %w", missing.path.text, err) //nolint:staticcheck // the service's wording
		}
		se = runtimeError("%v", err)
	}
	if se.thrown {
		return at.failed(se)
	}
	where := ""
	if at.entry > 0 {
		w.numbered = true
		where = fmt.Sprintf(" (entered at the event id #%d)", at.entry)
	}
	return at.failed(&stateError{Name: se.Name, Cause: fmt.Sprintf("An error occurred while executing the state '%s'%s. %s", s.name, where, se.Cause)})
}

func (w *walker) choice(s *state, raw any, at place) result {
	input, err := w.project(s.input, "InputPath", raw, s, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	next := s.otherwise
	e := w.env(s, input, at)
	for _, r := range s.choices {
		yes, err := r.test(e)
		if err != nil {
			return w.fail(s, at, err)
		}
		if yes {
			next = r.next
			break
		}
	}
	if next == "" {
		return w.fail(s, at, &stateError{Name: errNoChoiceMatched, Cause: "No choice rule matches the input, and there is no Default."})
	}
	r := w.leave(s, input, at)
	r.next = next
	return r
}

func (w *walker) failState(s *state, input any, at place) result {
	name, err := w.textValue(s, s.errorName, input, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	cause, err := w.textValue(s, s.cause, input, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	return at.failed(&stateError{Name: name, Cause: cause, thrown: true})
}

// textValue gives a text field; absent is "".
func (w *walker) textValue(s *state, f *textField, input any, at place) (string, error) {
	if f == nil || f.expr == nil {
		if f == nil {
			return "", nil
		}
		return f.fixed, nil
	}
	e := w.env(s, input, at)
	v, err := f.expr.eval(e)
	if err != nil {
		return "", notFound(err, f.field, e)
	}
	text, ok := v.(string)
	if !ok {
		return "", runtimeError("The %s field leads to %s, not to a string.", f.field, typeName(v))
	}
	return text, nil
}

func (w *walker) waitUntil(s *state, input any, at place) (time.Time, error) {
	if q := s.wait.seconds; q != nil {
		v := any(q.fixed)
		if q.path != nil {
			found, err := q.path.eval(w.env(s, input, at))
			if err != nil {
				return time.Time{}, err
			}
			v = found
		}
		seconds, ok := integer(v)
		if !ok {
			return time.Time{}, runtimeError("The SecondsPath parameter cannot be parsed as a long value: %s == %s", q.path.text, display(v))
		}
		if seconds < 0 {
			return time.Time{}, runtimeError("The SecondsPath parameter references a negative value: %s == %s", q.path.text, display(v))
		}
		return at.now.Add(time.Duration(min(seconds, maxSeconds)) * time.Second), nil
	}
	text, err := w.textValue(s, s.wait.timestamp, input, at)
	if err != nil {
		return time.Time{}, err
	}
	t, err := parseTimestamp(text)
	if err != nil {
		source := s.wait.timestamp.field
		if p, ok := s.wait.timestamp.expr.(*path); ok {
			source = p.text
		}
		return time.Time{}, runtimeError("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s", source, text)
	}
	return t, nil
}

// attempts runs a Task, Map or Parallel with its Retry and Catch.
func (w *walker) attempts(s *state, raw any, at place) result {
	visit := at.op
	policy := retryState{s.retry, make([]int64, len(s.retry))}
	for n := 0; ; n++ {
		at.attempt = n
		if n > 0 {
			at.op = fmt.Sprintf("%s!%d", visit, n)
		}
		r := w.attempt(s, raw, at)
		if r.blocked || r.err == nil {
			return r
		}
		at.moveTo(r.pos, r.now)
		delay, again := policy.next(r.err, hashBits(w.exec.ID, at.op, "jitter"))
		if !again {
			if r.inside {
				w.note(s.kind+"StateFailed", visit, at.pos, closes)
			}
			return w.caught(s, raw, r.err, at)
		}
		op := fmt.Sprintf("%s!%d~delay", visit, n+1)
		if !w.timer(s, &at, op, at.now.Add(delay), n+1) {
			return result{blocked: true}
		}
	}
}

// caught goes where a catcher leads, or fails.
func (w *walker) caught(s *state, raw any, e *stateError, at place) result {
	for _, c := range s.catch {
		if !matches(c.errors, e) {
			continue
		}
		out, err := mergeResult(c.result, raw, map[string]any{"Error": e.Name, "Cause": e.Cause})
		if err != nil {
			return w.fail(s, at, err)
		}
		return at.done(out, c.next)
	}
	return at.failed(e)
}

// attempt is one try, from InputPath to OutputPath.
func (w *walker) attempt(s *state, raw any, at place) result {
	input, err := w.project(s.input, "InputPath", raw, s, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	before := input // timeouts are looked up here, not in what Parameters makes
	if s.parameters != nil {
		if input, err = s.parameters.fill(w.env(s, input, at)); err != nil {
			return w.fail(s, at, err)
		}
		if payloadSize(input) > maxPayload {
			return w.fail(s, at, &stateError{Name: errDataLimit,
				Cause: fmt.Sprintf("The input of the state, after Parameters, is larger than %d bytes.", maxPayload)})
		}
	}
	var r result
	switch s.kind {
	case "Task":
		r = w.task(s, before, input, at)
	case "Map":
		r = w.mapItems(s, input, at)
	default:
		w.note("ParallelStateStarted", at.op, at.pos, neutral)
		r = w.fanOut(fan{state: s, n: len(s.branches), body: func(i int, inner place) result {
			return w.run(s.branches[i], input, inner)
		}}, at)
	}
	if r.blocked || r.err != nil {
		return r
	}
	at.moveTo(r.pos, r.now)
	out := r.output
	if s.resultSelector != nil {
		if out, err = s.resultSelector.fill(w.env(s, out, at)); err != nil {
			return w.fail(s, at, err)
		}
	}
	if out, err = mergeResult(s.result, raw, out); err != nil {
		return w.fail(s, at, err)
	}
	return w.leave(s, out, at)
}

func (w *walker) task(s *state, before, input any, at place) result {
	e, ok := w.events[at.op]
	if ok {
		w.noteTask(s, at, &e)
	} else {
		timeout, err := w.seconds(s, s.timeout, before, at)
		if err != nil {
			return w.fail(s, at, err)
		}
		heartbeat, err := w.seconds(s, s.heartbeat, before, at)
		if err != nil {
			return w.fail(s, at, err)
		}
		w.noteTask(s, at, nil)
		w.commands = append(w.commands, Command{Op: at.op, Kind: Task, State: s.name, Path: at.frames, Attempt: at.attempt,
			Resource: s.resource, Input: encode(input), Timeout: timeout, Heartbeat: heartbeat})
		return result{blocked: true}
	}
	at.moveTo(e.pos, e.Time)
	if e.Type == TaskFailed {
		return at.failed(&stateError{Name: e.Error, Cause: e.Cause, thrown: true})
	}
	if len(e.Output) > maxPayload {
		return at.failed(&stateError{Name: errDataLimit, thrown: true, Cause: fmt.Sprintf(
			"The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.", taskName(s.resource))})
	}
	out, err := decode(e.Output)
	if err != nil {
		return w.fail(s, at, runtimeError("The task's result is not JSON: %v", err))
	}
	return at.done(out, "")
}

// taskName is the resource as messages show it: the service alone for an integration.
func taskName(resource string) string {
	if service, ok := strings.CutPrefix(resource, "arn:aws:states:::"); ok {
		service, _, _ = strings.Cut(service, ":")
		return service
	}
	return resource
}

// seconds gives a timeout or heartbeat as the host enforces it.
func (w *walker) seconds(s *state, q *quantity, input any, at place) (time.Duration, error) {
	if q == nil {
		return 0, nil
	}
	v, err := w.wholeNumber(s, q, input, at)
	if err != nil {
		return 0, err
	}
	if v <= 0 || v > maxSeconds {
		return 0, runtimeError("The %s field refers to %d, which is not between 1 and %d.", q.field, v, maxSeconds)
	}
	return time.Duration(v) * time.Second, nil
}

func (w *walker) wholeNumber(s *state, q *quantity, input any, at place) (int64, error) {
	v := any(q.fixed)
	if q.path != nil {
		found, err := q.path.eval(w.env(s, input, at))
		if err != nil {
			return 0, err
		}
		v = found
	}
	n, ok := integer(v)
	if !ok {
		return 0, runtimeError("The %s field refers to value \"%s\" which is not a valid integer: %s", q.field, plainText(v), q.path.text)
	}
	return n, nil
}

func (w *walker) percentage(s *state, q *quantity, input any, at place) (float64, error) {
	v := any(q.fixed)
	if q.path != nil {
		found, err := q.path.eval(w.env(s, input, at))
		if err != nil {
			return 0, err
		}
		v = found
	}
	n, ok := v.(json.Number)
	if !ok {
		return 0, runtimeError("The %s field refers to value \"%s\" which is not a valid float: %s", q.field, plainText(v), q.path.text)
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 100 {
		return 0, runtimeError("ToleratedFailurePercentage must be between 0 and 100.")
	}
	return f, nil
}

// plainText shows a value in a message: text as it is, anything else as JSON.
func plainText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(encode(v))
}
