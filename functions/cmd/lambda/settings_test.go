package main

import (
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/fault"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// What a function may take follows from what it was given: the parts of memory and /tmp together are less than the whole.
func TestSettings(t *testing.T) {
	for _, mb := range []string{"512", "1769", "3008", "10240"} {
		s, err := read(environment("_HANDLER=silver", "LAKESTEP_LAKE=s3://b/lake", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+mb, "LAKESTEP_TMP_MB="+mb))
		if err != nil {
			t.Fatal(err)
		}
		const program = 100
		if most := s.engineMB()*5/4 + int(s.heapBytes()>>20) + program; most > s.MemoryMB {
			t.Errorf("%s MB: engine, heap and program may take %d", mb, most)
		}
		if most := 2*s.spillMB() + int(s.pageBytes()>>20); most > s.TempMB*9/10 {
			t.Errorf("/tmp of %s MB: spill, fetched files and a page may take %d", mb, most)
		}
		if n := s.threads(); n < 1 || n > 6 {
			t.Errorf("%s MB: %d threads", mb, n)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	good := []string{"_HANDLER=silver", "LAKESTEP_LAKE=s3://b/lake"}
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "it is not set"},
		{good[:1], "LAKESTEP_LAKE: it is not set"},
		{append(good, "LAKESTEP_VARS=landing"), "LAKESTEP_VARS: it is no JSON object"},
		{append(good, "LAKESTEP_LOG_LEVEL=loud"), "LAKESTEP_LOG_LEVEL: it is none of"},
		{append(good, "LAKESTEP_TMP_MB=10"), "LAKESTEP_TMP_MB: it is no number of megabytes"},
	} {
		if _, err := read(environment(c.env...)); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.env, err, c.want)
		}
	}
	if s, err := read(environment(good...)); err != nil || s.Pipeline != "config/retail" || s.TempMB != 512 {
		t.Errorf("%+v, %v", s, err)
	}
}
