package servicetest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be had is told apart from what fails: started skips the test for it.
func TestMissing(t *testing.T) {
	var m missing
	t.Setenv("LAKESTEP_TEST_POSTGRES", t.TempDir())
	if _, err := startPostgres(nil); !errors.As(err, &m) {
		t.Errorf("a folder without PostgreSQL: %v", err)
	}
}

// A service that does not start says why, and leaves nothing behind.
func TestStartFails(t *testing.T) {
	Postgres(t) // or skip
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Chmod(os.Getenv("TMPDIR"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(os.Getenv("TMPDIR")), 0o755); err != nil { // for the user postgres
		t.Fatal(err)
	}
	_, err := startPostgres([]string{"no_such_setting=1"})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}
