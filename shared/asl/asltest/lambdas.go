package asltest

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// handler is one of the functions that the recordings call, as a shell command: input on stdin, output on stdout; an
// error is a document with errorType and a status other than 0.
type handler struct {
	command string
	slow    bool // it does not answer in time
}

// The recordings' lambdas by source file. The echo function of the recordings is no echo: it answers the same always.
func handlers() map[string]handler {
	raise := func(kind, message, line string) handler {
		doc, err := json.Marshal(map[string]any{"errorMessage": message, "errorType": kind, "requestId": "1",
			"stackTrace": []any{`  File "/var/task/handler.py", ` + line}})
		if err != nil {
			panic(err) // of constants
		}
		return handler{command: "cat > /dev/null; printf '%s' '" + strings.ReplaceAll(string(doc), "'", `'\''`) + "'; exit 1"}
	}
	return map[string]handler{
		"id_function.py":            {command: "cat"},
		"echo_function.py":          {command: `printf '{"Return":"HelloWorld"}'`},
		"return_bytes_str.py":       {command: `printf '"HelloWorld!"'`},
		"wait_60_seconds.py":        {command: "sleep 60; echo null", slow: true},
		"large_output_string.py":    {command: `printf '"'; head -c 263168 /dev/zero | tr '\0' a; printf '"'`},
		"raise_exception.py":        raise("Exception", "Some exception was raised.", "line 2, in handler\n    raise Exception(\"Some exception was raised.\")\n"),
		"raise_custom_exception.py": raise("CustomException", "", "line 9, in handler\n    raise CustomException()\n"),
	}
}

// Command is a shell command that plays the function called name; "" for one that is not there.
func (c *Case) Command(name string) string {
	return handlers()[filepath.Base(c.Lambdas[name])].command
}

// Slow tells whether the case waits for a function until the time for it has passed.
func (c *Case) Slow() bool {
	for _, source := range c.Lambdas {
		if handlers()[filepath.Base(source)].slow {
			return true
		}
	}
	return false
}
