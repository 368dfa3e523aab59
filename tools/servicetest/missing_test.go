package servicetest

import (
	"errors"
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
