package terraformtest

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	tfjson "github.com/hashicorp/terraform-json"
)

// Overlay is how modules are changed for a provider that does not know all they use: lines of text, so that what is tested otherwise than it is
// written can be read in one place.
//
//	drop TYPE              resources of the type, also from depends_on
//	drop TYPE.PATH         an argument or block
//	set TYPE.PATH EXPR     another value for an argument
//	add TYPE.NAME EXPR     an argument more
//	ignore TYPE.NAME       what the provider says of an argument afterwards
//	rename TYPE TYPE       another name of a resource type
//	replace TEXT -> TEXT   in expressions, of all files or ("replace in FOLDER TEXT -> TEXT") of one folder's
//
// Behind " # " stands why the provider cannot take what its schema does know.
type Overlay struct {
	lines  []overlayLine
	unused map[string]bool
}

type overlayLine struct{ text, verb, folder, path, to, why string }

// ReadOverlay reads the lines; "#" begins a comment line.
func ReadOverlay(text string) (*Overlay, error) {
	o := &Overlay{unused: map[string]bool{}}
	for line := range strings.Lines(text) {
		line, why, _ := strings.Cut(line, " # ")
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		l := overlayLine{text: strings.Join(words, " "), verb: words[0], why: strings.TrimSpace(why)}
		switch {
		case (l.verb == "drop" || l.verb == "ignore") && len(words) == 2:
			l.path = words[1]
		case l.verb == "rename" && len(words) == 3, (l.verb == "set" || l.verb == "add") && len(words) > 2:
			l.path, l.to = words[1], strings.Join(words[2:], " ")
		case l.verb == "replace" && len(words) > 3:
			if words[1] == "in" {
				l.folder, words = words[2], words[2:]
			}
			from, to, ok := strings.Cut(strings.Join(words[1:], " "), " -> ")
			if !ok {
				return nil, fmt.Errorf("%q: want replace TEXT -> TEXT", l.text)
			}
			l.path, l.to = from, to
		default:
			return nil, fmt.Errorf("%q is no line of an overlay", l.text)
		}
		o.lines = append(o.lines, l)
		o.unused[l.text] = true
	}
	return o, nil
}

// Apply changes all .tf files of a copied tree, and gives the lines that changed nothing: they are not needed any more.
func (o *Overlay) Apply(t testing.TB, tree string) (unused []string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.tf", "modules/*/*.tf", "examples/*/*.tf"} {
		found, err := filepath.Glob(filepath.Join(tree, "terraform", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := o.file(path, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range o.lines {
		if o.unused[l.text] {
			unused = append(unused, l.text)
		}
	}
	return unused
}

// Needless gives the lines that drop, without a reason, what a schema knows.
func (o *Overlay) Needless(schema *tfjson.ProviderSchema) (lines []string) {
	for _, l := range o.lines {
		typ, path, _ := strings.Cut(l.path, ".")
		if r := schema.ResourceSchemas[typ]; l.verb == "drop" && l.why == "" && r != nil && (path == "" || hasArgument(r.Block, strings.Split(path, "."))) {
			lines = append(lines, l.text)
		}
	}
	return lines
}

func hasArgument(block *tfjson.SchemaBlock, path []string) bool {
	if len(path) == 1 && block.Attributes[path[0]] != nil {
		return true
	}
	nested := block.NestedBlocks[path[0]]
	return nested != nil && (len(path) == 1 || hasArgument(nested.Block, path[1:]))
}

// edit is another text for a range of a file.
type edit struct {
	from, to int
	text     string
}

func (o *Overlay) file(path string, text []byte) ([]byte, error) {
	for _, l := range o.lines {
		here := l.folder == "" || strings.HasSuffix(filepath.ToSlash(filepath.Dir(path)), "/"+l.folder)
		if l.verb == "replace" && here && bytes.Contains(text, []byte(l.path)) {
			text = bytes.ReplaceAll(text, []byte(l.path), []byte(l.to))
			delete(o.unused, l.text)
		}
	}
	file, diags := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	var edits []edit
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		edits = append(edits, o.dependencies(block.Body, text)...)
		if block.Type == "resource" {
			edits = append(edits, o.resource(block)...)
		}
	}
	// From the end, so that ranges hold; what lies within something that goes as a whole goes with it.
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	end := 0
	edits = slices.DeleteFunc(edits, func(e edit) bool {
		inside := e.from < end
		end = max(end, e.to)
		return inside
	})
	for _, e := range slices.Backward(edits) {
		text = slices.Concat(text[:e.from], []byte(e.text), text[e.to:])
	}
	return text, nil
}

func (o *Overlay) resource(block *hclsyntax.Block) []edit {
	typ := block.Labels[0]
	for _, l := range o.lines {
		if l.path != typ {
			continue
		}
		delete(o.unused, l.text)
		if l.verb == "drop" {
			return []edit{{from: block.TypeRange.Start.Byte, to: block.CloseBraceRange.End.Byte}}
		}
	}
	var edits []edit
	for _, l := range o.lines {
		path, inside := strings.CutPrefix(l.path, typ+".")
		switch {
		case l.verb == "rename" && l.path == typ:
			edits = append(edits, edit{block.LabelRanges[0].Start.Byte, block.LabelRanges[0].End.Byte, fmt.Sprintf("%q", l.to)})
		case inside && l.verb == "add":
			delete(o.unused, l.text)
			end := block.OpenBraceRange.End.Byte
			edits = append(edits, edit{end, end, "\n  " + path + " = " + l.to})
		case inside && l.verb == "ignore":
			delete(o.unused, l.text)
			end := block.OpenBraceRange.End.Byte
			edits = append(edits, edit{end, end, "\n  lifecycle {\n    ignore_changes = [" + path + "]\n  }\n"})
		case inside && l.verb != "replace":
			edits = append(edits, o.argument(l, block.Body, strings.Split(path, "."))...)
		}
	}
	return edits
}

// argument finds what a line speaks of in a body.
func (o *Overlay) argument(l overlayLine, body *hclsyntax.Body, path []string) (edits []edit) {
	if a := body.Attributes[path[0]]; a != nil && len(path) == 1 {
		delete(o.unused, l.text)
		if l.verb == "drop" {
			return []edit{{from: a.SrcRange.Start.Byte, to: a.SrcRange.End.Byte}}
		}
		return []edit{{from: a.Expr.Range().Start.Byte, to: a.Expr.Range().End.Byte, text: l.to}}
	}
	for _, b := range body.Blocks {
		inner, dynamic := b.Body, b.Type == "dynamic" && b.Labels[0] == path[0]
		if b.Type != path[0] && !dynamic {
			continue
		}
		if dynamic {
			for _, c := range b.Body.Blocks {
				inner = c.Body
			}
		}
		if len(path) > 1 {
			edits = append(edits, o.argument(l, inner, path[1:])...)
			continue
		}
		delete(o.unused, l.text)
		edits = append(edits, edit{from: b.TypeRange.Start.Byte, to: b.CloseBraceRange.End.Byte})
	}
	return edits
}

// dependencies takes dropped resources out of depends_on.
func (o *Overlay) dependencies(body *hclsyntax.Body, text []byte) []edit {
	a := body.Attributes["depends_on"]
	if a == nil {
		return nil
	}
	list, is := a.Expr.(*hclsyntax.TupleConsExpr)
	if !is {
		return nil
	}
	var keep []string
	for _, e := range list.Exprs {
		s := string(e.Range().SliceBytes(text))
		typ, _, _ := strings.Cut(s, ".")
		if !o.drops(typ) {
			keep = append(keep, o.renamed(s))
		}
	}
	r := a.Expr.Range()
	return []edit{{r.Start.Byte, r.End.Byte, "[" + strings.Join(keep, ", ") + "]"}}
}

func (o *Overlay) drops(typ string) bool {
	return slices.ContainsFunc(o.lines, func(l overlayLine) bool { return l.verb == "drop" && l.path == typ })
}

func (o *Overlay) renamed(s string) string {
	for _, l := range o.lines {
		if rest, is := strings.CutPrefix(s, l.path+"."); l.verb == "rename" && is {
			return l.to + "." + rest
		}
	}
	return s
}
