package asl

import (
	"math"
	"slices"
	"strings"
	"time"
)

// retrier is one entry of a Retry.
type retrier struct {
	errors      []string
	interval    float64 // seconds
	backoff     float64
	maxAttempts int64
	maxDelay    float64 // seconds; 0 is none
	jitter      bool
}

// catcher is one entry of a Catch.
type catcher struct {
	errors []string
	next   string
	result *location
}

func parseRetry(r *reader) []*retrier {
	var out []*retrier
	for _, n := range entries(r, "Retry") {
		er := newReader(r.problems, n, r.state)
		one := &retrier{errors: er.names("ErrorEquals"), backoff: 2}
		one.interval = float64(er.whole("IntervalSeconds", 1, maxSeconds, 1))
		one.maxAttempts = er.whole("MaxAttempts", 0, maxSeconds, 3)
		one.maxDelay = float64(er.whole("MaxDelaySeconds", 1, 31_622_400, 0))
		if v, ok := er.num("BackoffRate", 1, math.MaxFloat64, false); ok {
			one.backoff, _ = v.Float64()
		}
		strategy, _ := er.text("JitterStrategy")
		one.jitter = strategy == "FULL"
		if strategy != "" && strategy != "FULL" && strategy != "NONE" {
			er.report(n, "\"JitterStrategy\" is FULL or NONE, not %q", strategy)
		}
		er.finish()
		out = append(out, one)
	}
	checkErrorNames(r, "Retry", len(out), func(i int) []string { return out[i].errors })
	return out
}

func parseCatch(r *reader) []*catcher {
	var out []*catcher
	for _, n := range entries(r, "Catch") {
		er := newReader(r.problems, n, r.state)
		one := &catcher{errors: er.names("ErrorEquals"), result: er.resultPath()}
		next, ok := er.text("Next")
		if !ok {
			er.report(n, "a catcher needs \"Next\"")
		}
		one.next = next
		er.finish()
		out = append(out, one)
	}
	checkErrorNames(r, "Catch", len(out), func(i int) []string { return out[i].errors })
	return out
}

func entries(r *reader, name string) []*node {
	n := r.get(name)
	if n == nil {
		return nil
	}
	if n.kind != '[' {
		r.report(n, "%q is a list, not %s", name, n.describe())
	}
	return n.array
}

// checkErrorNames holds the language's rules: States.ALL stands alone and last, and no other reserved name is
// made up.
func checkErrorNames(r *reader, field string, n int, names func(int) []string) {
	at := r.n.get(field)
	for i := range n {
		for _, name := range names(i) {
			if strings.HasPrefix(name, "States.") && !slices.Contains(reservedErrors(), name) {
				r.report(at.array[i], "%q in %s is no error name of the language", name, field)
			}
			if name == errAll && (len(names(i)) != 1 || i != n-1) {
				r.report(at.array[i], "%q in %s stands alone and in the last entry", errAll, field)
			}
		}
	}
}

// matches tells whether one of names matches the error.
//
// States.Runtime matches nothing: the service ends the execution whatever a definition says (recorded in the
// conformance corpus). States.ALL matches everything else but a States.DataLimitExceeded that the interpreter
// itself raises; one that replaces an oversized task result is matched. States.TaskFailed matches what a task
// reports, but not a timeout.
func matches(names []string, e *stateError) bool {
	if e.Name == errRuntime {
		return false
	}
	for _, name := range names {
		switch {
		case name == e.Name:
			return true
		case name == errAll && (e.Name != errDataLimit || e.thrown):
			return true
		case name == errTaskFailed && e.thrown && e.Name != errTimeout:
			return true
		case name == errTimeout && e.Name == errHeartbeatTimeout:
			return true
		}
	}
	return false
}

// retryState counts, for one visit of a state, the attempts that each retrier has used up.
type retryState struct {
	retriers []*retrier
	used     []int64
}

// next says whether the error is retried and after which delay. draw is 64 bits that look random; they set the
// jitter.
func (r *retryState) next(e *stateError, draw uint64) (time.Duration, bool) {
	for i, one := range r.retriers {
		if !matches(one.errors, e) {
			continue
		}
		if r.used[i] >= one.maxAttempts {
			return 0, false
		}
		seconds := one.interval * math.Pow(one.backoff, float64(r.used[i]))
		r.used[i]++
		if one.maxDelay > 0 {
			seconds = min(seconds, one.maxDelay)
		}
		seconds = min(seconds, maxSeconds)
		if one.jitter {
			seconds *= float64(draw>>11) / (1 << 53)
		}
		return time.Duration(seconds * float64(time.Second)).Truncate(time.Millisecond), true
	}
	return 0, false
}
