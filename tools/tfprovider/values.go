package tfprovider

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed values.txt
var valueText string

// templates are the lines of values.txt by path.
type templates map[string]string

func readTemplates(text string) templates {
	all := templates{}
	for _, words := range lines(text) {
		all[words[0]] = strings.Join(words[1:], " ")
	}
	return all
}

// scope is what a resource or data source stands in while its computed attributes are filled.
type scope struct {
	typ      string // "aws_sqs_queue", "data.aws_region"
	schema   *tfprotov5.Schema
	values   object
	account  *Account
	region   string
	revision int // how often it was changed, from 1

	filling map[string]bool // attributes whose value is being made: one that needs itself is made from its name
}

// fill gives a value to each attribute that is unknown.
func (p *Provider) fill(s *scope) error {
	s.filling = map[string]bool{}
	for _, a := range s.schema.Block.Attributes {
		if _, open := s.values[a.Name].(unknown); !open {
			continue
		}
		if err := p.fillOne(s, a); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) fillOne(s *scope, a *tfprotov5.SchemaAttribute) error {
	s.filling[a.Name] = true
	defer delete(s.filling, a.Name)
	made := p.textFor(s, a)
	x, err := parsed(a.Type, made)
	if err != nil {
		return fmt.Errorf("%s.%s: %w", s.typ, a.Name, err)
	}
	s.values[a.Name] = x
	return nil
}

// textFor is the text of an attribute's value.
func (p *Provider) textFor(s *scope, a *tfprotov5.SchemaAttribute) string {
	if prefix, has := s.values[a.Name+"_prefix"]; has && attribute(s.schema, a.Name+"_prefix") != nil && a.Optional {
		if text(prefix) == "" {
			prefix = "terraform-"
		}
		return p.expand(s, text(prefix)+"{n}")
	}
	if t, known := p.templates[s.typ+"."+a.Name]; known {
		return p.expand(s, t)
	}
	data := strings.HasPrefix(s.typ, "data.")
	short := strings.TrimPrefix(strings.TrimPrefix(s.typ, "data."), "aws_")
	service, kind, _ := strings.Cut(short, "_")
	switch {
	case a.Name == "region":
		return s.region
	case s.typ == "aws_lambda_function" && a.Name == "version":
		if s.values["publish"] == true {
			return fmt.Sprint(s.revision)
		}
		return "$LATEST"
	case a.Name == "arn":
		return p.expand(s, "arn:{partition}:"+service+":{region}:{account}:"+strings.ReplaceAll(kind, "_", "-")+"/"+p.named(s, short))
	case a.Name == "id":
		return p.named(s, short)
	case a.Optional && !data:
		return "" // an argument that the configuration leaves out, and AWS leaves empty
	case strings.HasSuffix(a.Name, "_arn"):
		return p.expand(s, "arn:{partition}:"+service+":{region}:{account}:"+a.Name+"/{n}")
	case strings.HasSuffix(a.Name, "_date"), strings.HasPrefix(a.Name, "last_"):
		return "2026-11-28T00:00:00Z"
	}
	return strings.ReplaceAll(a.Name, "_", "-") + "-" + fmt.Sprint(s.account.next())
}

// named is what a resource without a line in the table is called by.
func (p *Provider) named(s *scope, short string) string {
	for _, name := range []string{"name", "bucket"} {
		if a := attribute(s.schema, name); a != nil && !s.filling[name] {
			if v := p.text(s, name); v != "" {
				return v
			}
		}
	}
	return fmt.Sprintf("%s-%d", strings.ReplaceAll(short, "_", "-"), s.account.next())
}

var placeholder = regexp.MustCompile(`\{[a-z0-9_]+\}`)

func (p *Provider) expand(s *scope, template string) string {
	return placeholder.ReplaceAllStringFunc(template, func(m string) string {
		name := m[1 : len(m)-1]
		switch name {
		case "n":
			return fmt.Sprint(s.account.next())
		case "hex":
			return digits(s.account.next())[:17]
		case "uuid":
			d := digits(s.account.next())
			return d[:8] + "-" + d[8:12] + "-4" + d[13:16] + "-8" + d[17:20] + "-" + d[20:32]
		case "account":
			return s.account.ID
		case "partition":
			return "aws"
		case "revision":
			return fmt.Sprint(s.revision)
		case "region":
			if r := text(s.values["region"]); r != "" {
				return r
			}
			return s.region
		}
		return p.text(s, name)
	})
}

// text is an attribute as text, made first if it is unknown.
func (p *Provider) text(s *scope, name string) string {
	if a := attribute(s.schema, name); a != nil && !s.filling[name] {
		if _, open := s.values[name].(unknown); open {
			if err := p.fillOne(s, a); err != nil {
				return ""
			}
		}
	}
	switch x := s.values[name].(type) {
	case string:
		return x
	case bool:
		return fmt.Sprint(x)
	case *big.Float:
		return x.Text('f', -1)
	}
	return ""
}

// digits are hexadecimal digits that look like chance and come from a number.
func digits(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, "lakestep ", n))
	return hex.EncodeToString(sum[:])
}

// parsed is a text as a value of a type; of a list or an object only the empty one can be made.
func parsed(t tftypes.Type, s string) (any, error) {
	switch {
	case t.Is(tftypes.String):
		return s, nil
	case t.Is(tftypes.Bool):
		return s == "true", nil
	case t.Is(tftypes.Number):
		n, _, err := big.ParseFloat(s, 10, 512, big.ToNearestEven)
		if err != nil {
			return number(0), nil // made from the name
		}
		return n, nil
	case t.Is(tftypes.Map{}), t.Is(tftypes.Object{}):
		return object{}, nil
	case t.Is(tftypes.DynamicPseudoType):
		return nil, nil
	}
	return []any{}, nil
}
