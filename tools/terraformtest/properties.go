package terraformtest

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// Property is something that must be so of what was applied. It is a line of text:
//
//	lake.aws_s3_bucket_versioning.lake  versioning_configuration[0].status  =  "Enabled"
//
// The address leaves out the words "module" and the first module's name. With [*] at its end it means all instances (at least one), and {key}
// in what is wanted is the instance's key. A path has names, [0], [Sid=Logs] for the one block that has such a field, and ! where a text is
// JSON that the path goes on in. Behind it stands one of
//
//	= JSON            exactly that
//	has JSON          a list with (at least) these elements
//	like REGEXP       a text
//	present, absent   something, or nothing, is there
//	same ADDR PATH    what stands at another place
type Property struct {
	line                string
	address, path, kind string
	want                string
}

var _ statecheck.StateCheck = Property{}

var kinds = []string{"=", "has", "like", "present", "absent", "same"}

// Properties reads lines; names in braces are replaced by their values. "#" begins a comment line.
func Properties(text string, names map[string]string) (all []Property, err error) {
	for name, value := range names {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 3 || !slices.Contains(kinds, words[2]) {
			return nil, fmt.Errorf("%q is no property: want ADDRESS PATH and one of %s", strings.TrimSpace(line), strings.Join(kinds, ", "))
		}
		all = append(all, Property{
			line: strings.Join(words, " "), address: words[0], path: words[1], kind: words[2], want: strings.Join(words[3:], " "),
		})
	}
	return all, nil
}

func (p Property) String() string { return p.line }

// CheckState is for terraform-plugin-testing.
func (p Property) CheckState(_ context.Context, req statecheck.CheckStateRequest, resp *statecheck.CheckStateResponse) {
	resp.Error = p.Check(Index(req.State.Values))
}

// Resources are what was applied, by address.
type Resources map[string]map[string]any

var module = regexp.MustCompile(`module\.([a-z_]+)(\[[^\]]*\])?\.`)

// Index gathers the managed resources of all modules.
func Index(values *tfjson.StateValues) Resources {
	all := Resources{}
	var add func(m *tfjson.StateModule)
	add = func(m *tfjson.StateModule) {
		for _, r := range m.Resources {
			if r.Mode == tfjson.ManagedResourceMode {
				_, address, _ := strings.Cut(module.ReplaceAllString(r.Address, "$1."), ".")
				all[address] = r.AttributeValues
			}
		}
		for _, child := range m.ChildModules {
			add(child)
		}
	}
	if values != nil && values.RootModule != nil {
		add(values.RootModule)
	}
	return all
}

// About tells whether all that the property speaks of is there.
func (p Property) About(resources Resources) bool {
	has := func(address string) bool {
		base, every := strings.CutSuffix(address, "[*]")
		for a := range resources {
			if a == address || every && strings.HasPrefix(a, base+"[") {
				return true
			}
		}
		return false
	}
	if p.kind == "same" {
		other, _, _ := strings.Cut(p.want, " ")
		if base, keyed := strings.CutSuffix(other, `["{key}"]`); keyed {
			other = base + "[*]"
		}
		if !has(other) {
			return false
		}
	}
	return has(p.address)
}

// Check tells whether the property holds.
func (p Property) Check(resources Resources) error {
	base, every := strings.CutSuffix(p.address, "[*]")
	if !every {
		values, there := resources[p.address]
		if !there {
			return fmt.Errorf("%s: there is no such resource", p.line)
		}
		return p.one(resources, p.address, values, "")
	}
	found := false
	for address, values := range resources {
		key, instance := strings.CutPrefix(address, base+"[")
		if !instance {
			continue
		}
		found = true
		if err := p.one(resources, address, values, strings.Trim(key, `"]`)); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s: there is no such resource", p.line)
	}
	return nil
}

func (p Property) one(resources Resources, address string, values map[string]any, key string) error {
	got, err := at(values, p.path)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.line, address, err)
	}
	if err := p.compare(resources, got, key); err != nil {
		return fmt.Errorf("%s: %s: %w", p.line, address, err)
	}
	return nil
}

func (p Property) compare(resources Resources, got any, key string) error {
	want := strings.ReplaceAll(p.want, "{key}", key)
	switch p.kind {
	case "present":
		if absent(got) {
			return fmt.Errorf("nothing is there")
		}
		return nil
	case "absent":
		if !absent(got) {
			return fmt.Errorf("there is %v", got)
		}
		return nil
	case "like":
		re, err := regexp.Compile("^(?:" + want + ")$")
		if err != nil {
			return err
		}
		return knownvalue.StringRegexp(re).CheckValue(got)
	case "same":
		address, path, _ := strings.Cut(want, " ")
		other, there := resources[address]
		if !there {
			return fmt.Errorf("there is no %s", address)
		}
		x, err := at(other, path)
		if err != nil {
			return err
		}
		return known(x).CheckValue(got)
	}
	var x any
	d := json.NewDecoder(strings.NewReader(want))
	d.UseNumber()
	if err := d.Decode(&x); err != nil {
		return fmt.Errorf("%q is no JSON: %w", want, err)
	}
	if l, isList := x.([]any); p.kind == "has" && isList {
		return knownvalue.SetPartial(checks(l)).CheckValue(got)
	}
	return known(x).CheckValue(got)
}

func absent(x any) bool {
	switch x := x.(type) {
	case nil:
		return true
	case string:
		return x == ""
	case []any:
		return len(x) == 0
	case map[string]any:
		return len(x) == 0
	}
	return false
}

// known is the check for exactly a value of JSON.
func known(x any) knownvalue.Check {
	switch x := x.(type) {
	case string:
		return knownvalue.StringExact(x)
	case bool:
		return knownvalue.Bool(x)
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return knownvalue.Int64Exact(n)
		}
		f, err := x.Float64()
		if err != nil {
			return knownvalue.StringExact(x.String())
		}
		return knownvalue.Float64Exact(f)
	case []any:
		return knownvalue.ListExact(checks(x))
	case map[string]any:
		all := map[string]knownvalue.Check{}
		for k, v := range x {
			all[k] = known(v)
		}
		return knownvalue.ObjectExact(all)
	}
	return knownvalue.Null()
}

func checks(l []any) (all []knownvalue.Check) {
	for _, x := range l {
		all = append(all, known(x))
	}
	return all
}

var step = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_:-]+)|\[([0-9]+)\]|\[([A-Za-z_]+)=([^\]]*)\]|(!))`)

// at follows a path. What is not there is nil; a path that leads through something of another kind is an error.
func at(x any, path string) (any, error) {
	for path != "" {
		m := step.FindStringSubmatch(path)
		if m == nil {
			return nil, fmt.Errorf("no path at %q", path)
		}
		path = path[len(m[0]):]
		switch name, index, field, value := m[1], m[2], m[3], m[4]; {
		case m[5] != "":
			s, is := x.(string)
			if !is {
				return nil, fmt.Errorf("no text with JSON, but %v", x)
			}
			d := json.NewDecoder(strings.NewReader(s))
			d.UseNumber()
			x = nil
			if err := d.Decode(&x); err != nil {
				return nil, err
			}
		case name != "":
			o, is := x.(map[string]any)
			if !is && x != nil {
				return nil, fmt.Errorf("no %s in %v", name, x)
			}
			x = o[name]
		default:
			l, is := x.([]any)
			if !is && x != nil {
				return nil, fmt.Errorf("no list, but %v", x)
			}
			x = element(l, index, field, value)
		}
	}
	return x, nil
}

func element(l []any, index, field, value string) any {
	if index != "" {
		if n, err := strconv.Atoi(index); err == nil && n < len(l) {
			return l[n]
		}
		return nil
	}
	for _, e := range l {
		if o, is := e.(map[string]any); is && fmt.Sprint(o[field]) == value {
			return e
		}
	}
	return nil
}
