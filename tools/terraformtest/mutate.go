package terraformtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/lakestep/lakestep/tools/tfprovider"
)

// Mutant is a module with one mistake in it.
type Mutant struct {
	Kind string // rename, drop, mistype, change
	File string // from the folder terraform: "modules/lake/main.tf"
	Line int
	Path string // "aws_s3_bucket.lake.bucket"; the second block of a name is "rule#2"
	Text []byte // what the file is instead
}

// Name tells a mutant from all others, wherever in the file its line is.
func (m Mutant) Name() string { return m.Kind + " " + m.File + " " + m.Path }

// meta are arguments of Terraform itself.
var meta = []string{"count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection"}

// Mutants are all that can be made of the resources and data sources in the .tf files below a folder of the tree: of each argument and each
// nested block one that is misspelt, one without it, one with a value that its type does not take, and one with another value that it does take (not of
// what is only read by people).
func Mutants(t testing.TB, schema *tfprovider.Schema, terraform, below string) (all []Mutant) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(terraform, below, "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(terraform, path)
		if err != nil {
			t.Fatal(err)
		}
		file, diags := hclsyntax.ParseConfig(text, rel, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		m := &mutator{file: filepath.ToSlash(rel), text: text}
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			var s *tfprotov5.Schema
			switch block.Type {
			case "resource":
				s = schema.Resource(block.Labels[0])
			case "data":
				s = schema.DataSource(block.Labels[0])
			}
			if s != nil {
				m.body(strings.Join(block.Labels, "."), block.Body, s.Block)
			}
		}
		all = append(all, m.mutants...)
	}
	return all
}

type mutator struct {
	file    string
	text    []byte
	mutants []Mutant
}

func (m *mutator) body(at string, body *hclsyntax.Body, schema *tfprotov5.SchemaBlock) {
	names := make([]string, 0, len(body.Attributes))
	for name := range body.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a := body.Attributes[name]
		if slices.Contains(meta, name) {
			continue
		}
		m.add("rename", at+"."+name, a.NameRange, a.NameRange, name+"_x")
		m.add("drop", at+"."+name, a.NameRange, a.SrcRange, "")
		for _, s := range schema.Attributes {
			if s.Name == name {
				m.add("mistype", at+"."+name, a.NameRange, a.Expr.Range(), wrong(s.Type))
				if other := changed(s.Type, string(a.Expr.Range().SliceBytes(m.text))); other != "" && !strings.HasSuffix(name, "description") {
					m.add("change", at+"."+name, a.NameRange, a.Expr.Range(), other)
				}
			}
		}
	}
	seen := map[string]int{}
	for _, block := range body.Blocks {
		name, inner, label := block.Type, block.Body, block.TypeRange
		if name == "dynamic" {
			name, label = block.Labels[0], block.LabelRanges[0]
			inner = nil
			for _, b := range block.Body.Blocks {
				if b.Type == "content" {
					inner = b.Body
				}
			}
		}
		if slices.Contains(meta, name) || inner == nil {
			continue
		}
		here := at + "." + name
		if seen[name]++; seen[name] > 1 {
			here += fmt.Sprintf("#%d", seen[name])
		}
		to := name + "_x"
		if label != block.TypeRange {
			to = fmt.Sprintf("%q", to)
		}
		whole := hcl.RangeBetween(block.TypeRange, block.CloseBraceRange)
		m.add("rename", here, block.TypeRange, label, to)
		m.add("drop", here, block.TypeRange, whole, "")
		m.add("mistype", here, block.TypeRange, whole, name+` = "mutant"`)
		for _, s := range schema.BlockTypes {
			if s.TypeName == name {
				m.body(here, inner, s.Block)
			}
		}
	}
}

// add makes a mutant in which other text stands at a range.
func (m *mutator) add(kind, at string, named, where hcl.Range, text string) {
	out := slices.Concat(m.text[:where.Start.Byte], []byte(text), m.text[where.End.Byte:])
	m.mutants = append(m.mutants, Mutant{
		Kind: kind, File: m.file, Line: named.Start.Line, Path: at, Text: out,
	})
}

// wrong is an expression of a type that cannot be turned into another.
func wrong(t tftypes.Type) string {
	if t.Is(tftypes.String) {
		return `["mutant"]`
	}
	return `"mutant"`
}

// changed is an expression of the same type with another value: of an empty one, too.
func changed(t tftypes.Type, expr string) string {
	switch {
	case t.Is(tftypes.String):
		return `"x${` + expr + `}"`
	case t.Is(tftypes.Number):
		return "(" + expr + ") + 1"
	case t.Is(tftypes.Bool):
		return "!(" + expr + ")"
	case t.Is(tftypes.Map{ElementType: tftypes.String}):
		return "merge(" + expr + `, { x = "x" })`
	case t.Is(tftypes.List{}), t.Is(tftypes.Set{}):
		return "concat(tolist(" + expr + `), ["x"])`
	}
	return ""
}
