package terraformtest_test

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// whole tells whether all is to be tried, however long it takes: make test/terraform says so.
func whole() bool { return os.Getenv("LAKESTEP_TERRAFORM") != "" }

// long skips a test that takes long.
func long(t *testing.T) {
	t.Helper()
	if !whole() {
		t.Skip("SKIPPED: long; make test/terraform runs it")
	}
}

func path(name string) tfjsonpath.Path { return tfjsonpath.New(name) }

func number(n int64) *big.Float { return new(big.Float).SetInt64(n) }

// only is a plan that does one kind of thing to all resources that it touches.
type only struct{ action tfjson.Action }

func (o only) CheckPlan(_ context.Context, req plancheck.CheckPlanRequest, resp *plancheck.CheckPlanResponse) {
	count := 0
	var others []string
	for _, c := range req.Plan.ResourceChanges {
		switch a := c.Change.Actions; {
		case len(a) == 1 && a[0] == o.action:
			count++
		case !a.NoOp() && !a.Read():
			others = append(others, fmt.Sprintf("%s %v", c.Address, a))
		}
	}
	if count == 0 || len(others) > 0 {
		resp.Error = fmt.Errorf("a plan to %s of %d, and %s", o.action, count, strings.Join(others, ", "))
	}
}
