// Package terraformtest runs Terraform for tests: over copies of the tree terraform/, with the provider of tools/tfprovider in the test's own process or
// with a genuine one, and it makes mutants of modules. Where Terraform or the corpus of schemas is absent, the test is skipped, and `make test`
// lists that in the end.
//
// Its own tests are those of the modules: the unmodified examples go through plan, apply, a second plan, drift, an update and destroy; mutants of the
// modules show that these checks bite; and the genuine provider applies them to moto (make test/terraform).
package terraformtest

import (
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lakestep/lakestep/tools/tfprovider"
)

// Source is the provider's address.
const Source = "registry.terraform.io/hashicorp/aws"

// Terraform is the path of the program: TF_ACC_TERRAFORM_PATH, or what the PATH has.
func Terraform(t testing.TB) string {
	t.Helper()
	path := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if path == "" {
		path, _ = exec.LookPath("terraform")
	}
	if path == "" {
		t.Skip("SKIPPED: no terraform to test the modules with: neither TF_ACC_TERRAFORM_PATH nor the PATH has one")
	}
	return path
}

// Root is the folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// Schema is that of the genuine provider, from the corpus beside the repository.
func Schema(t testing.TB) *tfprovider.Schema {
	t.Helper()
	path := filepath.Join(Root(t), "..", "shared", "corpus", "terraform-aws", "schema.json")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: no schema of the AWS provider at ../shared/corpus/terraform-aws")
	}
	s, err := tfprovider.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read are the folders of the repository that modules read files of.
var read = []string{"terraform", "statemachines"}

// Copy copies what Terraform needs of the repository into a folder, without what runs of Terraform left there, and puts a file in the place of the
// functions' package: nobody runs it.
func Copy(t testing.TB, to string) {
	t.Helper()
	root := Root(t)
	for _, dir := range read {
		copyTree(t, filepath.Join(root, dir), filepath.Join(to, dir))
	}
	copyTree(t, filepath.Join(root, "tools", "terraformtest", "testdata", "all"), filepath.Join(to, "terraform", "testdata", "all"))
	pack := filepath.Join(to, "dist", "lakestep-aws.zip")
	if err := os.MkdirAll(filepath.Dir(pack), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pack, emptyZip, 0o644); err != nil {
		t.Fatal(err)
	}
}

// emptyZip is an archive with nothing in it.
var emptyZip = append([]byte("PK\x05\x06"), make([]byte, 18)...)

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && d.Name() == ".terraform":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case filepath.Ext(path) == ".tfstate" || filepath.Ext(path) == ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// PackageDigest is Terraform's filebase64sha256 of the file that Copy puts in the place of the package.
var PackageDigest = func() string {
	sum := sha256.Sum256(emptyZip)
	return base64.StdEncoding.EncodeToString(sum[:])
}()
