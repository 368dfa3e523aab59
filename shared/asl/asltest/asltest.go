// Package asltest holds interpreters of the States Language to what Step Functions itself answered: the recorded runs
// of the corpus beside the checkout (../shared/corpus/asl; its README.md says where they are from).
package asltest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
)

// Case is one recorded run.
type Case struct {
	ID            string            `json:"id"`
	Family        string            `json:"family"`
	Features      []string          `json:"features"`
	Resources     []string          `json:"resources"`
	Lambdas       map[string]string `json:"lambdas"` // source file by function name
	SelfContained bool              `json:"self_contained"`
	Masked        bool              `json:"placeholders_in_expectation"`
	MachineType   string            `json:"machine_type"`
	Definition    json.RawMessage   `json:"definition"`
	Input         json.RawMessage   `json:"input"`
	Status        string            `json:"expected_status"`
	Output        json.RawMessage   `json:"expected_output"`
	Error         *string           `json:"expected_error"`
	Cause         json.RawMessage   `json:"expected_cause"`
	EventTypes    []string          `json:"expected_event_types"`
	Entered       []string          `json:"expected_states_entered"`
}

// Express tells whether the run was one of an Express workflow.
func (c *Case) Express() bool { return c.MachineType == "EXPRESS" }

// LeftOut tells why a case is not among those that an interpreter of JSONPath without variables and without services
// runs; "" for one that is. What is left out for its language must be refused when it is loaded, with the word that
// Refusal gives.
func (c *Case) LeftOut() string {
	switch {
	case slices.Contains(c.Features, "JSONata"):
		return "JSONata"
	case slices.Contains(c.Features, "Assign"):
		return "variables"
	case slices.Contains(c.Features, "ItemReader"):
		return "ItemReader: items from S3"
	case slices.Contains(c.Features, "ResultWriter"):
		return "ResultWriter: results to S3"
	}
	for _, r := range c.Resources {
		if !strings.HasPrefix(r, "arn:aws:lambda:") && r != "arn:aws:states:::lambda:invoke" {
			return "calls a service: " + strings.TrimPrefix(r, "arn:aws:states:::")
		}
	}
	return ""
}

// Refusal is a word of the message that refuses the definition of a case that is left out; "" where only its tasks
// cannot be played.
func (c *Case) Refusal() string {
	why := c.LeftOut()
	switch {
	case why == "JSONata":
		return "JSONata"
	case why == "variables":
		return "variable"
	case strings.HasSuffix(why, ".waitForTaskToken"):
		return "task token"
	case strings.HasPrefix(why, "calls a service"):
		return ""
	}
	name, _, _ := strings.Cut(why, ":")
	return name
}

// Cases reads the corpus, and skips the test when it is not there.
func Cases(t testing.TB) []*Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir(t), "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	var out []*Case
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c := &Case{}
		if err := json.Unmarshal(data, c); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out = append(out, c)
	}
	if len(out) < 600 {
		t.Fatalf("only %d cases: the corpus is not what it was", len(out))
	}
	return out
}

func dir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
	dir = filepath.Join(filepath.Dir(dir), "shared", "corpus", "asl")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: the corpus of recorded runs is not beside the checkout (shared/corpus/asl)")
	}
	return dir
}

// Score counts by family.
type Score struct {
	mu   sync.Mutex
	rows map[string]*row
}

type row struct {
	self, selfGood     int // self-contained cases
	others, othersGood int // compared with placeholders masked
	ordered, orderGood int // of both: those whose events were recorded
	left               map[string]int
	misses             []string
}

func (s *Score) row(family string) *row {
	if s.rows == nil {
		s.rows = map[string]*row{}
	}
	if s.rows[family] == nil {
		s.rows[family] = &row{left: map[string]int{}}
	}
	return s.rows[family]
}

// Left counts a case that is left out.
func (s *Score) Left(c *Case) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.row(c.Family).left[c.LeftOut()]++
}

// Ran counts a case that was run: how its outcome and the order of its events compare with what was recorded.
func (s *Score) Ran(c *Case, outcome, events error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.row(c.Family)
	n, good := &r.others, &r.othersGood
	if c.SelfContained {
		n, good = &r.self, &r.selfGood
	}
	*n++
	if outcome == nil {
		*good++
	} else {
		r.misses = append(r.misses, fmt.Sprintf("%s: %v", c.ID, outcome))
	}
	if len(c.EventTypes) > 0 {
		r.ordered++
		if events == nil {
			r.orderGood++
		} else {
			r.misses = append(r.misses, fmt.Sprintf("%s: order of events: %v", c.ID, events))
		}
	}
}

// String is the table, with each miss and what was left out.
func (s *Score) String() string {
	var b, below strings.Builder
	line := func(family string, r *row) {
		fmt.Fprintf(&b, "\n%-12s %3d of %3d      %3d of %3d      %3d of %3d", family, r.selfGood, r.self, r.othersGood, r.others, r.orderGood, r.ordered)
	}
	fmt.Fprintf(&b, "%-12s %-15s %-15s %s", "family", "self-contained", "placeholders", "event order")
	total := &row{}
	for _, family := range sortedKeys(s.rows) {
		r := s.rows[family]
		if r.self+r.others > 0 {
			line(family, r)
		}
		total.self, total.selfGood = total.self+r.self, total.selfGood+r.selfGood
		total.others, total.othersGood = total.others+r.others, total.othersGood+r.othersGood
		total.ordered, total.orderGood = total.ordered+r.ordered, total.orderGood+r.orderGood
		for _, m := range r.misses {
			fmt.Fprintf(&below, "\nmiss: %s/%s", family, m)
		}
		for _, why := range sortedKeys(r.left) {
			fmt.Fprintf(&below, "\nleft out: %d of %s (%s)", r.left[why], family, why)
		}
	}
	line("all", total)
	return b.String() + below.String()
}

// Agreeing is how many of the cases that were run agree in their outcome.
func (s *Score) Agreeing() (good, all int) {
	for _, r := range s.rows {
		good, all = good+r.selfGood+r.othersGood, all+r.self+r.others
	}
	return good, all
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
