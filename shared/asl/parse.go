package asl

import (
	"math"
	"regexp"
	"time"
)

// maxSeconds is the service's limit for waits and timeouts.
const maxSeconds = 99_999_999

// Parse reads and checks a definition. file is its name in messages only. A definition that cannot be used is
// an InvalidInput fault whose cause has one line for each problem, with file, line and column. Resources may be
// ARNs or placeholders such as ${Bronze}, which each cloud's deployment fills in.
func Parse(file string, data []byte) (*Machine, error) {
	p := &problems{}
	root, err := readTree(data, p)
	if err != nil {
		var offset int
		if se, ok := err.(*syntaxError); ok { //nolint:errorlint // readTree returns it unwrapped
			offset = se.offset
		}
		p.add(offset, "the file is not JSON: %v", err)
		return nil, p.fault(file, data)
	}
	m := parseMachine(p, root)
	validate(m, p)
	if err := p.fault(file, data); err != nil {
		return nil, err
	}
	return m, nil
}

func parseMachine(p *problems, n *node) *Machine {
	r := newReader(p, n, "")
	m := &Machine{timeout: time.Duration(r.whole("TimeoutSeconds", 1, maxSeconds, 0)) * time.Second}
	if v, ok := r.text("Version"); ok && v != "1.0" {
		r.report(n.get("Version"), "\"Version\" %q is not 1.0", v)
	}
	queryLanguage(r)
	m.root = parseProcessor(r)
	r.finish()
	return m
}

func queryLanguage(r *reader) {
	if q, ok := r.text("QueryLanguage"); ok && q != "JSONPath" {
		r.report(r.n.get("QueryLanguage"), "\"QueryLanguage\" is JSONPath here, not %q; write paths ($.a) and intrinsic functions (States.Format) in place of {%% %%}", q)
	}
}

// parseProcessor reads StartAt and States.
func parseProcessor(r *reader) *processor {
	out := &processor{states: map[string]*state{}, offset: r.n.offset}
	start, ok := r.text("StartAt")
	if !ok && r.n.get("StartAt") == nil {
		r.report(r.n, "\"StartAt\" is missing")
	}
	out.startAt = start
	states := r.get("States")
	if states == nil || states.kind != '{' || len(states.object) == 0 {
		if states == nil {
			states = r.n
		}
		r.report(states, "\"States\" is an object with at least one state")
		return out
	}
	for _, f := range states.object {
		if len(f.name) == 0 || len([]rune(f.name)) > 80 {
			r.problems.add(f.offset, "the state name %q does not have 1 to 80 characters", f.name)
		}
		s := parseState(r.problems, f)
		out.states[f.name] = s
		out.order = append(out.order, f.name)
	}
	return out
}

func parseState(p *problems, f field) *state {
	s := &state{name: f.name, offset: f.offset}
	r := newReader(p, f.value, f.name)
	kind, _ := r.text("Type")
	s.kind = kind
	queryLanguage(r)
	switch kind {
	case "Task":
		parseTask(r, s)
	case "Pass":
		parsePass(r, s)
	case "Wait":
		parseWait(r, s)
	case "Choice":
		parseChoice(r, s)
	case "Parallel":
		parseParallel(r, s)
	case "Map":
		parseMap(r, s)
	case "Succeed":
		parseInputOutput(r, s)
	case "Fail":
		s.errorName = r.textField("Error", true)
		s.cause = r.textField("Cause", true)
	default:
		r.report(f.value, "\"Type\" %q is none of Task, Pass, Wait, Choice, Parallel, Map, Succeed, Fail", kind)
		return s
	}
	r.finish()
	return s
}

func parseInputOutput(r *reader, s *state) {
	s.input = r.location("InputPath")
	s.output = r.location("OutputPath")
}

// parseTransition reads Next or End, of which exactly one is there.
func parseTransition(r *reader, s *state) {
	s.next, _ = r.text("Next")
	s.end = r.flag("End")
	if (r.n.get("Next") != nil) == s.end {
		r.report(r.n, "exactly one of \"Next\" and \"End\": true is needed")
	}
}

func parseResult(r *reader, s *state) {
	s.resultSelector = r.template("ResultSelector")
	s.result = r.resultPath()
	s.retry = parseRetry(r)
	s.catch = parseCatch(r)
}

// A Resource is an ARN or a placeholder that the deployment replaces by one.
func resourceForm() *regexp.Regexp {
	return regexp.MustCompile(`^(arn:[^:]+:[^:]+:[^:]*:[^:]*:.+|\$\{[A-Za-z][A-Za-z0-9_]*\})$`)
}

func parseTask(r *reader, s *state) {
	parseInputOutput(r, s)
	parseTransition(r, s)
	s.parameters = r.template("Parameters")
	parseResult(r, s)
	resource, ok := r.text("Resource")
	s.resource = resource
	if n := r.n.get("Resource"); n == nil {
		r.report(r.n, "\"Resource\" is missing")
	} else if ok && !resourceForm().MatchString(resource) {
		r.report(n, "\"Resource\" %q is neither an ARN nor a placeholder like ${Bronze}", resource)
	} else if why := refusedResource(resource); why != "" {
		r.report(n, "\"Resource\" %q %s", resource, why)
	}
	r.get("Credentials") // of the role that calls: nothing to the interpreter
	s.timeout = r.quantity("TimeoutSeconds", 1, maxSeconds, true)
	s.heartbeat = r.quantity("HeartbeatSeconds", 1, maxSeconds, true)
	if h, t := s.heartbeat, s.timeout; h != nil && t != nil && h.path == nil && t.path == nil && compareNumbers(h.fixed, t.fixed) >= 0 {
		r.report(r.n.get("HeartbeatSeconds"), "\"HeartbeatSeconds\" is less than \"TimeoutSeconds\"")
	}
}

func parsePass(r *reader, s *state) {
	parseInputOutput(r, s)
	parseTransition(r, s)
	s.parameters = r.template("Parameters")
	s.result = r.resultPath()
	if n := r.get("Result"); n != nil {
		s.fixed, s.hasFixed = n.plain(), true
	}
}

func parseWait(r *reader, s *state) {
	parseInputOutput(r, s)
	parseTransition(r, s)
	s.wait.seconds = r.quantity("Seconds", 0, maxSeconds, true)
	s.wait.timestamp = r.textField("Timestamp", false)
	given := 0
	for _, name := range []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} {
		if r.n.get(name) != nil {
			given++
		}
	}
	if given != 1 {
		r.report(r.n, "a Wait has exactly one of \"Seconds\", \"SecondsPath\", \"Timestamp\", \"TimestampPath\"")
	}
	if t := s.wait.timestamp; t != nil && t.expr == nil {
		if _, err := parseTimestamp(t.fixed); err != nil {
			r.report(r.n.get("Timestamp"), "\"Timestamp\" %q is no timestamp such as 2026-01-31T10:00:00Z", t.fixed)
		}
	}
}

func parseParallel(r *reader, s *state) {
	parseInputOutput(r, s)
	parseTransition(r, s)
	s.parameters = r.template("Parameters")
	parseResult(r, s)
	n := r.get("Branches")
	if n == nil || n.kind != '[' || len(n.array) == 0 {
		r.report(r.n, "\"Branches\" is a list with at least one branch")
		return
	}
	for _, b := range n.array {
		br := newReader(r.problems, b, s.name)
		s.branches = append(s.branches, parseProcessor(br))
		br.finish()
	}
}

func parseMap(r *reader, s *state) {
	parseInputOutput(r, s)
	parseTransition(r, s)
	parseResult(r, s)
	s.each.items = r.location("ItemsPath")
	s.each.selector = r.template("ItemSelector")
	if old := r.template("Parameters"); old != nil {
		if s.each.selector != nil {
			r.report(r.n.get("Parameters"), "\"ItemSelector\" and the older \"Parameters\" exclude each other")
		}
		s.each.selector = old
	}
	s.each.concurrency = r.quantity("MaxConcurrency", 0, math.MaxInt32, true)
	s.each.toleratedCount = r.quantity("ToleratedFailureCount", 0, math.MaxInt32, true)
	s.each.toleratedPercent = r.quantity("ToleratedFailurePercentage", 0, 100, false)
	r.get("Label")
	parseItemProcessor(r, s)
}

func parseItemProcessor(r *reader, s *state) {
	n, old := r.get("ItemProcessor"), r.get("Iterator")
	if (n == nil) == (old == nil) {
		r.report(r.n, "a Map has exactly one of \"ItemProcessor\" and the older \"Iterator\"")
		return
	}
	if n == nil {
		n = old
	}
	pr := newReader(r.problems, n, s.name)
	if config := pr.get("ProcessorConfig"); config != nil {
		cr := newReader(r.problems, config, s.name)
		mode, ok := cr.text("Mode")
		if ok && mode != "INLINE" && mode != "DISTRIBUTED" {
			cr.report(config, "\"Mode\" is INLINE or DISTRIBUTED, not %q", mode)
		}
		s.each.distributed = mode == "DISTRIBUTED"
		cr.text("ExecutionType")
		cr.finish()
	}
	s.each.processor = parseProcessor(pr)
	pr.finish()
}
