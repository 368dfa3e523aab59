package message

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tidwall/gjson"
)

// jsonSchemaCodec decodes JSON that must hold to a schema. The schema types the properties of the top level; what it does not speak of, or
// leaves open, is JSON text.
type jsonSchemaCodec struct {
	schema *jsonschema.Schema
	kinds  map[string]kind // of properties; those that are not in it are text
	whole  kind            // of values that are no objects
}

// schemaName is where the compiler finds the schema itself.
const schemaName = "registry:///schema.json"

func newJSONSchema(text string, references []named) (*jsonSchemaCodec, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // as Confluent's serializer
	c.UseLoader(schemaLoader(references))
	c.UseRegexpEngine(lenient)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	if err := c.AddResource(schemaName, doc); err != nil {
		return nil, err
	}
	s, err := c.Compile(schemaName)
	if err != nil {
		return nil, err
	}
	codec := &jsonSchemaCodec{schema: s, kinds: map[string]kind{}, whole: kindOf(s, 0)}
	for name, property := range propertiesOf(s, 0) {
		codec.kinds[name] = kindOf(property, 0)
	}
	return codec, nil
}

// schemaLoader finds the schemas that others refer to: by the whole address, or by its end, since the registry knows relative names only.
type schemaLoader []named

func (all schemaLoader) Load(url string) (any, error) {
	for _, ref := range all {
		if url == ref.name || strings.HasSuffix(url, "/"+strings.TrimPrefix(ref.name, "./")) {
			return jsonschema.UnmarshalJSON(strings.NewReader(ref.text))
		}
	}
	return nil, fmt.Errorf("it refers to %s, which is not among its references in the registry", url)
}

// lenient compiles patterns. One that Go does not know (with look-around) is taken as met: else no message of the schema could be read.
func lenient(pattern string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return anything(pattern), nil
	}
	return re, nil
}

type anything string

func (anything) MatchString(string) bool { return true }
func (p anything) String() string        { return string(p) }

// maxRefs bounds how far references are followed.
const maxRefs = 50

// propertiesOf gives the properties of an object, also those of schemas that it must hold to, too.
func propertiesOf(s *jsonschema.Schema, depth int) map[string]*jsonschema.Schema {
	if s == nil || depth > maxRefs {
		return nil
	}
	out := map[string]*jsonschema.Schema{}
	for _, part := range append([]*jsonschema.Schema{s.Ref}, s.AllOf...) {
		for name, p := range propertiesOf(part, depth+1) {
			out[name] = p
		}
	}
	for name, p := range s.Properties {
		out[name] = p
	}
	return out
}

// kindOf gives the kind of the values that a schema lets pass.
func kindOf(s *jsonschema.Schema, depth int) kind {
	if s == nil || depth > maxRefs {
		return kindText
	}
	if s.Types != nil {
		return kindOfTypes(s.Types.ToStrings())
	}
	if s.Ref != nil {
		return kindOf(s.Ref, depth+1)
	}
	var left []*jsonschema.Schema
	for _, branch := range append(append([]*jsonschema.Schema{}, s.OneOf...), s.AnyOf...) {
		if branch.Types == nil || strings.Join(branch.Types.ToStrings(), "") != "null" {
			left = append(left, branch)
		}
	}
	if len(left) == 1 {
		return kindOf(left[0], depth+1)
	}
	return kindText
}

func kindOfTypes(types []string) kind {
	k := kindText
	n := 0
	for _, t := range types {
		if t == "null" {
			continue
		}
		n++
		switch t {
		case "integer":
			k = kindLong
		case "number":
			k = kindDouble
		case "boolean":
			k = kindBool
		}
	}
	if n != 1 {
		return kindText
	}
	return k
}

func (j *jsonSchemaCodec) fields(payload []byte, o *object) error {
	root, err := j.check(payload)
	if err != nil {
		return err
	}
	if !root.IsObject() {
		o.add(valueColumn, j.whole, root)
		return nil
	}
	root.ForEach(func(k, v gjson.Result) bool {
		o.add(k.String(), j.kinds[k.String()], v)
		return true
	})
	return nil
}

func (j *jsonSchemaCodec) check(payload []byte) (gjson.Result, error) {
	root, err := parseJSON(payload)
	if err != nil {
		return root, err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(root.Raw))
	if err == nil {
		err = j.schema.Validate(v)
	}
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		err = fmt.Errorf("not what the schema asks for: %s", cut(strings.Join(strings.Fields(violations(invalid)), " "), 1000))
	}
	return root, err
}

// violations lists what a value lacks, without the schema's address.
func violations(e *jsonschema.ValidationError) string {
	text := e.Error()
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		return rest
	}
	return text
}

func (j *jsonSchemaCodec) key(payload []byte) ([]byte, error) {
	root, err := j.check(payload)
	return jsonKey(root), err
}

// jsonKey gives a JSON value as a key: a text as it is, all else without white space.
func jsonKey(v gjson.Result) []byte {
	switch v.Type {
	case gjson.Null:
		return nil
	case gjson.String:
		return []byte(v.String())
	}
	return []byte(v.Get("@ugly").Raw)
}

var (
	errNotUTF8   = errors.New("the value is not UTF-8")
	errNotJSON   = errors.New("the value is not JSON")
	errNotObject = errors.New("the value is not a JSON object")
	errTooDeep   = fmt.Errorf("the value nests deeper than %d levels", maxJSONDepth)
)

// parseJSON checks that bytes are one JSON value.
func parseJSON(payload []byte) (gjson.Result, error) {
	text := strings.TrimSpace(string(payload))
	switch {
	case !utf8.ValidString(text):
		return gjson.Result{}, errNotUTF8
	case tooDeep(text):
		return gjson.Result{}, errTooDeep
	case !gjson.Valid(text):
		return gjson.Result{}, errNotJSON
	}
	return gjson.Parse(text), nil
}

// maxJSONDepth bounds the nesting, as encoding/json does: a checker that recurses would overflow the stack, which nothing catches.
const maxJSONDepth = 10_000

func tooDeep(text string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			if depth++; depth > maxJSONDepth {
				return true
			}
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return false
}
