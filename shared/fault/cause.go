package fault

import "encoding/json"

// CauseOf takes what a step said out of the cause of an error as Step Functions shows it, which for a Lambda function's error is
// {"errorMessage": text, "errorType": name, ...}. Any other cause stays as it is.
// https://docs.aws.amazon.com/lambda/latest/dg/golang-exceptions.html
func CauseOf(cause string) string {
	var answer struct {
		Message *string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(cause), &answer) != nil || answer.Message == nil {
		return cause
	}
	return *answer.Message
}
