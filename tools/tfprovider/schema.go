// Package tfprovider is a provider "hashicorp/aws" for tests of Terraform modules. It has the schema of the genuine provider of a version (read
// from the corpus of schemas), so that Terraform itself refuses what that version would refuse; it checks what a schema cannot say (rules.txt);
// and it keeps what was applied in an Account in memory, with plausible ARNs and ids, so that plan, apply, a second plan, drift and destroy go
// the way they go with AWS. It talks to nobody.
package tfprovider

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Schema is all that the provider's types are: of resources, data sources and the provider's own block.
type Schema struct {
	Provider    string // "hashicorp/aws 6.25.0"
	resources   map[string]*tfprotov5.Schema
	dataSources map[string]*tfprotov5.Schema
	config      *tfprotov5.Schema
	shapes      shapes
}

// field is an argument or attribute as the corpus describes it.
type field struct {
	Type                         string
	Required, Optional, Computed bool
	Fields                       map[string]field
}

// block tells whether it is written as a block; some have no fields.
func (f field) block() bool { return f.Type == "object" || f.Type == "list(object)" }

type kind struct{ Arguments, Attributes map[string]field }

// Load reads a schema.json of the corpus.
func Load(path string) (*Schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Provider    string
		Resources   map[string]kind
		DataSources map[string]kind `json:"data_sources"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	shapes, err := readShapes(shapeText)
	if err != nil {
		return nil, err
	}
	s := &Schema{
		Provider: doc.Provider, resources: map[string]*tfprotov5.Schema{}, dataSources: map[string]*tfprotov5.Schema{},
		config: providerSchema(), shapes: shapes,
	}
	for name, k := range doc.Resources {
		s.resources[name] = shapes.schema(name, k)
	}
	for name, k := range doc.DataSources {
		s.dataSources[name] = shapes.schema("data."+name, k)
	}
	return s, shapes.unused()
}

// Resources are the names of the resource types.
func (s *Schema) Resources() []string {
	var names []string
	for name := range s.resources {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

//go:embed shape.txt
var shapeText string

// shapes are the corrections of shape.txt by path: what the corpus cannot say about an argument.
type shapes map[string]*shape

type shape struct {
	words []string
	typ   tftypes.Type // of "type"
	used  bool
}

func (s *shape) is(word string) bool { return s != nil && slices.Contains(s.words, word) }

func readShapes(text string) (shapes, error) {
	all := shapes{}
	for i, line := range lines(text) {
		path, words := line[0], line[1:]
		if len(words) == 0 || all[path] != nil {
			return nil, fmt.Errorf("shape.txt, entry %d: %s has no correction, or two", i+1, path)
		}
		s := &shape{words: words}
		for _, w := range words {
			name, typ, typed := strings.Cut(w, "=")
			switch {
			case typed && name == "type":
				if s.typ = typeOf(typ); s.typ == nil {
					return nil, fmt.Errorf("shape.txt: %s: unknown type %q", path, typ)
				}
			case !slices.Contains([]string{"computed", "replace", "update", "set", "attribute", "sensitive"}, w):
				return nil, fmt.Errorf("shape.txt: %s: unknown word %q", path, w)
			}
		}
		all[path] = s
	}
	return all, nil
}

// lines are the words of each line of a table; "#" begins a comment line.
func lines(text string) (all [][]string) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			all = append(all, words)
		}
	}
	return all
}

// of is what is said of a path, or of its name in any resource.
func (s shapes) of(path string) *shape {
	found := s[path]
	if _, name, ok := strings.Cut(strings.TrimPrefix(path, "data."), "."); found == nil && ok {
		found = s["*."+name]
	}
	if found != nil {
		found.used = true
	}
	return found
}

// unused finds corrections of what is not in the schema: a misspelt path would correct nothing.
func (s shapes) unused() error {
	var names []string
	for path, shape := range s {
		if !shape.used {
			names = append(names, path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	sort.Strings(names)
	return fmt.Errorf("shape.txt: the schema has no %s", strings.Join(names, ", "))
}

func (s shapes) schema(name string, k kind) *tfprotov5.Schema {
	block := s.block(name, k.Arguments)
	for attr, f := range k.Attributes {
		block.Attributes = append(block.Attributes, &tfprotov5.SchemaAttribute{Name: attr, Type: s.typeAt(name+"."+attr, f), Computed: true})
	}
	return &tfprotov5.Schema{Block: block}
}

func (s shapes) block(path string, fields map[string]field) *tfprotov5.SchemaBlock {
	block := &tfprotov5.SchemaBlock{}
	for name, f := range fields {
		at := path + "." + name
		shape := s.of(at)
		if !f.block() || shape.is("attribute") {
			block.Attributes = append(block.Attributes, &tfprotov5.SchemaAttribute{
				Name: name, Type: s.typeAt(at, f), Required: f.Required, Optional: !f.Required, Computed: !f.Required && shape.is("computed"),
				Sensitive: shape.is("sensitive"), WriteOnly: strings.HasSuffix(name, "_wo"),
			})
			continue
		}
		nested := &tfprotov5.SchemaNestedBlock{TypeName: name, Block: s.block(at, f.Fields), Nesting: tfprotov5.SchemaNestedBlockNestingModeList}
		if shape.is("set") {
			nested.Nesting = tfprotov5.SchemaNestedBlockNestingModeSet
		}
		if f.Required {
			nested.MinItems = 1
		}
		if f.Type == "object" {
			nested.MaxItems = 1
		}
		if name == "timeouts" { // the one block that both of the provider's frameworks have as a single one
			nested.Nesting, nested.MaxItems = tfprotov5.SchemaNestedBlockNestingModeSingle, 0
		}
		block.BlockTypes = append(block.BlockTypes, nested)
	}
	return block
}

func (s shapes) typeAt(path string, f field) tftypes.Type {
	shape := s.of(path)
	switch {
	case shape != nil && shape.typ != nil:
		return shape.typ
	case !f.block():
		if t := typeOf(f.Type); t != nil {
			if l, list := t.(tftypes.List); list && shape.is("set") {
				return tftypes.Set{ElementType: l.ElementType}
			}
			return t
		}
		return tftypes.DynamicPseudoType // "computed": the corpus does not know what
	}
	element := tftypes.Object{AttributeTypes: map[string]tftypes.Type{}}
	for name, inner := range f.Fields {
		element.AttributeTypes[name] = s.typeAt(path+"."+name, inner)
	}
	return tftypes.Set{ElementType: element} // a block that may also be written as an attribute
}

func typeOf(name string) tftypes.Type {
	if kind, inner, nested := strings.Cut(strings.TrimSuffix(name, ")"), "("); nested {
		switch element := typeOf(inner); {
		case element == nil:
			return nil
		case kind == "list":
			return tftypes.List{ElementType: element}
		case kind == "set":
			return tftypes.Set{ElementType: element}
		case kind == "map":
			return tftypes.Map{ElementType: element}
		}
		return nil
	}
	return map[string]tftypes.Type{"string": tftypes.String, "number": tftypes.Number, "boolean": tftypes.Bool}[name]
}

// attribute finds a top-level attribute.
func attribute(s *tfprotov5.Schema, name string) *tfprotov5.SchemaAttribute {
	for _, a := range s.Block.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// providerSchema is the provider's own block; the corpus does not have it.
func providerSchema() *tfprotov5.Schema {
	strs := tftypes.Set{ElementType: tftypes.String}
	attrs := func(typ tftypes.Type, names ...string) (all []*tfprotov5.SchemaAttribute) {
		for _, n := range names {
			all = append(all, &tfprotov5.SchemaAttribute{Name: n, Type: typ, Optional: true})
		}
		return all
	}
	block := func(name string, most int64, attributes ...[]*tfprotov5.SchemaAttribute) *tfprotov5.SchemaNestedBlock {
		return &tfprotov5.SchemaNestedBlock{
			TypeName: name, Nesting: tfprotov5.SchemaNestedBlockNestingModeList, MaxItems: most, Block: &tfprotov5.SchemaBlock{Attributes: slices.Concat(attributes...)},
		}
	}
	text, truth := tftypes.String, tftypes.Bool
	assume := []string{"duration", "policy", "role_arn", "session_name"}
	return &tfprotov5.Schema{Block: &tfprotov5.SchemaBlock{
		Attributes: slices.Concat(
			attrs(text, "access_key", "custom_ca_bundle", "ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode", "http_proxy", "https_proxy",
				"no_proxy", "profile", "region", "retry_mode", "s3_us_east_1_regional_endpoint", "secret_key", "sts_region", "token", "user_agent_suffix"),
			attrs(truth, "insecure", "s3_use_path_style", "skip_credentials_validation", "skip_metadata_api_check", "skip_region_validation",
				"skip_requesting_account_id", "use_dualstack_endpoint", "use_fips_endpoint"),
			attrs(tftypes.Number, "max_retries", "token_bucket_rate_limiter_capacity"),
			attrs(strs, "allowed_account_ids", "forbidden_account_ids"),
			attrs(tftypes.List{ElementType: text}, "shared_config_files", "shared_credentials_files"),
		),
		BlockTypes: []*tfprotov5.SchemaNestedBlock{
			block("assume_role", 0, attrs(text, append(assume, "external_id", "source_identity")...), attrs(strs, "policy_arns", "transitive_tag_keys"),
				attrs(tftypes.Map{ElementType: text}, "tags")),
			block("assume_role_with_web_identity", 1, attrs(text, append(assume, "web_identity_token", "web_identity_token_file")...), attrs(strs, "policy_arns")),
			block("default_tags", 1, attrs(tftypes.Map{ElementType: text}, "tags")),
			block("ignore_tags", 1, attrs(strs, "keys", "key_prefixes")),
			block("endpoints", 0, attrs(text, "athena", "budgets", "cloudwatch", "cloudwatchevents", "cloudwatchlogs", "dynamodb", "ec2", "events", "glue", "iam",
				"kms", "lambda", "logs", "resourcegroupstaggingapi", "s3", "scheduler", "secretsmanager", "sfn", "sns", "sqs", "ssm", "stepfunctions", "sts")),
		},
	}}
}

// Resource is the schema of a resource type, nil for one that there is not.
func (s *Schema) Resource(typ string) *tfprotov5.Schema { return s.resources[typ] }

// DataSource is the schema of a data source, nil for one that there is not.
func (s *Schema) DataSource(typ string) *tfprotov5.Schema { return s.dataSources[typ] }
