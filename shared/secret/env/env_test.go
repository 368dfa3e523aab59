package env_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
	"github.com/lakestep/lakestep/shared/secret/env"
)

func TestEnv(t *testing.T) {
	r := secret.New(secret.Options{Stores: map[string]secret.Store{secret.Env: env.New(os.LookupEnv)}, Now: time.Now})
	t.Setenv("LAKESTEP_TEST_SECRET", "hunter2 \n")
	got, err := r.Resolve(t.Context(), "env:LAKESTEP_TEST_SECRET")
	if err != nil || got.Reveal() != "hunter2 \n" {
		t.Error(err, "the value is not as it was set")
	}
	t.Setenv("LAKESTEP_TEST_EMPTY", "")
	for _, name := range []string{"LAKESTEP_TEST_EMPTY", "LAKESTEP_TEST_ABSENT"} {
		_, err := r.Resolve(t.Context(), "env:"+name)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "env:"+name) || !strings.Contains(fault.HintOf(err), name) {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
	}
}
