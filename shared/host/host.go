// Package host holds what all hosts of steps share: how a step's error becomes the error that a state machine sees.
package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// MaxPayload is what Step Functions lets pass between two states, in bytes.
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const MaxPayload = 256 * 1024

// Execution is a run of a state machine in a cloud.
type Execution struct {
	ID      string
	Started time.Time
	Running bool
}

// maxMessage keeps an error's text, in bytes, small beside MaxPayload.
const maxMessage = 8 * 1024

// Cause is the text behind an error's name, as JSON: for people, and for the record of the run.
type Cause struct {
	Op      string `json:"op"`
	Object  string `json:"object"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Failure gives the name by which Retry and Catch know an error, which is its kind, and the text of its Cause.
func Failure(err error) (name, cause string) {
	c := Cause{Message: err.Error(), Hint: fault.HintOf(err)}
	var f *fault.Fault
	if errors.As(err, &f) {
		c.Op, c.Object = f.Op, f.Object
	}
	if len(c.Message) > maxMessage {
		c.Message = strings.ToValidUTF8(c.Message[:maxMessage], "") + "..."
	}
	raw, merr := json.Marshal(c)
	if merr != nil {
		raw = fmt.Appendf(nil, "%q", c.Message)
	}
	return string(fault.KindOf(err)), string(raw)
}
