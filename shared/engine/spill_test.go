package engine_test

import (
	"testing"

	"github.com/lakestep/lakestep/shared/engine"
)

// A session may be opened after another has spilled, and knows the same settings.
func TestSessionsAfterASpill(t *testing.T) {
	r := newRig(t, engine.Options{MemoryMB: 60, Threads: 2})
	must(t, r.Exec(t.Context(), "CREATE TEMP TABLE wide AS SELECT i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS a FROM range(1500000) t(i)"))
	var spilled int64
	must(t, r.Row(t.Context(), "SELECT coalesce(sum(size), 0)::BIGINT FROM duckdb_temporary_files()", &spilled))
	if spilled == 0 {
		t.Fatal("nothing was spilled: the test shows nothing")
	}
	s, err := r.engine.Session(t.Context())
	must(t, err)
	defer s.Close()
	got, err := s.Strings(t.Context(), "SELECT current_setting('TimeZone'), current_setting('memory_limit'), current_setting('threads')::VARCHAR, current_setting('preserve_insertion_order')::VARCHAR")
	must(t, err)
	want, err := r.Strings(t.Context(), "SELECT 'UTC', current_setting('memory_limit'), '2', 'false'")
	must(t, err)
	if len(got) != 1 || len(want) != 1 || got[0][0] != want[0][0] || got[0][1] != want[0][1] || got[0][2] != want[0][2] || got[0][3] != want[0][3] {
		t.Errorf("settings %q, want %q", got, want)
	}
}
