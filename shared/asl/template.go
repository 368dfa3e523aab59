package asl

import (
	"errors"
	"fmt"
	"strings"
)

// template is a payload template (Parameters, ItemSelector, ResultSelector): JSON in which a field called
// "name.$" holds a path or an intrinsic. Fields are kept in file order, so that random functions are drawn in
// the same order each time.
type template struct {
	fields  []templateField // of an object
	items   []*template     // of an array
	literal any             // of anything else
	kind    byte            // as node.kind
}

type templateField struct {
	name  string
	expr  expr // nil for an ordinary field
	value *template
}

// parseTemplate compiles n and reports what is wrong in it.
func parseTemplate(n *node, problems *problems, state string) *template {
	t := &template{kind: n.kind, literal: n.scalar}
	for _, item := range n.array {
		t.items = append(t.items, parseTemplate(item, problems, state))
	}
	for _, f := range n.object {
		name, dynamic := strings.CutSuffix(f.name, ".$")
		if !dynamic {
			t.fields = append(t.fields, templateField{name: f.name, value: parseTemplate(f.value, problems, state)})
			continue
		}
		text, ok := f.value.scalar.(string)
		if !ok {
			problems.inState(f.value.offset, state, "%q needs a path or an intrinsic function, not %s", f.name, f.value.describe())
			continue
		}
		x, err := parseExpr(text)
		if err != nil {
			problems.inState(f.value.offset, state, "%q: %v", f.name, err)
			continue
		}
		t.fields = append(t.fields, templateField{name: name, expr: x})
	}
	return t
}

// fill gives the payload.
func (t *template) fill(e *env) (any, error) {
	switch t.kind {
	case '{':
		out := make(map[string]any, len(t.fields))
		for _, f := range t.fields {
			v, err := f.fill(e)
			if err != nil {
				return nil, err
			}
			out[f.name] = v
		}
		return out, nil
	case '[':
		out := make([]any, len(t.items))
		for i, item := range t.items {
			v, err := item.fill(e)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	}
	return t.literal, nil
}

func (f *templateField) fill(e *env) (any, error) {
	if f.expr == nil {
		return f.value.fill(e)
	}
	v, err := f.expr.eval(e)
	if err == nil {
		return v, nil
	}
	return nil, notFound(err, f.name+".$", e)
}

// notFound turns a path that leads nowhere into the service's States.Runtime message.
func notFound(err error, field string, e *env) error {
	var missing *missingError
	if !errors.As(err, &missing) {
		return err
	}
	return runtimeError("The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'",
		missing.path.text, field, clip(string(encode(e.input)), 8*1024))
}

// stateError is a failure with a name that Retry and Catch can match.
type stateError struct {
	Name, Cause string
	// thrown is set on errors that a task or a Fail state reported; those that the interpreter itself raises
	// follow the stricter matching rules of States.ALL.
	thrown bool
}

func (e *stateError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Cause) }

// The error names that the language reserves.
const (
	errAll                = "States.ALL"
	errTaskFailed         = "States.TaskFailed"
	errTimeout            = "States.Timeout"
	errRuntime            = "States.Runtime"
	errDataLimit          = "States.DataLimitExceeded"
	errIntrinsicFailure   = "States.IntrinsicFailure"
	errNoChoiceMatched    = "States.NoChoiceMatched"
	errResultPath         = "States.ResultPathMatchFailure"
	errToleratedExceeded  = "States.ExceedToleratedFailureThreshold"
	errHeartbeatTimeout   = "States.HeartbeatTimeout"
	errBranchFailed       = "States.BranchFailed"
	errPermissions        = "States.Permissions"
	errParameterPath      = "States.ParameterPathFailure"
	errItemReaderFailed   = "States.ItemReaderFailed"
	errResultWriterFailed = "States.ResultWriterFailed"
	errQueryEvaluation    = "States.QueryEvaluationError"
)

// reservedErrors are the names beginning with "States." that a Retry or Catch may use.
func reservedErrors() []string {
	return []string{errAll, errTaskFailed, errTimeout, errRuntime, errDataLimit, errIntrinsicFailure, errNoChoiceMatched,
		errResultPath, errToleratedExceeded, errHeartbeatTimeout, errBranchFailed, errPermissions, errParameterPath,
		errItemReaderFailed, errResultWriterFailed, errQueryEvaluation, "States.Http.Socket"}
}

func runtimeError(format string, args ...any) *stateError {
	return &stateError{Name: errRuntime, Cause: fmt.Sprintf(format, args...)}
}
