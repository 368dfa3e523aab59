package asl

import "strings"

// What the service knows and the interpreter does not is refused when the definition is read, by name and with
// what to do about it.

// refusedField tells why a field is not supported; "" for one that the language does not have at all.
func refusedField(name string) string {
	switch name {
	case "Assign":
		return "belongs to JSONata or to variables, which are not supported; keep what a later state needs in the state's output (ResultPath)"
	case "Arguments", "Output", "Items", "Condition":
		return "belongs to JSONata or to variables, which are not supported; write the state in JSONPath (Parameters, ResultSelector, ItemsPath, Choices with Variable)"
	case "ItemReader":
		return "is not supported: it reads the items of a distributed Map from S3; give them in the state's input (ItemsPath)"
	case "ItemBatcher":
		return "is not supported: it batches the items of a distributed Map; run over single items, or over batches made with States.ArrayPartition"
	case "ResultWriter":
		return "is not supported: it writes the results of a distributed Map to S3; take them from the state's output"
	}
	return ""
}

// refusedResource tells why a Task cannot call a resource; "" when it can.
func refusedResource(resource string) string {
	switch {
	case strings.HasSuffix(resource, ".waitForTaskToken"):
		return "is not supported: it waits until somebody returns its task token; call a task that answers"
	case strings.HasSuffix(resource, ".sync"), strings.HasSuffix(resource, ".sync:2"):
		return "is not supported: it waits for a job of another service; start the job by a task, and look for its end in a loop with Wait and Choice"
	case strings.HasPrefix(resource, "arn:") && strings.Contains(resource, ":states:") && strings.Contains(resource, ":activity:"):
		return "is not supported: it is an activity, which a worker polls for; call a task that answers"
	}
	return ""
}
