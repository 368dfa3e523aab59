package tools_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is generated")

// terraformTables is the page that lists what the modules take and give.
const terraformTables = "docs/aws-terraform.md"

const terraformHead = `# Terraform: inputs and outputs

Generated from terraform/*.tf: ` + "`go test ./tools -run TestTerraformTables -update`" + `. [aws.md](aws.md) is the guide.

Most people need the stack's inputs alone: terraform/examples/dev and prod show them at work. The modules can be used one by one, too.
`

// A block of Terraform's language as terraform fmt lays it out: its attributes are indented by two spaces.
var (
	blockOf     = regexp.MustCompile(`(?ms)^(variable|output) "([a-z0-9_]+)" \{\n(.*?)^\}`)
	attributeOf = regexp.MustCompile(`(?m)^  ([a-z]+) += (.*)$`)
)

// terraformBlock is a variable or an output.
type terraformBlock struct {
	name, about, typ, def string
	required              bool
}

// blocks reads the variables or outputs of a module.
func blocks(t *testing.T, file, kind string) (out []terraformBlock) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range blockOf.FindAllStringSubmatch(string(text), -1) {
		if m[1] != kind {
			t.Errorf("%s: %s %q: variables stand in variables.tf, outputs in outputs.tf", file, m[1], m[2])
			continue
		}
		b := terraformBlock{name: m[2], required: true}
		for _, a := range attributeOf.FindAllStringSubmatch(m[3], -1) {
			switch value := strings.TrimSpace(a[2]); a[1] {
			case "description":
				b.about = strings.ReplaceAll(strings.Trim(value, `"`), `\"`, `"`)
			case "type":
				b.typ = strings.TrimSuffix(strings.TrimSuffix(value, "({"), "(object")
			case "default":
				b.def, b.required = strings.TrimSuffix(value, "{"), false
			}
		}
		if b.about == "" || kind == "variable" && b.typ == "" {
			t.Errorf("%s: %s %s lacks a description or a type", file, kind, b.name)
		}
		out = append(out, b)
	}
	return out
}

// table is a module's part of the page.
func table(t *testing.T, dir string) string {
	t.Helper()
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	var b strings.Builder
	fmt.Fprint(&b, "\n| input | type | default | |\n|---|---|---|---|\n")
	for _, v := range blocks(t, filepath.Join(dir, "variables.tf"), "variable") {
		def := "`" + v.def + "`"
		switch {
		case v.required:
			def = "required"
		case v.def == "":
			def = "see the file"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.name, cell(v.typ), cell(def), cell(v.about))
	}
	fmt.Fprint(&b, "\n| output | |\n|---|---|\n")
	for _, o := range blocks(t, filepath.Join(dir, "outputs.tf"), "output") {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.name, cell(o.about))
	}
	return b.String()
}

// The page of inputs and outputs says what the modules say, all of which are described.
func TestTerraformTables(t *testing.T) {
	top := root(t)
	modules, err := filepath.Glob(filepath.Join(top, "terraform/modules/*"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("no modules: %v", err)
	}
	page := terraformHead + "\n## The stack\n" + table(t, filepath.Join(top, "terraform"))
	for _, m := range modules {
		page += "\n## modules/" + filepath.Base(m) + "\n" + table(t, m)
	}
	file := filepath.Join(top, terraformTables)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != page {
		t.Errorf("%s is not what the modules say (%v): go test ./tools -run TestTerraformTables -update", terraformTables, err)
	}
}
