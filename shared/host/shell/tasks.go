package shell

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
)

// Identity is the command of a task that answers with its input.
const Identity = "builtin:identity"

// invokeFunction is the Resource of a Task that calls the Lambda function named in its parameters.
const invokeFunction = "arn:aws:states:::lambda:invoke"

// Tasks says which command plays which task.
type Tasks struct{ list []task }

type task struct{ key, command string }

// ParseTasks reads texts of the form ARN=COMMAND.
func ParseTasks(texts []string) (*Tasks, error) {
	t := &Tasks{}
	for _, text := range texts {
		key, command, ok := strings.Cut(text, "=")
		bad := func(format string, args ...any) error {
			return fault.New(fault.InvalidInput, "read", "--task "+text, format, args...).
				WithHint("write the Resource of a Task, or the name of a Lambda function, then = and a shell command or %s; *=COMMAND is for all others", Identity)
		}
		switch {
		case !ok || strings.TrimSpace(key) == "" || strings.TrimSpace(command) == "":
			return nil, bad("it is not ARN=COMMAND")
		case strings.HasPrefix(command, "builtin:") && command != Identity:
			return nil, bad("there is no %s", command)
		case slices.ContainsFunc(t.list, func(o task) bool { return o.key == key }):
			return nil, bad("there are two commands for %s", key)
		}
		t.list = append(t.list, task{key, command})
	}
	return t, nil
}

// Check tells, in one fault, for which resources of a machine no command was given.
func (t *Tasks) Check(file string, m *asl.Machine) error {
	var missing []string
	for _, r := range m.Resources() {
		if r == invokeFunction && len(t.list) > 0 { // which function is known when it is called
			continue
		}
		if _, ok := t.find(r, ""); !ok {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.New(fault.InvalidInput, "find commands", file, "nothing plays %s", strings.Join(missing, ", ")).
		WithHint("say --task '%s=COMMAND', or --task '*=COMMAND' for all; COMMAND gets the input on stdin and prints the result, and %s answers with the input", missing[0], Identity)
}

// find gives the command for a resource: the one given for it, by its ARN or name, or for all others. Of a Task that
// invokes a function, the function's own comes first.
func (t *Tasks) find(resource, function string) (string, bool) {
	names := []string{resource}
	if function != "" {
		names = []string{function, resource}
	}
	for _, name := range names {
		for _, same := range []func(key string) bool{
			func(key string) bool { return key == name },
			func(key string) bool { return key != "*" && shortName(key) == shortName(name) },
		} {
			if i := slices.IndexFunc(t.list, func(o task) bool { return same(o.key) }); i >= 0 {
				return t.list[i].command, true
			}
		}
	}
	if i := slices.IndexFunc(t.list, func(o task) bool { return o.key == "*" }); i >= 0 {
		return t.list[i].command, true
	}
	return "", false
}

// shortName is a function's name without what is around it in an ARN, its version or alias, and a placeholder's
// without ${}; any other text is as it is.
func shortName(s string) string {
	if name, ok := strings.CutPrefix(s, "${"); ok {
		return strings.TrimSuffix(name, "}")
	}
	if _, name, ok := strings.Cut(s, ":function:"); ok {
		s = name
	} else if strings.HasPrefix(s, "arn:") {
		return s
	}
	name, _, _ := strings.Cut(s, ":")
	return name
}

// notFound is what the service answers for a function that is not there.
func notFound(function string) asl.Event {
	return failed("Lambda.ResourceNotFoundException", fmt.Sprintf("Function not found: %s:$LATEST (Service: AWSLambda; Status Code: 404; "+
		"Error Code: ResourceNotFoundException; Request ID: %s; Proxy: null)", functionARN(function), requestID))
}

func functionARN(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:aws:lambda:" + regionAndAccount + ":function:" + shortName(name)
}

func failed(name, cause string) asl.Event {
	return asl.Event{Type: asl.TaskFailed, Error: name, Cause: cause}
}
