// Package connectortest is the suite that every source must pass. It takes a stream in as the bronze step does, page by page into a small
// table that keeps the position with the rows, and lets runs die, the origin change, slow down or go away in between: whatever happens, each
// row at the origin must come to stand in the table once.
package connectortest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// Rig is a source under test with its origin (a folder, a table, a topic), and what can be done there. What a rig lacks of the optional
// functions is reported as not applicable.
type Rig struct {
	// Open gives a fresh source, as a new process would. The suite closes it.
	Open   func(ctx context.Context) (connector.Source, error)
	Stream string // the configured stream that reads the origin
	ID     string // the column of the rows' ids; "" is "id"

	// Limit is so small that 20 rows fill several pages: {Rows: 5} for most sources.
	Limit connector.Limit
	// Batch is how many rows more than Limit.Rows a page may have: what the source takes at once. 0: none.
	Batch int64
	// Memory bounds the growth of the heap while many rows come, in bytes. 0 is 128 MiB.
	Memory uint64
	// Secrets are values that no message may hold.
	Secrets []string

	// Append adds n rows at the origin and gives their ids, which are unique. The rows can be read once it returns.
	Append func(t testing.TB, n int) (ids []string)

	// Bulk adds n rows whose ids are the numbers from 1 to n; nothing else was added before.
	Bulk func(t testing.TB, n int)
	// SchemaChange adds a column at the origin and n rows that have a value in it.
	SchemaChange func(t testing.TB, n int) (ids []string, column string)
	// UnknownType adds a column of a type that the source does not know, and n rows with it: their texts in it, by id.
	UnknownType func(t testing.TB, n int) (texts map[string]string, column string)
	// Window adds n rows and gives the range of the cursor column that holds them, and no other.
	Window func(t testing.TB, n int) (w connector.Window, ids []string)
	// Malformed adds n things that are no rows (lines, messages).
	Malformed func(t testing.TB, n int)
	// Slow makes the origin so slow that a page takes a minute or more.
	Slow func(t testing.TB) (restore func())
	// Break takes the origin away.
	Break func(t testing.TB) (restore func())
	// ExpireAuth makes the credentials worthless that sources have, or open with from now on.
	ExpireAuth func(t testing.TB) (renew func())
	// Rotate makes the credentials worthless that sources have, and puts others where they look (a Vault).
	Rotate func(t testing.TB)
}

// Run tests the source of a rig. fresh makes a rig with an empty origin of its own for each test.
func Run(t *testing.T, fresh func(t *testing.T) Rig) {
	always := func(Rig) bool { return true }
	for _, c := range []struct {
		name string
		can  func(Rig) bool
		test func(l *loader)
	}{
		{"everything once", always, everything},
		{"an empty origin", always, emptyOrigin},
		{"one source for all pages", always, oneSource},
		{"crash before the commit", always, crashBefore},
		{"crash after the commit", always, crashAfter},
		{"late acknowledgements", always, lateAcknowledgements},
		{"the same page twice", always, samePageTwice},
		{"two at once", always, twoAtOnce},
		{"rows that arrive while reading", always, arriving},
		{"cancelled", always, cancelled},
		{"full refresh", always, refresh},
		{"explorer", always, explorer},
		{"close", always, closes},
		{"schema change", func(r Rig) bool { return r.SchemaChange != nil }, schemaChange},
		{"unknown type", func(r Rig) bool { return r.UnknownType != nil }, unknownType},
		{"window", func(r Rig) bool { return r.Window != nil }, window},
		{"malformed", func(r Rig) bool { return r.Malformed != nil }, malformed},
		{"slow", func(r Rig) bool { return r.Slow != nil }, slow},
		{"unavailable", func(r Rig) bool { return r.Break != nil }, unavailable},
		{"expired credentials", func(r Rig) bool { return r.ExpireAuth != nil }, expired},
		{"rotated credentials", func(r Rig) bool { return r.Rotate != nil }, rotated},
		{"many rows", func(r Rig) bool { return r.Bulk != nil }, manyRows},
	} {
		t.Run(c.name, func(t *testing.T) {
			rig := fresh(t)
			if rig.ID == "" {
				rig.ID = "id"
			}
			if rig.Memory == 0 {
				rig.Memory = 128 << 20
			}
			if !c.can(rig) {
				t.Logf("SCORE: %s: not applicable", t.Name())
				return
			}
			c.test(newLoader(t, rig))
		})
	}
}

// long tells whether the suite may take minutes.
func long() bool { return os.Getenv("LAKESTEP_LONG") != "" }

// fails checks an error that the source gave: that it is of one of these kinds, and says nothing that it must not.
func (l *loader) fails(what string, err error, kinds ...fault.Kind) {
	l.t.Helper()
	if err == nil {
		l.t.Fatalf("%s: no error, want %v", what, kinds)
	}
	l.discreet(what, err.Error()+" "+fault.HintOf(err))
	for _, k := range kinds {
		if fault.KindOf(err) == k {
			return
		}
	}
	l.t.Fatalf("%s: a fault of kind %s, want %v: %v", what, fault.KindOf(err), kinds, err)
}

// discreet checks that a message holds no secret.
func (l *loader) discreet(what, message string) {
	l.t.Helper()
	for i, s := range l.rig.Secrets {
		if strings.Contains(message, s) {
			l.t.Errorf("%s: the message holds secret %d of the rig", what, i)
		}
	}
}
