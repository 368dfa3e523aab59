package tfprovider

import (
	_ "embed"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed rules.txt
var ruleText string

// rules are the lines of rules.txt by resource type.
type rules map[string][]rule

type rule struct {
	line string   // as it is written, for messages
	path []string // below the resource
	kind string
	args []string
	like *regexp.Regexp
}

func (r rule) late() bool  { return r.kind == "names" }
func (r rule) block() bool { return slices.Contains(blockRules, r.kind) }

var (
	blockRules = []string{"exactly_one", "at_least_one", "at_most_one", "needs", "with", "distinct"}
	valueRules = []string{"one_of", "between", "zero_or_between", "length", "like", "arn", "json", "policy", "states_language", "event_pattern",
		"redrive", "redrive_allow", "dashboard", "schedule", "cidr", "names"}
)

// readRules reads the table, and checks that the schema has what it speaks of: a rule for a misspelt name would never bite.
func readRules(text string, schema *Schema) (rules, error) {
	all := rules{}
	for _, words := range lines(text) {
		r := rule{line: strings.Join(words, " ")}
		if len(words) < 2 {
			return nil, fmt.Errorf("rules.txt: %q is no rule", r.line)
		}
		path := strings.Split(words[0], ".")
		typ := path[0]
		if typ == "data" {
			typ, path = "data."+path[1], path[1:]
		}
		r.path, r.kind, r.args = path[1:], words[1], words[2:]
		if !r.block() && !slices.Contains(valueRules, r.kind) {
			return nil, fmt.Errorf("rules.txt: %q: unknown kind %q", r.line, r.kind)
		}
		if r.kind == "like" {
			var err error
			if r.like, err = regexp.Compile(`^(?:` + strings.Join(r.args, " ") + `)$`); err != nil {
				return nil, fmt.Errorf("rules.txt: %q: %w", r.line, err)
			}
		}
		if err := r.known(typ, schema); err != nil {
			return nil, fmt.Errorf("rules.txt: %q: %w", r.line, err)
		}
		all[typ] = append(all[typ], r)
	}
	return all, nil
}

// known looks up the names of a rule in the schema.
func (r rule) known(typ string, schema *Schema) error {
	paths := [][]string{r.path}
	below := func(names ...string) {
		for _, n := range names {
			paths = append(paths, append(slices.Clone(r.path), strings.Split(n, ".")...))
		}
	}
	switch r.kind {
	case "exactly_one", "at_least_one", "at_most_one", "needs", "distinct":
		below(r.args...)
	case "with":
		if len(r.args) < 3 {
			return fmt.Errorf("want NAME=VALUE needs|forbids NAMES")
		}
		name, _, _ := strings.Cut(r.args[0], "=")
		below(append([]string{name}, r.args[2:]...)...)
	case "names":
		for _, ref := range r.args {
			other, attr, _ := strings.Cut(ref, ".")
			if !has(schema.resources[other], []string{attr}) {
				return fmt.Errorf("the schema has no %s", ref)
			}
		}
	}
	s := schema.resources[typ]
	if name, data := strings.CutPrefix(typ, "data."); data {
		s = schema.dataSources[name]
	}
	for _, path := range paths {
		if !has(s, path) {
			return fmt.Errorf("the schema has no %s.%s", typ, strings.Join(path, "."))
		}
	}
	return nil
}

func has(s *tfprotov5.Schema, path []string) bool {
	if s == nil {
		return false
	}
	t := s.ValueType()
	for _, name := range path {
		switch list := t.(type) {
		case tftypes.List:
			t = list.ElementType
		case tftypes.Set:
			t = list.ElementType
		}
		o, is := t.(tftypes.Object)
		if !is || o.AttributeTypes[name] == nil {
			return false
		}
		t = o.AttributeTypes[name]
	}
	return true
}

// check applies the rules that need the configuration alone. What is unknown passes: it is judged again when it is known.
func (r rules) check(typ string, config object) []*tfprotov5.Diagnostic {
	return r.apply(typ, config, func(r rule) bool { return !r.late() }, nil)
}

// resolve applies the rules that need to know what else there is.
func (r rules) resolve(typ string, values object, account *Account) []*tfprotov5.Diagnostic {
	return r.apply(typ, values, rule.late, account)
}

func (r rules) apply(typ string, values object, which func(rule) bool, account *Account) (found []*tfprotov5.Diagnostic) {
	for _, rule := range r[typ] {
		if !which(rule) {
			continue
		}
		visit(values, rule.path, tftypes.NewAttributePath(), func(x any, at *tftypes.AttributePath) {
			if err := rule.test(x, account); err != nil {
				found = append(found, problem(at, "Not what AWS takes", fmt.Sprintf("%v (%s)", err, rule.line)))
			}
		})
	}
	return found
}

// visit calls fn for what stands at a path: for each of several blocks. Lists at the end of the path are given whole.
func visit(x any, path []string, at *tftypes.AttributePath, fn func(any, *tftypes.AttributePath)) {
	if len(path) == 0 {
		if blocks, ok := x.([]any); ok && len(blocks) > 0 {
			if _, block := blocks[0].(object); block {
				for i, b := range blocks {
					fn(b, at.WithElementKeyInt(i))
				}
				return
			}
		}
		fn(x, at)
		return
	}
	switch x := x.(type) {
	case object:
		visit(x[path[0]], path[1:], at.WithAttributeName(path[0]), fn)
	case []any:
		for i, inner := range x {
			visit(inner, path, at.WithElementKeyInt(i), fn)
		}
	}
}

func (r rule) test(x any, account *Account) error {
	if r.block() {
		block, ok := x.(object)
		if !ok {
			return nil // no such block
		}
		return r.testBlock(block)
	}
	if l, isList := x.([]any); isList && r.kind != "length" {
		for _, e := range l {
			if err := r.testValue(e, account); err != nil {
				return err
			}
		}
		return nil
	}
	return r.testValue(x, account)
}

func (r rule) testBlock(block object) error {
	given, open := 0, 0
	for _, name := range r.args {
		switch x := block[name].(type) {
		case unknown:
			open++
		default:
			if set(x) {
				given++
			}
		}
	}
	names := strings.Join(r.args, ", ")
	switch r.kind {
	case "exactly_one":
		if given > 1 || (given == 0 && open == 0) {
			return fmt.Errorf("want one of %s, not %d", names, given)
		}
	case "at_least_one":
		if given == 0 && open == 0 {
			return fmt.Errorf("want %s", strings.Join(r.args, " or "))
		}
	case "at_most_one":
		if given > 1 {
			return fmt.Errorf("only one of %s may be there", names)
		}
	case "needs":
		if _, open := block[r.args[0]].(unknown); !open && set(block[r.args[0]]) {
			return needs(block, r.args[1:])
		}
	case "with":
		return r.with(block)
	case "distinct":
		return distinct(block, strings.Split(r.args[0], "."))
	}
	return nil
}

func needs(block object, names []string) error {
	for _, n := range names {
		if !set(block[n]) {
			return fmt.Errorf("%s is missing", n)
		}
	}
	return nil
}

func (r rule) with(block object) error {
	name, want, _ := strings.Cut(r.args[0], "=")
	if fmt.Sprint(block[name]) != want {
		return nil
	}
	if r.args[1] == "needs" {
		return needs(block, r.args[2:])
	}
	for _, n := range r.args[2:] {
		if _, open := block[n].(unknown); !open && set(block[n]) {
			return fmt.Errorf("%s does not go with %s", n, r.args[0])
		}
	}
	return nil
}

func distinct(block object, path []string) (err error) {
	seen := map[string]bool{}
	visit(block, path, tftypes.NewAttributePath(), func(x any, _ *tftypes.AttributePath) {
		if s, known := x.(string); known && seen[s] {
			err = fmt.Errorf("two have %s %q", strings.Join(path, "."), s)
		} else if known {
			seen[s] = true
		}
	})
	return err
}

func (r rule) testValue(x any, account *Account) error {
	if _, open := x.(unknown); open || x == nil {
		return nil
	}
	switch r.kind {
	case "between", "zero_or_between":
		return r.between(x)
	case "length":
		return r.length(x)
	}
	s := text(x)
	if n, isNumber := x.(*big.Float); isNumber {
		s = n.Text('f', -1)
	}
	switch r.kind {
	case "one_of":
		if !slices.Contains(r.args, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(r.args, ", "))
		}
	case "like":
		if !r.like.MatchString(s) {
			return fmt.Errorf("%q does not look like it", s)
		}
	case "names":
		return r.names(s, account)
	default:
		return checkText(r.kind, r.args, s)
	}
	return nil
}

func (r rule) between(x any) error {
	n, ok := x.(*big.Float)
	if !ok {
		return fmt.Errorf("%v is no number", x)
	}
	low, err := strconv.ParseFloat(r.args[0], 64)
	if err != nil {
		return err
	}
	high, err := strconv.ParseFloat(r.args[1], 64)
	if err != nil {
		return err
	}
	f, _ := n.Float64()
	if f == 0 && r.kind == "zero_or_between" || f >= low && f <= high {
		return nil
	}
	return fmt.Errorf("%v is not between %s and %s", f, r.args[0], r.args[1])
}

func (r rule) length(x any) error {
	var n int
	switch x := x.(type) {
	case string:
		n = len([]rune(x))
	case []any:
		n = len(x)
	case object:
		n = len(x)
	}
	low, err := strconv.Atoi(r.args[0])
	if err != nil {
		return err
	}
	high, err := strconv.Atoi(r.args[1])
	if err != nil {
		return err
	}
	if n < low || n > high {
		return fmt.Errorf("it has %d characters or elements, not %d to %d", n, low, high)
	}
	return nil
}

// names looks for what a value refers to.
func (r rule) names(s string, account *Account) error {
	if s == "" || account.external(s) {
		return nil
	}
	for _, ref := range r.args {
		typ, attr, _ := strings.Cut(ref, ".")
		if account.holds(typ, attr, s) {
			return nil
		}
	}
	return fmt.Errorf("there is no %s %q", strings.Join(r.args, " or "), s)
}
