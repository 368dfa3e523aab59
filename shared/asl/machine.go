// Package asl reads, checks and runs state machines written in the Amazon States Language, with JSONPath and
// without variables (https://states-language.net/spec.html).
//
// Parse gives a Machine. Machine.Decide is a pure function of the definition, the execution's input and the
// history so far: it has no clock, no random source and does no I/O, so the same history always leads to
// the same decisions. A host carries out what Decide asks for (run a task, wait), appends the results to the
// history and asks again; hosts for one machine and for Durable Functions drive the same brain.
package asl

import (
	"encoding/json"
	"sort"
	"time"
)

// Machine is a checked definition. It is immutable and safe for concurrent use.
type Machine struct {
	timeout time.Duration // of the whole execution; 0 is none
	root    *processor
}

// processor is a StartAt with its States: the machine itself, a branch of a Parallel or what a Map runs.
type processor struct {
	startAt string
	states  map[string]*state
	order   []string // state names in file order
	offset  int
}

type state struct {
	name   string
	kind   string // the Type
	offset int    // of the state's name in the file

	next string
	end  bool

	input, output  *location // InputPath, OutputPath
	result         *location // ResultPath
	parameters     *template
	resultSelector *template
	retry          []*retrier
	catch          []*catcher

	resource           string    // Task
	timeout, heartbeat *quantity // Task
	fixed              any       // Pass: Result
	hasFixed           bool
	wait               waitSpec   // Wait
	choices            []*rule    // Choice
	otherwise          string     // Choice: Default
	errorName, cause   *textField // Fail
	branches           []*processor
	each               mapSpec // Map
}

// location is an InputPath, OutputPath, ResultPath or ItemsPath.
type location struct {
	null bool // the field is JSON null
	path *path
}

// quantity is a number given in the definition or found at a path.
type quantity struct {
	field string // name of the field, as the definition spells it
	fixed json.Number
	path  *path // nil when fixed
}

// textField is a text given in the definition or computed by an expression.
type textField struct {
	field string
	fixed string
	expr  expr
}

type waitSpec struct {
	seconds   *quantity
	timestamp *textField
}

type mapSpec struct {
	items            *location
	selector         *template
	processor        *processor
	distributed      bool
	concurrency      *quantity
	toleratedCount   *quantity
	toleratedPercent *quantity
}

// ErrorNames lists, sorted and each once, the names in the ErrorEquals of every Retry and Catch.
func (m *Machine) ErrorNames() []string {
	names := map[string]bool{}
	m.root.each(func(s *state) {
		for _, r := range s.retry {
			for _, n := range r.errors {
				names[n] = true
			}
		}
		for _, c := range s.catch {
			for _, n := range c.errors {
				names[n] = true
			}
		}
	})
	return sortedKeys(names)
}

// Resources lists, sorted and each once, what the Task states invoke.
func (m *Machine) Resources() []string {
	names := map[string]bool{}
	m.root.each(func(s *state) {
		if s.kind == "Task" {
			names[s.resource] = true
		}
	})
	return sortedKeys(names)
}

// each visits every state, also the nested ones.
func (p *processor) each(visit func(*state)) {
	for _, name := range p.order {
		s := p.states[name]
		visit(s)
		for _, inner := range s.inner() {
			inner.each(visit)
		}
	}
}

func (s *state) inner() []*processor {
	if s.each.processor != nil {
		return []*processor{s.each.processor}
	}
	return s.branches
}

// targets lists the states that may follow s.
func (s *state) targets() []string {
	var out []string
	if s.next != "" {
		out = append(out, s.next)
	}
	for _, r := range s.choices {
		out = append(out, r.next)
	}
	if s.otherwise != "" {
		out = append(out, s.otherwise)
	}
	for _, c := range s.catch {
		out = append(out, c.next)
	}
	sort.Strings(out)
	return out
}
