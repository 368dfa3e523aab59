package tfprovider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func (p *Provider) ValidateResourceTypeConfig(_ context.Context, req *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	config, err := decode(s, req.Config)
	if err != nil {
		return nil, err
	}
	resp := &tfprotov5.ValidateResourceTypeConfigResponse{Diagnostics: p.rules.check(req.TypeName, config)}
	for _, a := range s.Block.Attributes {
		if !a.Optional && !a.Required && config[a.Name] != nil {
			at := tftypes.NewAttributePath().WithAttributeName(a.Name)
			resp.Diagnostics = append(resp.Diagnostics, problem(at, "Value for unconfigurable attribute", a.Name+" is what AWS says."))
		}
	}
	return resp, nil
}

func (p *Provider) UpgradeResourceState(_ context.Context, req *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	v, err := req.RawState.Unmarshal(s.ValueType())
	if err != nil {
		return nil, err
	}
	wire, err := tfprotov5.NewDynamicValue(s.ValueType(), v)
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: &wire}, err
}

// ReadResource gives what stands in the account; what was removed there is gone.
func (p *Provider) ReadResource(_ context.Context, req *tfprotov5.ReadResourceRequest) (*tfprotov5.ReadResourceResponse, error) {
	resp := &tfprotov5.ReadResourceResponse{NewState: req.CurrentState, Private: req.Private}
	if p.account == nil {
		return resp, nil
	}
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	current, err := decode(s, req.CurrentState)
	if err != nil {
		return nil, err
	}
	state := tftypes.NewValue(s.ValueType(), nil)
	if found := p.account.get(req.TypeName, p.key(req.TypeName, s, current)); found != nil {
		state = found.state
	}
	wire, err := tfprotov5.NewDynamicValue(s.ValueType(), state)
	resp.NewState = &wire
	return resp, err
}

// key is what tells a resource from others of its type.
func (p *Provider) key(typ string, s *tfprotov5.Schema, values object) string {
	if t, said := p.templates[typ+".key"]; said {
		return p.expand(&scope{typ: typ, schema: s, values: values, account: p.account, region: p.region, filling: map[string]bool{}}, t)
	}
	return text(values["id"])
}

func (p *Provider) PlanResourceChange(_ context.Context, req *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	resp := &tfprotov5.PlanResourceChangeResponse{PlannedState: req.ProposedNewState, PlannedPrivate: req.PriorPrivate}
	planned, err := decode(s, req.ProposedNewState)
	if err != nil || planned == nil { // nil: it will be destroyed
		return resp, err
	}
	prior, err := decode(s, req.PriorState)
	if err != nil {
		return nil, err
	}
	config, err := decode(s, req.Config)
	if err != nil {
		return nil, err
	}
	if attribute(s, "tags_all") != nil {
		planned["tags_all"] = p.allTags(planned["tags"])
	}
	if prior == nil {
		for _, a := range s.Block.Attributes {
			if a.Computed && config[a.Name] == nil && a.Name != "tags_all" {
				planned[a.Name] = unknown{}
			}
		}
		if attribute(s, "region") != nil && config["region"] == nil {
			planned["region"] = p.region
		}
		if p.ahead && whole(config) {
			resp.PlannedState, resp.Diagnostics, err = p.made(req.TypeName, s, nil, planned)
			return resp, err
		}
	} else if resp.RequiresReplace, err = p.changes(req.TypeName, s, prior, planned); err != nil {
		return nil, err
	}
	resp.PlannedState, _, err = encode(s, planned)
	return resp, err
}

// changes marks in a plan what an update makes unknown, and gives the attributes that cannot be updated.
func (p *Provider) changes(typ string, s *tfprotov5.Schema, prior, planned object) (replace []*tftypes.AttributePath, err error) {
	before, err := value(s.ValueType(), prior)
	if err != nil {
		return nil, err
	}
	after, err := value(s.ValueType(), planned)
	if err != nil || before.Equal(after) {
		return nil, err
	}
	for _, a := range s.Block.Attributes {
		shape := p.schema.shapes.of(typ + "." + a.Name)
		was, err := value(a.Type, prior[a.Name])
		if err != nil {
			return nil, err
		}
		is, err := value(a.Type, planned[a.Name])
		switch {
		case err != nil:
			return nil, err
		case shape.is("replace") && !was.Equal(is):
			replace = append(replace, tftypes.NewAttributePath().WithAttributeName(a.Name))
		case shape.is("update"):
			planned[a.Name] = unknown{}
		}
	}
	return replace, nil
}

// allTags are a resource's tags with the provider's default tags.
func (p *Provider) allTags(tags any) any {
	own, _ := tags.(object)
	if !whole(tags) || !whole(p.defaultTags) {
		return unknown{}
	}
	all := object{}
	maps.Copy(all, p.defaultTags)
	maps.Copy(all, own)
	if len(all) == 0 {
		return nil
	}
	return all
}

func (p *Provider) ApplyResourceChange(_ context.Context, req *tfprotov5.ApplyResourceChangeRequest) (*tfprotov5.ApplyResourceChangeResponse, error) {
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	resp := &tfprotov5.ApplyResourceChangeResponse{NewState: req.PlannedState, Private: req.PlannedPrivate}
	prior, err := decode(s, req.PriorState)
	if err != nil {
		return nil, err
	}
	planned, err := decode(s, req.PlannedState)
	if err != nil {
		return nil, err
	}
	if planned == nil {
		if p.account != nil {
			p.account.remove(req.TypeName, p.key(req.TypeName, s, prior))
		}
		return resp, nil
	}
	resp.NewState, resp.Diagnostics, err = p.made(req.TypeName, s, prior, planned)
	if len(resp.Diagnostics) > 0 {
		resp.NewState = req.PriorState
	}
	return resp, err
}

// made fills what is unknown of a resource, and puts it into the account.
func (p *Provider) made(typ string, s *tfprotov5.Schema, prior, planned object) (*tfprotov5.DynamicValue, []*tfprotov5.Diagnostic, error) {
	account := p.account
	if account == nil {
		account = NewAccount()
	}
	sc := &scope{typ: typ, schema: s, values: planned, account: account, region: p.region, revision: 1}
	if prior != nil {
		if was := account.get(typ, p.key(typ, s, prior)); was != nil {
			sc.revision = was.revision + 1
		}
	}
	if err := p.fill(sc); err != nil {
		return nil, nil, err
	}
	wire, state, err := encode(s, planned)
	if err != nil || p.account == nil {
		return wire, nil, err
	}
	if problems := p.rules.resolve(typ, planned, account); len(problems) > 0 {
		return nil, problems, nil
	}
	err = account.put(typ, p.key(typ, s, planned), &thing{state: state, values: planned, revision: sc.revision}, prior == nil)
	if err != nil {
		return nil, []*tfprotov5.Diagnostic{problem(nil, "It exists already", err.Error())}, nil
	}
	return wire, nil, nil
}

// ImportResourceState finds a resource of the account by its id.
func (p *Provider) ImportResourceState(_ context.Context, req *tfprotov5.ImportResourceStateRequest) (*tfprotov5.ImportResourceStateResponse, error) {
	resp := &tfprotov5.ImportResourceStateResponse{}
	s, err := p.resource(req.TypeName)
	if err != nil {
		return nil, err
	}
	var found *thing
	if p.account != nil {
		found = p.account.get(req.TypeName, req.ID)
	}
	if found == nil {
		resp.Diagnostics = append(resp.Diagnostics, problem(nil, "Nothing to import", "The account has no "+req.TypeName+" "+req.ID+"."))
		return resp, nil
	}
	wire, err := tfprotov5.NewDynamicValue(s.ValueType(), found.state)
	resp.ImportedResources = []*tfprotov5.ImportedResource{{TypeName: req.TypeName, State: &wire}}
	return resp, err
}

func (p *Provider) MoveResourceState(context.Context, *tfprotov5.MoveResourceStateRequest) (*tfprotov5.MoveResourceStateResponse, error) {
	return &tfprotov5.MoveResourceStateResponse{Diagnostics: []*tfprotov5.Diagnostic{problem(nil, "No move between types", "The test provider does not do that.")}}, nil
}
