package terraformtest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/terraformtest"
)

// TestAll plans every resource of the modules. What each role may do then, in full, stands in testdata/permissions.txt: a line a role and
// resource. Whoever gives a role more (or less) changes that file, and a reader sees it.
func TestAll(t *testing.T) {
	s := all()
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	cli := terraformtest.NewAhead(t, filepath.Join(tree, "terraform", s.folder), terraformtest.Schema(t), s.account)
	if _, err := cli.Run(t.Context(), "plan", "-out=plan", "-input=false", "-no-color"); err != nil {
		t.Fatal(err)
	}
	planned, err := cli.Plan(t.Context(), "plan")
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, s, terraformtest.Index(planned))
}

// TestApplyAll applies and destroys it.
func TestApplyAll(t *testing.T) {
	long(t) // TestAll plans it
	s := all()
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	cli := terraformtest.New(t, filepath.Join(tree, "terraform", s.folder), terraformtest.Schema(t), s.account)
	if _, err := cli.Run(t.Context(), "apply", "-auto-approve", "-input=false", "-no-color"); err != nil {
		t.Fatal(err)
	}
	state, err := cli.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, s, terraformtest.Index(state.Values))
	if _, err := cli.Run(t.Context(), "destroy", "-auto-approve", "-input=false", "-no-color"); err != nil {
		t.Fatal(err)
	}
	s.gone(t)
}

func checkAll(t *testing.T, s stack, resources terraformtest.Resources) {
	t.Helper()
	for _, p := range s.properties(t) {
		if err := p.Check(resources); err != nil {
			t.Error(err)
		}
	}
	got, err := permissions(resources)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeGranted(t, s, got)
	}
	want := granted(t, s)
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in testdata/permissions.txt: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("in testdata/permissions.txt, but not granted: %s", line)
		}
	}
}

var update = flag.Bool("update", false, "write testdata/permissions.txt anew; look at what changed")

const permissionsHead = `# What the role of each function, state machine and service may do: ROLE RESOURCE: ACTIONS. FUNCTION stands for each function. Written by
# go test ./tools/terraformtest -run TestAll -update, and read by whoever changes it.
`

func writeGranted(t *testing.T, s stack, lines []string) {
	t.Helper()
	text := strings.NewReplacer(s.name, "{name}", strings.ReplaceAll(s.name, "-", "_"), "{database}").Replace(strings.Join(lines, "\n"))
	if err := os.WriteFile(filepath.Join("testdata", "permissions.txt"), []byte(permissionsHead+"\n"+text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// granted are the lines of permissions.txt for a stack.
func granted(t *testing.T, s stack) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "permissions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.NewReplacer("{name}", s.name, "{database}", strings.ReplaceAll(s.name, "-", "_")).Replace(string(text))) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			all = append(all, strings.Join(words, " "))
		}
	}
	slices.Sort(all)
	return all
}

// permissions are what the roles' policies allow: "ROLE RESOURCE: ACTIONS". What each function's role may do stands once, with FUNCTION in the
// place of its name. ARNs are short: without the account and region of the stack, and the key is KEY.
func permissions(resources terraformtest.Resources) (all []string, err error) {
	key, _ := resources["lake.aws_kms_key.lake[0]"]["arn"].(string)
	short := strings.NewReplacer(key, "KEY", "us-east-1:123456789012:", "", "-data-lake-123456789012-us-east-1", "-bucket", "arn:aws:", "")
	functions, own, counts := 0, map[string]string{}, map[string]int{} // lines with FUNCTION in them by line, and how many functions have each
	for address, values := range resources {
		if !strings.Contains(address, ".aws_iam_role_policy.") {
			continue
		}
		role, _ := values["role"].(string)
		text, _ := values["policy"].(string)
		lines, err := allowed(role, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		step := strings.HasPrefix(address, "functions.")
		if step {
			functions++
		}
		for _, line := range lines {
			line = short.Replace(line)
			if !step {
				all = append(all, line)
				continue
			}
			own[line] = strings.ReplaceAll(line, role, "FUNCTION")
			counts[own[line]]++
		}
	}
	for line, general := range own {
		if counts[general] == functions {
			line = general
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// allowed are the lines of one policy.
func allowed(role, policy string) (lines []string, err error) {
	var doc struct {
		Statement []struct {
			Effect           string
			Action, Resource any
			Condition        json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		return nil, err
	}
	actions := map[string][]string{}
	for _, st := range doc.Statement {
		end := ""
		if len(st.Condition) > 0 {
			end = " if " + string(st.Condition)
		}
		if st.Effect != "Allow" {
			return nil, fmt.Errorf("effect %q", st.Effect)
		}
		for _, resource := range several(st.Resource) {
			actions[resource+end] = append(actions[resource+end], several(st.Action)...)
		}
	}
	for resource, list := range actions {
		slices.Sort(list)
		lines = append(lines, role+" "+resource+": "+strings.Join(slices.Compact(list), " "))
	}
	return lines, nil
}

// several is a text or a list of texts, as policies have either.
func several(x any) (all []string) {
	switch x := x.(type) {
	case string:
		return []string{x}
	case []any:
		for _, e := range x {
			all = append(all, fmt.Sprint(e))
		}
	}
	return all
}
