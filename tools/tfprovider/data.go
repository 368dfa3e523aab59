package tfprovider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
)

func (p *Provider) dataSource(typ string) (*tfprotov5.Schema, error) {
	if s := p.schema.dataSources[typ]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no data source %q", typ)
}

func (p *Provider) ValidateDataSourceConfig(_ context.Context, req *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	s, err := p.dataSource(req.TypeName)
	if err != nil {
		return nil, err
	}
	config, err := decode(s, req.Config)
	if err != nil {
		return nil, err
	}
	return &tfprotov5.ValidateDataSourceConfigResponse{Diagnostics: p.rules.check("data."+req.TypeName, config)}, nil
}

func (p *Provider) ReadDataSource(_ context.Context, req *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	s, err := p.dataSource(req.TypeName)
	if err != nil {
		return nil, err
	}
	values, err := decode(s, req.Config)
	if err != nil {
		return nil, err
	}
	account := p.account
	if account == nil {
		account = NewAccount()
	}
	for _, a := range s.Block.Attributes {
		computed := a.Computed || a.Name == "id" || a.Name == "region"
		if computed && values[a.Name] == nil {
			values[a.Name] = unknown{}
		}
	}
	switch req.TypeName {
	case "aws_iam_policy_document":
		if err := policyDocument(values); err != nil {
			return &tfprotov5.ReadDataSourceResponse{Diagnostics: []*tfprotov5.Diagnostic{problem(nil, "Not a policy", err.Error())}}, nil
		}
	case "aws_availability_zones":
		values["names"] = []any{p.region + "a", p.region + "b", p.region + "c"}
		values["zone_ids"] = []any{"use1-az1", "use1-az2", "use1-az3"}
	case "aws_subnets":
		values["ids"] = []any{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}
	}
	sc := &scope{typ: "data." + req.TypeName, schema: s, values: values, account: account, region: p.region, revision: 1}
	if err := p.fill(sc); err != nil {
		return nil, err
	}
	wire, _, err := encode(s, values)
	return &tfprotov5.ReadDataSourceResponse{State: wire}, err
}

// policyDocument makes the JSON of an aws_iam_policy_document, as the genuine provider does: single values stand without a list, statements of
// source documents come first, and a statement replaces one with its Sid from an override.
func policyDocument(values object) error {
	var all []object
	sids := map[string]int{}
	add := func(override bool, statements ...object) error {
		for _, s := range statements {
			sid := text(s["Sid"])
			at, seen := sids[sid]
			switch {
			case sid != "" && seen && override:
				all[at] = s
				continue
			case sid != "" && seen:
				return fmt.Errorf("two statements have the Sid %q", sid)
			}
			sids[sid] = len(all)
			all = append(all, s)
		}
		return nil
	}
	for _, source := range list(values["source_policy_documents"]) {
		statements, err := statementsOf(text(source))
		if err == nil {
			err = add(false, statements...)
		}
		if err != nil {
			return fmt.Errorf("source_policy_documents: %w", err)
		}
	}
	for _, block := range list(values["statement"]) {
		if err := add(false, statement(block.(object))); err != nil {
			return err
		}
	}
	for _, source := range list(values["override_policy_documents"]) {
		statements, err := statementsOf(text(source))
		if err == nil {
			err = add(true, statements...)
		}
		if err != nil {
			return fmt.Errorf("override_policy_documents: %w", err)
		}
	}
	version := text(values["version"])
	if version == "" {
		version = "2012-10-17"
		values["version"] = version
	}
	doc := object{"Version": version, "Statement": all}
	if id := text(values["policy_id"]); id != "" {
		doc["Id"] = id
	}
	pretty, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	short, err := json.Marshal(doc)
	values["json"], values["minified_json"] = string(pretty), string(short)
	return err
}

func list(x any) []any {
	l, _ := x.([]any)
	return l
}

func statementsOf(document string) ([]object, error) {
	if document == "" {
		return nil, nil
	}
	var doc struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		return nil, err
	}
	var many []object
	if err := json.Unmarshal(doc.Statement, &many); err == nil {
		return many, nil
	}
	var one object
	err := json.Unmarshal(doc.Statement, &one)
	return []object{one}, err
}

func statement(block object) object {
	s := object{"Effect": "Allow"}
	if e := text(block["effect"]); e != "" {
		s["Effect"] = e
	}
	if sid := text(block["sid"]); sid != "" {
		s["Sid"] = sid
	}
	for from, to := range map[string]string{"actions": "Action", "not_actions": "NotAction", "resources": "Resource", "not_resources": "NotResource"} {
		if l := list(block[from]); len(l) > 0 {
			s[to] = single(l)
		}
	}
	for from, to := range map[string]string{"principals": "Principal", "not_principals": "NotPrincipal"} {
		if l := list(block[from]); len(l) > 0 {
			s[to] = principals(l)
		}
	}
	conditions := map[string]map[string][]any{}
	for _, c := range list(block["condition"]) {
		b := c.(object)
		test, variable := text(b["test"]), text(b["variable"])
		if conditions[test] == nil {
			conditions[test] = map[string][]any{}
		}
		conditions[test][variable] = append(conditions[test][variable], list(b["values"])...)
	}
	if len(conditions) > 0 {
		out := object{}
		for test, variables := range conditions {
			inner := object{}
			for name, values := range variables {
				inner[name] = single(values)
			}
			out[test] = inner
		}
		s["Condition"] = out
	}
	return s
}

func principals(blocks []any) any {
	byType := map[string][]any{}
	for _, b := range blocks {
		block := b.(object)
		typ := text(block["type"])
		byType[typ] = append(byType[typ], list(block["identifiers"])...)
	}
	if all := byType["*"]; len(byType) == 1 && len(all) == 1 && all[0] == "*" {
		return "*"
	}
	out := object{}
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		out[typ] = single(byType[typ])
	}
	return out
}

// single is a list of texts as policies have it: sorted, one alone without the list.
func single(l []any) any {
	l = slices.Clone(l)
	slices.SortFunc(l, func(a, b any) int {
		if text(a) < text(b) {
			return 1 // the genuine provider sorts backwards
		}
		return -1
	})
	if len(l) == 1 {
		return l[0]
	}
	return l
}
