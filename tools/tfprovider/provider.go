package tfprovider

import (
	"context"
	"fmt"
	"maps"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Provider serves Terraform's protocol, version 5, as the genuine provider does.
type Provider struct {
	schema    *Schema
	account   *Account // nil: nothing is kept, and a resource is what its state says
	templates templates
	rules     rules
	ahead     bool

	region      string
	defaultTags object
}

var _ tfprotov5.ProviderServer = (*Provider)(nil)

// New is a provider over an account. With none it keeps nothing: enough for `terraform validate`.
func New(schema *Schema, account *Account) (*Provider, error) {
	rules, err := readRules(ruleText, schema)
	if err != nil {
		return nil, err
	}
	p := &Provider{schema: schema, account: account, templates: readTemplates(valueText), rules: rules, region: "us-east-1"}
	return p, nil
}

// Ahead makes plans say what apply would give, down to ids and ARNs, and refuse what apply would refuse: one plan of an empty account is then as
// good as an apply, at a third of its cost. Such a plan cannot be applied.
func (p *Provider) Ahead() *Provider {
	p.ahead = true
	return p
}

func (p *Provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	resp := &tfprotov5.GetMetadataResponse{ServerCapabilities: capabilities()}
	for name := range p.schema.resources {
		resp.Resources = append(resp.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range p.schema.dataSources {
		resp.DataSources = append(resp.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return resp, nil
}

func (p *Provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return &tfprotov5.GetProviderSchemaResponse{
		ServerCapabilities: capabilities(), Provider: p.schema.config,
		ResourceSchemas: p.schema.resources, DataSourceSchemas: p.schema.dataSources,
	}, nil
}

func capabilities() *tfprotov5.ServerCapabilities {
	return &tfprotov5.ServerCapabilities{GetProviderSchemaOptional: true}
}

func (p *Provider) PrepareProviderConfig(_ context.Context, req *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: req.Config}, nil
}

func (p *Provider) ConfigureProvider(_ context.Context, req *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	config, err := decode(p.schema.config, req.Config)
	if err != nil {
		return nil, err
	}
	if r := text(config["region"]); r != "" {
		p.region = r
	}
	p.defaultTags = object{}
	blocks, _ := config["default_tags"].([]any)
	for _, b := range blocks {
		if block, ok := b.(object); ok {
			tags, _ := block["tags"].(object)
			maps.Copy(p.defaultTags, tags)
		}
	}
	return &tfprotov5.ConfigureProviderResponse{}, nil
}

func (p *Provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

// decode reads a value of a schema from the wire.
func decode(s *tfprotov5.Schema, wire *tfprotov5.DynamicValue) (object, error) {
	v, err := wire.Unmarshal(s.ValueType())
	if err != nil {
		return nil, err
	}
	return nativeObject(v)
}

// encode writes a value of a schema for the wire.
func encode(s *tfprotov5.Schema, values object) (*tfprotov5.DynamicValue, tftypes.Value, error) {
	v, err := value(s.ValueType(), values)
	if err != nil {
		return nil, v, err
	}
	wire, err := tfprotov5.NewDynamicValue(s.ValueType(), v)
	return &wire, v, err
}

func (p *Provider) resource(typ string) (*tfprotov5.Schema, error) {
	if s := p.schema.resources[typ]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no resource type %q", typ)
}

// problem is an error at an attribute, nil for the whole resource.
func problem(at *tftypes.AttributePath, summary, detail string) *tfprotov5.Diagnostic {
	return &tfprotov5.Diagnostic{Severity: tfprotov5.DiagnosticSeverityError, Summary: summary, Detail: detail, Attribute: at}
}
