package engine_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/engine"
)

// Fields that hold lines which look like rows, across the places where a parallel scan divides a file.
func TestLineBreaksInLargeFiles(t *testing.T) {
	r := newRig(t, engine.Options{MemoryMB: 1500, Threads: 4})
	var paths []string
	const records = 60_000 // 30 MB a file; DuckDB gives 8 MB to a thread
	inner := strings.Repeat("1,2,3\n", 80)
	for range 2 {
		var b strings.Builder
		b.WriteString("a,b,c\n")
		for i := range records {
			fmt.Fprintf(&b, "%d,\"%s\",y\n", i, inner)
		}
		path := r.TempFile("f.csv")
		must(t, os.WriteFile(path, []byte(b.String()), 0o644))
		paths = append(paths, path)
	}
	rows, rejects := r.CSV(engine.CSV{Paths: paths, Columns: []string{"a", "b", "c"}, Header: true, LineBreaks: true})
	got := r.strings(fmt.Sprintf("SELECT count(*), count(DISTINCT (a, _path)), count(*) FILTER (b = %s AND c = 'y') FROM %s", engine.Literal(inner), rows))[0]
	if want := fmt.Sprint(2 * records); got[0] != want || got[1] != want || got[2] != want {
		t.Errorf("%v rows, want %s", got, want)
	}
	if lost := r.strings("SELECT count(*) FROM " + rejects); lost[0][0] != "0" {
		t.Errorf("%v rejects", lost)
	}
}

// The engine's own rejects: a scan by several threads, over several files, tells each line and its file.
func TestRejectsInParallel(t *testing.T) {
	r := newRig(t, engine.Options{MemoryMB: 1500, Threads: 4})
	var paths []string
	bad := map[string]bool{}
	const lines = 700_000 // 17 MB a file
	for f := range 3 {
		path := r.TempFile("f.csv")
		var b strings.Builder
		b.WriteString("a,b,c\n")
		for i := 2; i < lines+2; i++ {
			switch {
			case i%10_007 == f:
				fmt.Fprintf(&b, "%d,too few\n", i)
			case i%20_011 == f:
				fmt.Fprintf(&b, "%d,too,many,x\n", i)
			default:
				fmt.Fprintf(&b, "%d,0123456789,é\n", i)
				continue
			}
			bad[fmt.Sprintf("%s:%d", path, i)] = true
		}
		must(t, os.WriteFile(path, []byte(b.String()), 0o644))
		paths = append(paths, path)
	}
	rows, rejects := r.CSV(engine.CSV{Paths: paths, Columns: []string{"a", "b", "c"}, Header: true})
	if got := r.strings("SELECT count(*), count(DISTINCT (a, _path)) FROM " + rows)[0]; got[0] != got[1] || got[0] != fmt.Sprint(3*lines-len(bad)) {
		t.Errorf("rows %v, want %d", got, 3*lines-len(bad))
	}
	lost := r.strings("SELECT path, line, raw_text FROM " + rejects)
	for _, l := range lost {
		if !bad[l[0]+":"+l[1]] || !strings.HasPrefix(l[2], l[1]+",") {
			t.Errorf("reject %q", l)
		}
	}
	if len(lost) != len(bad) {
		t.Errorf("%d rejects, want %d", len(lost), len(bad))
	}
}
