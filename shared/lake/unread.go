package lake

import (
	"context"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// unread gives the commits after version from that make up the difference to the table as it is, oldest first. What a restore undid is left
// out, and the restore with it: the table is as if none of it had been. A restore to before from is a SourceLost fault: rows that were read from
// there are no more.
func (t *Table) unread(ctx context.Context, from int64) ([]delta.Commit, error) {
	var out []delta.Commit
	for v := t.Snap.Version(); v > from; v-- {
		c, err := t.commit(ctx, v)
		if err != nil {
			return nil, err
		}
		to, restored := maintenance.RestoredTo(c)
		switch {
		case !restored:
			out = append(out, c)
		case to < from:
			return nil, fault.New(fault.SourceLost, "read changes of", t.Name, "version %d (%s) took it back to version %d, and version %d has been read", v, c.Info.Operation, to, from).
				WithHint("take the tables behind it back, too, each to a version that had read no more of it than version %d (lakestep table history TABLE, lakestep table restore TABLE --version N); or remove them, with their quarantine tables, and run again to rebuild them", to)
		default:
			v = to + 1 // the loop goes on with what was before
		}
	}
	slices.Reverse(out)
	return out, nil
}

// erase takes the rows out of a gain that an erasure deleted before they were read: for each file its replacement. Rows that were read before are
// the consumer's own to erase. Where it cannot be told which is which, because files were rearranged before (rearranged has their paths) or the
// changes are in a feed, the fault is SourceLost: rows that were erased must not come back.
func (t *Table) erase(g *Gain, rearranged map[string]bool, c delta.Commit) error {
	id, _ := c.Erasure()
	mixed := func(why string) error {
		return fault.New(fault.SourceLost, "read changes of", t.Name, "version %d erased rows (%s) before all of them were read: %s", c.Version, id, why).
			WithHint("run the pipeline before rows are erased; now remove the tables behind %s, with their quarantine tables, and run again to rebuild them", t.Name)
	}
	if len(g.Feed) > 0 {
		return mixed("its change data feed may still hold them")
	}
	removed := map[string]bool{}
	for _, r := range c.Removes {
		removed[r.Path] = true
	}
	instead := map[string][]delta.Add{} // by path of the file before
	var unnamed []delta.Add             // the erasure does not say what they replace
	for _, a := range c.Adds {
		switch before := a.Tags[dml.ReplacesTag]; {
		case before != "":
			instead[before] = append(instead[before], a)
		case removed[a.Path]: // it has another deletion vector
			instead[a.Path] = append(instead[a.Path], a)
		default:
			unnamed = append(unnamed, a)
		}
	}
	var rows []engine.File
	touched := 0
	for _, f := range g.Rows {
		switch {
		case removed[f.Path]:
			touched++
			for _, a := range instead[f.Path] { // none: all its rows are gone
				rows = append(rows, fileOf(a, f.Commit))
			}
		case rearranged[f.Path]:
			return mixed("their files were rewritten in between")
		default:
			rows = append(rows, f)
		}
	}
	if touched > 0 && len(unnamed) > 0 {
		if touched < len(removed) {
			return mixed("it does not say which file replaced which")
		}
		for _, a := range unnamed { // all that it rewrote was unread
			rows = append(rows, fileOf(a, c.Version))
		}
	}
	g.Rows = rows
	return nil
}
