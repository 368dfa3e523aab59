package asl

import (
	"slices"
	"strings"
)

// HistoryEvent is one entry of an execution's history, by the names that Step Functions gives it.
type HistoryEvent struct {
	Type  string
	State string // the state's name, for the types that end in StateEntered and StateExited
}

// logged is a HistoryEvent with what puts it in its place. The walk goes through one path after the other; sorted
// by pos, the events are in the order in which they happened.
type logged struct {
	HistoryEvent
	key    string // of the visit or the Map item that it begins or ends
	pos    int
	effect effect
	late   bool // it follows everything else at its pos, as the service starts tasks
}

// effect tells what an event does to the set of what is open: states that were entered and not yet left, and Map
// items that run.
type effect byte

const (
	neutral effect = iota
	opens
	closes // with all that is inside
)

// note adds to the log, unless the walk is in an execution of its own, as the items of a distributed Map are.
func (w *walker) note(kind, key string, pos int, e effect) {
	w.add(logged{HistoryEvent: HistoryEvent{Type: kind}, key: key, pos: pos, effect: e})
}

// noteState is note for a state entered or left.
func (w *walker) noteState(s *state, suffix, key string, pos int, e effect) {
	if !w.logging {
		return
	}
	w.add(logged{HistoryEvent: HistoryEvent{Type: s.kind + suffix, State: s.name}, key: key, pos: pos, effect: e})
}

func (w *walker) add(l logged) {
	if !w.logging || w.hidden > 0 {
		return
	}
	if l.Type != "" {
		w.shown++
	}
	w.log = append(w.log, l)
}

// noteTask logs a task that was begun, and its answer when there is one.
func (w *walker) noteTask(s *state, at place, answer *recorded) {
	if !w.logging {
		return
	}
	family := taskFamily(s.resource)
	w.note(family+"Scheduled", at.op, at.pos, neutral)
	w.add(logged{HistoryEvent: HistoryEvent{Type: family + "Started"}, key: at.op, pos: at.pos, late: answer == nil || answer.pos > at.pos})
	if answer == nil {
		return
	}
	end := "Succeeded"
	switch {
	case answer.Type == TaskFailed && (answer.Error == errTimeout || answer.Error == errHeartbeatTimeout):
		end = "TimedOut"
	case answer.Type == TaskFailed, len(answer.Output) > maxPayload:
		end = "Failed"
	}
	w.note(family+end, at.op, max(at.pos, answer.pos), neutral)
}

// taskFamily is how the events of a task are called. A placeholder stands for a Lambda function.
func taskFamily(resource string) string {
	if strings.HasPrefix(resource, "arn:") && !isFunction(resource) {
		return "Task"
	}
	return "LambdaFunction"
}

// isFunction tells whether a Resource is a Lambda function's ARN, in whichever partition.
func isFunction(resource string) bool {
	parts := strings.SplitN(resource, ":", 4)
	return len(parts) == 4 && parts[0] == "arn" && parts[2] == "lambda"
}

// cutLog takes back what was logged since from and happened after pos.
func (w *walker) cutLog(from, pos int) {
	w.log = append(w.log[:from], slices.DeleteFunc(w.log[from:], func(l logged) bool {
		later := l.pos > pos
		if later && l.Type != "" {
			w.shown--
		}
		return later
	})...)
}

// abort logs the end, at pos, of all that is open inside key, which ends with it. Tasks inside that would have started
// at that very time do not.
func (w *walker) abort(from int, key string, pos int) {
	if !w.logging || w.hidden > 0 {
		return
	}
	var open []logged
	kept := w.log[:from]
	for _, l := range w.log[from:] {
		mine := within(l.key, key)
		if mine && l.late && l.pos == pos {
			w.shown--
			continue
		}
		kept = append(kept, l)
		switch {
		case mine && l.effect == opens && l.key != key:
			open = append(open, l)
		case mine && l.effect == closes:
			open = slices.DeleteFunc(open, func(o logged) bool { return within(o.key, l.key) })
		}
	}
	w.log = kept
	for _, l := range open {
		switch l.Type {
		case "MapIterationStarted":
			w.note("MapIterationAborted", l.key, pos, neutral)
		case "TaskStateEntered", "WaitStateEntered", "MapStateEntered", "ParallelStateEntered":
			w.note(strings.TrimSuffix(l.Type, "Entered")+"Aborted", l.key, pos, neutral)
		}
	}
	w.note("", key, pos, closes)
}

// within tells whether key names what outer names, an attempt of it or something inside.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (rest == "" || strings.IndexByte("/[!~", rest[0]) >= 0)
}

// history is the log in the order of time, for an execution that has ended.
func (w *walker) history(status Status) []HistoryEvent {
	last := map[Status]string{Succeeded: "ExecutionSucceeded", Failed: "ExecutionFailed", TimedOut: "ExecutionTimedOut", Aborted: "ExecutionAborted"}[status]
	slices.SortStableFunc(w.log, func(a, b logged) int {
		switch {
		case a.pos != b.pos:
			return a.pos - b.pos
		case a.late == b.late:
			return 0
		case a.late:
			return 1
		}
		return -1
	})
	out := make([]HistoryEvent, 0, len(w.log)+2)
	out = append(out, HistoryEvent{Type: "ExecutionStarted"})
	for _, l := range w.log {
		if l.Type != "" {
			out = append(out, l.HistoryEvent)
		}
	}
	return append(out, HistoryEvent{Type: last})
}
