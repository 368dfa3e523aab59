package asl

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Execution is what a run is started with.
type Execution struct {
	ID          string // $$.Execution.Id; random functions and retry jitter derive from it
	Name        string // $$.Execution.Name
	StartTime   time.Time
	Input       json.RawMessage // nothing counts as {}
	Role        string          // $$.Execution.RoleArn, left out when empty
	MachineID   string          // $$.StateMachine.Id
	MachineName string          // $$.StateMachine.Name
	Express     bool            // an Express workflow, whose $$ has no RedriveCount
}

// EventType says what an Event reports.
type EventType string

// The events that a host records.
const (
	TaskSucceeded    EventType = "TaskSucceeded"    // Output is the task's result
	TaskFailed       EventType = "TaskFailed"       // Error and Cause; a timeout is the error States.Timeout
	TimerFired       EventType = "TimerFired"       // the time of a Timer command has come
	ExecutionAborted EventType = "ExecutionAborted" // somebody ended the run; Error and Cause say why; Op is empty
)

// Event is one thing that happened outside: the answer to the Command with the same Op.
type Event struct {
	Op     string          `json:"op,omitempty"`
	Type   EventType       `json:"type"`
	Time   time.Time       `json:"time"`
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"`
}

// CommandKind says what a Command asks for.
type CommandKind string

// The commands.
const (
	Task  CommandKind = "Task"  // invoke Resource with Input
	Timer CommandKind = "Timer" // report TimerFired at FireAt
)

// Command is something that the host does. It is repeated in every Decision until the history holds its
// answer; the host starts each Op once. A command that a Decision no longer holds (another branch failed) is
// abandoned: its answer changes nothing.
type Command struct {
	Op        string // the operation's key, unique in the execution and the same on every replay
	Kind      CommandKind
	State     string
	Path      []Frame // the Map items and Parallel branches around the state, outermost first
	Attempt   int     // 0 for the first; a Timer with an attempt is the delay before that retry
	Resource  string
	Input     json.RawMessage
	FireAt    time.Time
	Timeout   time.Duration // 0 is none
	Heartbeat time.Duration // 0 is none
}

// Frame is one step of the way into nested states.
type Frame struct {
	State  string
	Index  int  // of the Map item or the Parallel branch
	Item   any  // the Map item's value
	Branch bool // a Parallel's branch, which has no Item
}

// Status of an execution.
type Status string

// The statuses, by the service's names.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// Trace is one state entered or exited, in an order in which each path's own entries are in sequence. A longer
// history leads to the same entries and more. Value is the state's input or output: map[string]any, []any,
// string, json.Number, bool or nil, not to be changed.
type Trace struct {
	Op     string
	State  string
	Type   string // of the state: Task, Map ...
	Path   []Frame
	Exited bool
	Time   time.Time
	Value  any

	pos int
}

// Decision is what follows from a history.
type Decision struct {
	Commands []Command // what is awaited; empty when Done
	Done     bool
	Status   Status
	Output   json.RawMessage // of a run that succeeded
	Error    string
	Cause    string
	Trace    []Trace
	History  []HistoryEvent // as the service shows it; when Done
}

// opTimeout is the Op of the timer that ends an execution whose definition has TimeoutSeconds.
const opTimeout = "~timeout"

// maxSteps bounds the states entered in one execution, so that a loop that never waits ends. The service
// bounds the history, where a state counts at least twice, at the same number.
const maxSteps = 25_000

// Decide replays the execution from its start: whatever is in the history is taken from there, and whatever is
// not becomes a Command. Its cost grows linearly with the history. Events of unknown operations and second
// answers to one operation are ignored.
//
// The operation keys read like paths: "Silver#1[0]/Publish#2!1" is the second attempt (!1) at the second visit
// (#2) of Publish for the first item of the first visit of Silver.
func (m *Machine) Decide(exec Execution, history []Event) Decision {
	w := &walker{machine: m, exec: exec}
	d := w.walk(history)
	if d.Done || w.numbered { // only then the log is needed, which is half of the work
		w = &walker{machine: m, exec: exec, logging: true}
		d = w.walk(history)
	}
	if d.Done {
		d.History = w.history(d.Status)
	}
	return d
}

func (w *walker) walk(history []Event) Decision {
	w.events = make(map[string]recorded, len(history))
	end := w.index(history)
	input, err := decode(w.exec.Input)
	if err != nil {
		return Decision{Done: true, Status: Failed, Error: errRuntime, Cause: fmt.Sprintf("the execution's input is not JSON: %v", err)}
	}
	w.input = input
	return w.decision(w.run(w.machine.root, input, place{now: w.exec.StartTime}), end)
}

func (w *walker) decision(r result, end *Event) Decision {
	d := Decision{Trace: w.trace}
	switch {
	case !r.blocked && r.err == nil:
		d.Done, d.Status, d.Output = true, Succeeded, encode(r.output)
	case !r.blocked:
		d.Done, d.Status, d.Error, d.Cause = true, Failed, r.err.Name, clip(r.err.Cause, 32*1024)
	case end != nil && end.Type == ExecutionAborted:
		d.Done, d.Status, d.Error, d.Cause = true, Aborted, end.Error, end.Cause
	case end != nil:
		d.Done, d.Status, d.Error = true, TimedOut, errTimeout
	default:
		d.Status, d.Commands = Running, w.commands
		if limit := w.machine.timeout; limit > 0 {
			d.Commands = append(d.Commands, Command{Op: opTimeout, Kind: Timer, FireAt: w.exec.StartTime.Add(limit)})
		}
	}
	return d
}

// recorded is an event and its place in the history, counted from 1.
type recorded struct {
	*Event
	pos int
}

// index finds the first answer to each operation, up to the event that ended the execution, if any.
func (w *walker) index(history []Event) (end *Event) {
	for i := range history {
		e := &history[i]
		if e.Type == ExecutionAborted || e.Op == opTimeout && e.Type == TimerFired {
			return e
		}
		if _, twice := w.events[e.Op]; !twice {
			w.events[e.Op] = recorded{e, i + 1}
		}
	}
	return nil
}

// walker carries one Decide.
type walker struct {
	machine  *Machine
	exec     Execution
	input    any
	events   map[string]recorded
	commands []Command
	trace    []Trace
	steps    int
	logging  bool
	log      []logged
	shown    int  // entries of log that are events
	hidden   int  // how many distributed Maps the walk is in
	numbered bool // a cause names the number of an event
}

// place is where on a path the walk stands.
type place struct {
	op     string // key of the state, or of what is around it
	frames []Frame
	// pos and now are of the newest event that this path has consumed: its position in the history and its
	// time. Both are the same in every longer history, which is what makes decisions stable.
	pos     int
	now     time.Time
	entered time.Time // when the current state was entered
	entry   int       // number of the event by which it was entered; 0 among paths that run side by side
	attempt int
}

// moveTo takes over a later point in time.
func (at *place) moveTo(pos int, now time.Time) {
	at.pos = max(at.pos, pos)
	if now.After(at.now) {
		at.now = now
	}
}

// result is how a path went on: blocked, failed or with an output, at the point in time pos, now.
type result struct {
	blocked bool
	err     *stateError
	inside  bool // err came out of a path inside the state
	output  any
	next    string // the state to go to; "" at the end of a processor
	pos     int
	now     time.Time
}

func (at place) done(output any, next string) result {
	return result{output: output, next: next, pos: at.pos, now: at.now}
}

func (at place) failed(err *stateError) result { return result{err: err, pos: at.pos, now: at.now} }

// run walks one processor from StartAt until it ends, fails or waits for the outside.
func (w *walker) run(proc *processor, input any, at place) result {
	visits := map[string]int{}
	outer := at.op
	if outer != "" {
		outer += "/"
	}
	for name := proc.startAt; ; {
		s := proc.states[name]
		visits[name]++
		at.op = outer + keyText(name) + "#" + strconv.Itoa(visits[name])
		at.entered, at.attempt = at.now, 0
		w.enter(s, input, at, false)
		at.entry = 0
		if len(at.frames) == 0 {
			at.entry = w.shown + 1 // ExecutionStarted is the first
		}
		if w.steps++; w.steps > maxSteps {
			return at.failed(runtimeError("The execution entered more than %d states.", maxSteps))
		}
		r := w.state(s, input, at)
		if r.blocked || r.err != nil {
			return r
		}
		at.moveTo(r.pos, r.now)
		w.enter(s, r.output, at, true)
		if r.next == "" {
			return r
		}
		name, input = r.next, r.output
	}
}

func (w *walker) enter(s *state, value any, at place, exited bool) {
	w.trace = append(w.trace, Trace{Op: at.op, State: s.name, Type: s.kind, Path: at.frames, Exited: exited,
		Time: at.now, Value: value, pos: at.pos})
	if exited {
		w.noteState(s, "StateExited", at.op, at.pos, closes)
	} else {
		w.noteState(s, "StateEntered", at.op, at.pos, opens)
	}
}

// keyText keeps the signs that structure an operation key out of state names.
func keyText(name string) string {
	if !strings.ContainsAny(name, "%/#[]!~") {
		return name
	}
	return strings.NewReplacer("%", "%25", "/", "%2F", "#", "%23", "[", "%5B", "]", "%5D", "!", "%21", "~", "%7E").Replace(name)
}

// timer waits until t. It answers false when the path is blocked on it.
func (w *walker) timer(s *state, at *place, op string, t time.Time, attempt int) bool {
	if !t.After(at.now) {
		return true
	}
	if e, ok := w.events[op]; ok {
		at.moveTo(e.pos, e.Time)
		return true
	}
	w.commands = append(w.commands, Command{Op: op, Kind: Timer, State: s.name, Path: at.frames, Attempt: attempt, FireAt: t})
	return false
}

// contextObject gives $$ for a state.
func (w *walker) contextObject(s *state, at place) func() any {
	return func() any {
		execution := map[string]any{"Id": w.exec.ID, "Name": w.exec.Name, "Input": w.input,
			"StartTime": timeText(w.exec.StartTime)}
		if !w.exec.Express {
			execution["RedriveCount"] = json.Number("0")
		}
		if w.exec.Role != "" {
			execution["RoleArn"] = w.exec.Role
		}
		current := map[string]any{"Name": s.name, "EnteredTime": timeText(at.entered)}
		if s.kind == "Task" || s.kind == "Map" || s.kind == "Parallel" {
			current["RetryCount"] = number(int64(at.attempt))
		}
		out := map[string]any{"Execution": execution, "State": current,
			"StateMachine": map[string]any{"Id": w.exec.MachineID, "Name": w.exec.MachineName}}
		for i := len(at.frames) - 1; i >= 0; i-- {
			if f := at.frames[i]; !f.Branch {
				out["Map"] = map[string]any{"Item": map[string]any{"Index": number(int64(f.Index)), "Value": f.Item}}
				break
			}
		}
		return out
	}
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (w *walker) env(s *state, input any, at place) *env {
	return &env{input: input, context: w.contextObject(s, at), seed: w.exec.ID + "\x00" + at.op}
}
