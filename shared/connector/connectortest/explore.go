package connectortest

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
)

// What people ask before they load: it tells of the stream, and changes nothing.
func explorer(l *loader) {
	ids := l.rig.Append(l.t, few)
	src := l.open()
	defer func() { l.close(src) }()
	e, ok := src.(connector.Explorer)
	if !ok {
		l.t.Fatal(errNoExplorer)
	}
	discovered(l, e)
	checked(l, e)
	for range 2 { // from the beginning, and in the middle
		before := l.pending()
		previewed(l, e, ids)
		if after := l.pending(); !reflect.DeepEqual(before, after) {
			l.t.Errorf("Pending says %+v after the preview, %+v before", after, before)
		}
		l.step()
	}
	l.drain()
	l.holds(ids)
}

func discovered(l *loader, e connector.Explorer) {
	var all []connector.Discovered
	err := l.patiently(func(ctx context.Context) (err error) {
		all, err = e.Discover(ctx)
		return err
	})
	if err != nil {
		l.t.Fatalf("Discover: %v", err)
	}
	i := slices.IndexFunc(all, func(d connector.Discovered) bool { return d.Stream == l.rig.Stream })
	if i < 0 {
		l.t.Fatalf("Discover does not tell of the configured stream %s: %+v", l.rig.Stream, all)
	}
	d := all[i]
	if d.Name == "" || !slices.ContainsFunc(d.Columns, func(c connector.DiscoveredColumn) bool { return strings.EqualFold(c.Name, l.rig.ID) }) {
		l.t.Errorf("Discover gives the stream no name, or not the column %s: %+v", l.rig.ID, d)
	}
	if (d.Items > 0) != (d.Unit != "") {
		l.t.Errorf("Discover tells of %d items of the unit %q", d.Items, d.Unit)
	}
	for _, c := range d.Columns {
		if c.Type == "" {
			l.t.Errorf("Discover gives column %s no type", c.Name)
		}
	}
}

func checked(l *loader, e connector.Explorer) {
	ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
	defer cancel()
	findings := e.Check(ctx)
	if len(findings) == 0 {
		l.t.Error("Check looks at nothing")
	}
	for _, f := range findings {
		l.discreet("Check", f.What+f.Detail+f.Hint)
		if !f.OK || f.What == "" {
			l.t.Errorf("Check of an origin in which all is well: %+v", f)
		}
	}
}

func previewed(l *loader, e connector.Explorer, ids []string) {
	r := l.request()
	var page connector.Page
	err := l.patiently(func(ctx context.Context) (err error) {
		page, err = e.Preview(ctx, r)
		return err
	})
	if err != nil {
		l.t.Fatalf("Preview: %v", err)
	}
	n := 0
	for _, part := range page.Parts {
		err := each(l.t.Context(), part, func(r row) {
			n++
			if id, _ := r.value(l.rig.ID); !slices.Contains(ids, id) {
				l.t.Errorf("Preview shows a row %v that the origin does not have", r)
			}
		})
		if err != nil {
			l.t.Fatalf("Preview: %v", err)
		}
	}
	if n == 0 {
		l.t.Error("Preview shows no row")
	}
}
