package terraformtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/terraformtest"
)

func TestProperties(t *testing.T) {
	resources := terraformtest.Resources{}
	d := json.NewDecoder(strings.NewReader(`{
		"lake.aws_s3_bucket.lake": {"bucket": "b", "force_destroy": false, "tags": {}, "policy": "{\"Statement\": [{\"Sid\": \"A\", \"Action\": [\"x\", \"y\"]}]}"},
		"functions.aws_lambda_function.step[\"gold\"]": {"function_name": "n-gold", "timeout": 900, "vpc_config": [{"subnet_ids": ["s1", "s2"]}]},
		"functions.aws_lambda_function.step[\"silver\"]": {"function_name": "n-silver", "timeout": 900, "vpc_config": []}
	}`))
	d.UseNumber()
	if err := d.Decode(&resources); err != nil {
		t.Fatal(err)
	}
	const function = "functions.aws_lambda_function.step"
	for line, holds := range map[string]bool{
		`lake.aws_s3_bucket.lake bucket = "b"`:                                  true,
		`lake.aws_s3_bucket.lake bucket = "c"`:                                  false,
		`lake.aws_s3_bucket.lake buckets = "b"`:                                 false,
		`lake.aws_s3_bucket.other bucket = "b"`:                                 false,
		`lake.aws_s3_bucket.lake force_destroy = false`:                         true,
		`lake.aws_s3_bucket.lake tags absent`:                                   true,
		`lake.aws_s3_bucket.lake bucket absent`:                                 false,
		`lake.aws_s3_bucket.lake bucket present`:                                true,
		`lake.aws_s3_bucket.lake policy!Statement[Sid=A].Action = ["x", "y"]`:   true,
		`lake.aws_s3_bucket.lake policy!Statement[Sid=A].Action = ["x"]`:        false,
		`lake.aws_s3_bucket.lake policy!Statement[Sid=A].Action has ["y"]`:      true,
		`lake.aws_s3_bucket.lake policy!Statement[Sid=B].Action present`:        false,
		function + `[*] function_name = "n-{key}"`:                              true,
		function + `[*] function_name like n-(gold|silver)`:                     true,
		function + `[*] function_name like n-gold`:                              false,
		function + `[*] vpc_config absent`:                                      false,
		function + `["silver"] vpc_config absent`:                               true,
		function + `["gold"] vpc_config[0].subnet_ids[1] = "s2"`:                true,
		function + `["gold"] timeout = 900`:                                     true,
		function + `["gold"] timeout same ` + function + `["silver"] timeout`:   true,
		function + `["gold"] function_name same lake.aws_s3_bucket.lake bucket`: false,
		`functions.aws_lambda_function.none[*] timeout = 900`:                   false,
	} {
		properties, err := terraformtest.Properties(line, nil)
		if err != nil || len(properties) != 1 {
			t.Fatal(line, err)
		}
		if err := properties[0].Check(resources); (err == nil) != holds {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := terraformtest.Properties("lake.aws_s3_bucket.lake bucket is b", nil); err == nil {
		t.Error("a line of no known kind is taken")
	}
}

func TestOverlay(t *testing.T) {
	tree := t.TempDir()
	file := filepath.Join(tree, "terraform", "main.tf")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(file, []byte(`resource "aws_new" "a" {
  x          = 1
  depends_on = [aws_new.b]
}
resource "aws_object" "b" {
  keep = aws_object.c.id
  gone = 2
  kind = "new"
  inner {
    gone = 3
    stay = 4
  }
  dynamic "many" {
    for_each = []
    content {
      gone = 5
    }
  }
  depends_on = [aws_new.a, aws_object.c]
}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := terraformtest.ReadOverlay("drop aws_new\nrename aws_object aws_old\nreplace aws_object.c -> aws_old.c\n" +
		"drop aws_object.gone\nignore aws_object.keep\nadd aws_object.more 6\nset aws_object.kind \"old\"\ndrop aws_object.inner.gone\ndrop aws_object.many\ndrop aws_object.never\n")
	if err != nil {
		t.Fatal(err)
	}
	if unused := overlay.Apply(t, tree); len(unused) != 1 || unused[0] != "drop aws_object.never" {
		t.Errorf("unused: %v", unused)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = `resource "aws_old" "b" { lifecycle { ignore_changes = [keep] } more = 6 keep = aws_old.c.id kind = "old" inner { stay = 4 } depends_on = [aws_old.c] }`
	if s := strings.Join(strings.Fields(string(got)), " "); s != want {
		t.Errorf("got %s", s)
	}
}
