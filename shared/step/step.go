// Package step is the contract between a medallion step and whatever carries it: a typed function on one
// side, a named JSON handler on the other.
//
// A step takes and returns small JSON documents (ids, names, versions, counts; never rows). Hosts (AWS
// Lambda, Azure Functions, the local runner) know only Handler and Set.
package step

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/lakestep/lakestep/shared/fault"
)

// Func is a step as its author writes it. Errors are *fault.Fault; any other error counts as Internal.
type Func[In, Out any] func(ctx context.Context, in In) (Out, error)

// Handler is a step as a host calls it: JSON in, JSON out.
type Handler func(ctx context.Context, in json.RawMessage) (json.RawMessage, error)

// Step is a named handler. The name is what a Task state's Resource ends with.
type Step struct {
	Name   string
	Handle Handler
}

// New makes a Step of a typed function. Unknown fields in the input are an InvalidInput fault: a state
// machine that passes what a step does not read is wrong.
func New[In, Out any](name string, fn Func[In, Out]) Step {
	return Step{Name: name, Handle: func(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
		var in In
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, fault.New(fault.InvalidInput, "decode input of", name, "%w", err)
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}}
}

// Set is the list of steps that a host offers, by name.
type Set map[string]Handler

// NewSet builds a Set; two steps of one name are a programming error and panic.
func NewSet(steps ...Step) Set {
	s := Set{}
	for _, st := range steps {
		if _, dup := s[st.Name]; dup {
			panic(fmt.Sprintf("step %q is listed twice", st.Name))
		}
		s[st.Name] = st.Handle
	}
	return s
}

// Names lists the steps in alphabetical order.
func (s Set) Names() []string {
	names := make([]string, 0, len(s))
	for n := range s {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
