package connectortest_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
	"github.com/lakestep/lakestep/shared/fault"
)

// origin is a list of rows, and what is wrong with the source that reads it.
type origin struct {
	wrong string
	vault *connectortest.Vault
	cfg   connector.Config

	mu      sync.Mutex
	rows    []entry
	state   string // "", slow, broken, refused
	word    string // that lets sources in
	at      int    // what a source remembers that should not
	hoard   [][]byte
	columns []string
}

type entry struct{ id, extra string }

func (o *origin) append(n int, extra string) (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range n {
		id := strconv.Itoa(len(o.rows) + 1)
		o.rows, ids = append(o.rows, entry{id, extra}), append(ids, id)
	}
	return ids
}

func (o *origin) shut(state string) func() {
	o.set(state)
	return func() { o.set("") }
}

func (o *origin) set(state string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = state
}

func (o *origin) pass(ctx context.Context) error {
	o.mu.Lock()
	state, word := o.state, o.word
	o.mu.Unlock()
	if said, err := o.cfg.Credential(ctx, "password"); err != nil || said != word {
		kind := fault.InvalidInput
		if o.wrong != "keeps" && o.cfg.Renewed(ctx, map[string]string{"password": said}) {
			kind = fault.Unavailable
		}
		return fault.New(kind, "read", "rows", "access denied").WithHint("renew the password")
	}
	switch {
	case state == "slow" && o.wrong == "deaf":
		time.Sleep(8 * time.Second)
	case state == "slow":
		<-ctx.Done()
	case state == "broken" && o.wrong == "broken is invalid", state == "refused" && o.wrong != "tells":
		return fault.New(fault.InvalidInput, "read", "rows", "access denied").WithHint("renew the password")
	case state == "refused":
		return fault.New(fault.InvalidInput, "read", "rows", "access denied with hunter2").WithHint("renew the password")
	case state == "broken":
		return fault.New(fault.Unavailable, "read", "rows", "connection refused").WithHint("start it")
	}
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "read", "rows", "%w", ctx.Err())
	}
	return nil
}

// source reads an origin by the number of rows that were read.
type source struct{ o *origin }

func offset(p connector.Position) (n int) {
	_ = json.Unmarshal(p.Cursor, &n)
	return n
}

func (s *source) Pending(ctx context.Context, _ string, seen connector.Position) (connector.Backlog, error) {
	if err := s.o.pass(ctx); err != nil {
		return connector.Backlog{}, err
	}
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	return connector.Backlog{Items: len(s.o.rows) - offset(seen)}, nil
}

func (s *source) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	o := s.o
	if err := o.pass(ctx); err != nil {
		return connector.Page{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	from, to := o.extent(r)
	if from == to && o.wrong != "endless" {
		return connector.Page{}, nil
	}
	page := connector.Page{Cursor: json.RawMessage(strconv.Itoa(to)), More: to < len(o.rows)}
	if r.Window != nil && o.wrong != "window moves" {
		page.Cursor = nil
	}
	path := filepath.Join(r.Dir, "rows.csv")
	n, err := o.write(path, o.rows[from:to])
	if err != nil {
		return connector.Page{}, err
	}
	if o.wrong == "miscounts" {
		n++
	}
	page.Parts = []connector.Part{{Columns: o.names(), Files: []connector.PartFile{{Path: path, Rows: n}}}}
	if o.wrong == "overlap" {
		page.Overlap = &connector.Overlap{Column: "id", From: "7"}
	}
	return page, nil
}

func (o *origin) names() []string {
	if o.wrong == "names" {
		return []string{"id", "an extra"}
	}
	return []string{"id", "extra"}
}

// extent is which rows the page holds, and the mistakes that can be made there.
func (o *origin) extent(r connector.Request) (from, to int) {
	from, to = offset(r.Seen), len(o.rows)
	if r.Window != nil {
		from, _ = strconv.Atoi(r.Window.From)
		to, _ = strconv.Atoi(r.Window.To)
		return from - 1, to
	}
	if o.wrong == "remembers" {
		from = max(from, o.at)
	}
	if r.Limit.Rows > 0 && o.wrong != "no limit" {
		to = min(to, from+int(r.Limit.Rows))
	}
	if r.Limit.Bytes > 0 {
		to = min(to, from+10_000)
	}
	switch o.wrong {
	case "remembers":
		o.at = to
	case "hoards":
		o.hoard = append(o.hoard, make([]byte, 64<<20))
	case "leaks":
		go time.Sleep(time.Hour)
	case "lost":
		from = min(to, from+max(0, from/5%2))
	case "doubled":
		if from > 0 && to > from {
			from--
		}
	}
	return from, to
}

func (o *origin) write(path string, rows []entry) (n int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := csv.NewWriter(f)
	for _, r := range rows {
		if r.extra == "bad" {
			continue
		}
		err = errors.Join(err, w.Write([]string{r.id, r.extra}))
		n++
	}
	w.Flush()
	return n, errors.Join(err, f.Close())
}

func (s *source) Close() error { return nil }

func (s *source) Acknowledge(context.Context, string, connector.Position) error { return nil }

func (s *source) Discover(context.Context) ([]connector.Discovered, error) {
	return []connector.Discovered{{Name: "rows", Stream: "s", Columns: []connector.DiscoveredColumn{{Name: "id", Type: "text"}}}}, nil
}

func (s *source) Check(ctx context.Context) []connector.Finding {
	err := s.o.pass(ctx)
	if err == nil || s.o.wrong == "all is well" {
		return []connector.Finding{{What: "reach the rows", OK: true}}
	}
	return []connector.Finding{{What: "reach the rows", Detail: err.Error(), Hint: fault.HintOf(err)}}
}

func (s *source) Preview(ctx context.Context, r connector.Request) (connector.Page, error) {
	if s.o.wrong == "preview takes" {
		s.o.mu.Lock()
		s.o.rows = s.o.rows[:len(s.o.rows)-1]
		s.o.mu.Unlock()
	}
	return s.Next(ctx, r)
}

func rig(wrong string) func(t *testing.T) connectortest.Rig {
	return func(t *testing.T) connectortest.Rig {
		o := &origin{wrong: wrong, word: "hunter2", vault: connectortest.NewVault(map[string]string{"env:PASSWORD": "hunter2"})}
		o.cfg.Settings = connector.Settings{"password": {Text: "env:PASSWORD"}}
		o.vault.Serve(&o.cfg)
		return connectortest.Rig{
			Open:   func(context.Context) (connector.Source, error) { return &source{o}, nil },
			Stream: "s", Limit: connector.Limit{Rows: 5}, Secrets: []string{"hunter2"},
			Append:       func(_ testing.TB, n int) []string { return o.append(n, "") },
			Bulk:         func(_ testing.TB, n int) { o.append(n, "") },
			SchemaChange: func(_ testing.TB, n int) ([]string, string) { return o.append(n, "x"), "extra" },
			UnknownType: func(_ testing.TB, n int) (map[string]string, string) {
				texts := map[string]string{}
				for _, id := range o.append(n, "odd") {
					texts[id] = "odd"
				}
				return texts, "extra"
			},
			Window: func(_ testing.TB, n int) (connector.Window, []string) {
				ids := o.append(n, "")
				return connector.Window{From: ids[0], To: ids[n-1]}, ids
			},
			Slow:       func(testing.TB) func() { return o.shut("slow") },
			Break:      func(testing.TB) func() { return o.shut("broken") },
			ExpireAuth: func(testing.TB) func() { return o.shut("refused") },
			Rotate: func(testing.TB) {
				o.vault.Put("env:PASSWORD", "hunter3")
				o.mu.Lock()
				defer o.mu.Unlock()
				o.word = "hunter3"
			},
		}
	}
}

// A source without mistakes passes.
func TestSound(t *testing.T) { connectortest.Run(t, rig("")) }

const mistake = "CONNECTORTEST_MISTAKE"

// TestMistaken runs the suite on a source with a mistake, for TestMistakesAreFound.
func TestMistaken(t *testing.T) {
	if os.Getenv(mistake) == "" {
		t.Skip("SKIPPED: it is run by TestMistakesAreFound")
	}
	connectortest.Run(t, rig(os.Getenv(mistake)))
}

// Each mistake is found by the test that is there for it, and named.
func TestMistakesAreFound(t *testing.T) {
	for _, tt := range []struct{ wrong, test, says string }{
		{"lost", "everything once", "lost"},
		{"doubled", "everything once", "more than once"},
		{"endless", "an empty origin", "and no end"},
		{"miscounts", "everything once", "PartFile.Rows is 6, the file holds 5"},
		{"names", "everything once", "a table can have them as"},
		{"no limit", "everything once", "the limit is 5"},
		{"overlap", "everything once", "in a page that overlaps from 7"},
		{"remembers", "crash before the commit", "lost"},
		{"remembers", "full refresh", "lost"},
		{"remembers", "the same page twice", "lost"},
		{"deaf", "slow", "did not return within 5s"},
		{"broken is invalid", "unavailable", "a fault of kind InvalidInput, want [Unavailable Throttled]"},
		{"all is well", "unavailable", "all is well, Check says"},
		{"tells", "expired credentials", "the message holds secret 0 of the rig"},
		{"keeps", "rotated credentials", "a fault of kind InvalidInput, want [Unavailable]"},
		{"leaks", "close", "goroutines more"},
		{"hoards", "many rows", "the heap grew by"},
		{"window moves", "window", "the page of a window moves the position"},
		{"preview takes", "explorer", "after the preview"},
	} {
		t.Run(tt.wrong+", "+tt.test, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMistaken$/^"+strings.ReplaceAll(tt.test, " ", "_")+"$")
			cmd.Env = append(os.Environ(), mistake+"="+tt.wrong)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v, it does not say %q:\n%.3000s", err, tt.says, out)
			}
		})
	}
}
