package asl

import (
	"fmt"
	"time"
)

// fakeHost carries out commands one at a time, in the order in which they first appear, or in the order that
// pick gives.
type fakeHost struct {
	machine *Machine
	exec    Execution
	task    func(Command) Event
	pick    func(open []Command) int // nil takes the first
	history []Event
	invoked []string // Ops of the tasks run
}

// finish drives the execution to its end.
func (h *fakeHost) finish() (Decision, error) {
	now := h.exec.StartTime
	for range 100_000 {
		d := h.machine.Decide(h.exec, h.history)
		if d.Done {
			return d, nil
		}
		if len(d.Commands) == 0 {
			return d, fmt.Errorf("the execution is stuck: not done and nothing to do")
		}
		i := 0
		if h.pick != nil {
			i = h.pick(d.Commands)
		}
		cmd := d.Commands[i]
		e := Event{Type: TimerFired}
		if cmd.Kind == Timer {
			if cmd.FireAt.After(now) {
				now = cmd.FireAt
			}
		} else {
			e = h.task(cmd)
			now = now.Add(time.Second)
			h.invoked = append(h.invoked, cmd.Op)
		}
		e.Op, e.Time = cmd.Op, now
		h.history = append(h.history, e)
	}
	return Decision{}, fmt.Errorf("the execution does not end")
}
