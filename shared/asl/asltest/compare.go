package asltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Result is how a run of a case ended.
type Result struct {
	Status     string
	Output     json.RawMessage
	Error      string
	Cause      string
	Entered    []string // names of states
	EventTypes []string
}

// Check compares the outcome with what was recorded: status, output, error, cause and the states entered.
func (c *Case) Check(r Result) error {
	if r.Status != c.Status {
		return fmt.Errorf("status %s (%s: %s), recorded %s", r.Status, r.Error, r.Cause, c.Status)
	}
	if c.Status == "SUCCEEDED" {
		if err := c.same("output", r.Output, c.Output); err != nil {
			return err
		}
	}
	want := ""
	if c.Error != nil {
		want = *c.Error
	}
	if r.Error != want {
		return fmt.Errorf("error %q (%s), recorded %q", r.Error, r.Cause, want)
	}
	if len(c.Cause) > 0 && string(c.Cause) != "null" {
		text, err := json.Marshal(r.Cause)
		if err != nil {
			return err
		}
		if err := c.same("cause", text, c.Cause); err != nil {
			return err
		}
	} else if r.Cause != "" {
		return fmt.Errorf("cause %q, recorded none", r.Cause)
	}
	if len(c.Entered) > 0 && !slices.Equal(r.Entered, c.Entered) {
		return fmt.Errorf("entered %q, recorded %q", r.Entered, c.Entered)
	}
	return nil
}

// CheckEvents compares the types of the history's events and their order.
func (c *Case) CheckEvents(r Result) error {
	if len(c.EventTypes) == 0 || slices.Equal(r.EventTypes, c.EventTypes) || slices.Equal(asRecorded(r.EventTypes), c.EventTypes) {
		return nil
	}
	return fmt.Errorf("events %q, recorded %q", r.EventTypes, c.EventTypes)
}

// asRecorded does to a history what LocalStack's snapshots of Parallel states went through to be independent of the
// order of branches: events inside are sorted, at the end of the state and once more when it is left; by then the
// first round has moved the end by one, and the ParallelStateSucceeded is lost.
func asRecorded(types []string) []string {
	out, inside := slices.Clone(types), []string(nil)
	start, collect := -1, false
	for i := 0; i < len(out); i++ {
		switch t := out[i]; {
		case start >= 0 && slices.Contains([]string{"ParallelStateSucceeded", "ParallelStateAborted", "ParallelStateExited", "ParallelStateFailed"}, t):
			slices.Sort(inside)
			out = slices.Replace(out, start, i, inside...)
			collect = false
		case t == "ParallelStateStarted":
			start, collect, inside = i+1, true, nil
		case collect:
			inside = append(inside, t)
		}
	}
	return out
}

func (c *Case) same(what string, got, want []byte) error {
	g, err := decode(got)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w, err := decode(want)
	if err != nil {
		return fmt.Errorf("recorded %s: %w", what, err)
	}
	if !c.agree(unnest(g), unnest(w)) {
		return fmt.Errorf("%s %.2000s, recorded %.2000s", what, got, want)
	}
	return nil
}

func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("unexpected text after the JSON value")
	}
	return v, nil
}

// unnest replaces text that is JSON by its value, as the recordings do.
func unnest(v any) any {
	switch t := v.(type) {
	case string:
		if inner, err := decode([]byte(t)); err == nil && t != "" {
			return unnest(inner)
		}
	case map[string]any:
		out := map[string]any{}
		for k, e := range t {
			out[k] = unnest(e)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range t {
			out = append(out, unnest(e))
		}
		return out
	}
	return v
}

var placeholder = regexp.MustCompile(`<[^<>]*>|\bdate\b|\bstart-time\b|\bentered-time\b|RandomNumberGenerated|\bs[nf]{2}_role_arn\b`)

// agree compares with what was recorded; placeholders match anything, and so do the HTTP details of an AWS call.
func (c *Case) agree(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return false
			}
		}
		for k, e := range w {
			if k == "SdkHttpMetadata" || k == "SdkResponseMetadata" {
				continue
			}
			if inner, ok := g[k]; !ok || !c.agree(inner, e) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !c.agree(g[i], w[i]) {
				return false
			}
		}
		return true
	case string:
		if !c.Masked {
			return got == want
		}
		return masked(w).MatchString(plainText(got))
	case json.Number:
		g, ok := got.(json.Number)
		return ok && sameNumber(g, w)
	}
	return got == want
}

// masked is a pattern in which placeholders stand for any text.
func masked(text string) *regexp.Regexp {
	pattern := "^"
	for rest := text; ; {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			return regexp.MustCompile(pattern + regexp.QuoteMeta(rest) + "$")
		}
		pattern += regexp.QuoteMeta(rest[:at[0]]) + `(?s:.*)`
		rest = rest[at[1]:]
	}
}

// plainText shows a value: text as it is, anything else as JSON.
func plainText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var buf strings.Builder
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

func sameNumber(a, b json.Number) bool {
	x, _, errX := big.ParseFloat(string(a), 10, 200, big.ToNearestEven)
	y, _, errY := big.ParseFloat(string(b), 10, 200, big.ToNearestEven)
	return errX == nil && errY == nil && x.Cmp(y) == 0
}
