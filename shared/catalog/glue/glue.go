// Package glue registers tables in the Glue Data Catalog of AWS, as native Delta tables: Athena (engine 3), EMR, Glue jobs and Lake Formation find
// them there. An entry is what Athena's own CREATE EXTERNAL TABLE ... TBLPROPERTIES ('table_type' = 'DELTA') makes, and columns with comments.
//
// Athena reads the Delta log under the SerDe parameter "path". The columns of the entry are for people, Lake Formation, views and row filters,
// which need them to be those of the log; an entry whose columns lag behind is still read right.
//
// Entries are marked by parameters "lakestep.*". What does not bear them is never changed.
package glue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/lakestep/lakestep/shared/awsapi"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/fault"
)

const (
	timeout    = 30 * time.Second // for one request with all its attempts
	attempts   = 5                // of a request that was throttled or got no answer
	maxBackoff = 5 * time.Second
	races      = 10 // lost to other writers of one entry, one after the other
	pause      = 50 * time.Millisecond
)

var _ catalog.Catalog = (*Catalog)(nil)

// Options say where entries go.
type Options struct {
	// Database is the name of the Glue database, which must exist. Its tables are then called silver_orders. With {layer} in it each layer has a
	// database, and the table is called orders: "lake_{layer}" has lake_silver.orders.
	Database string
	// DryRun changes nothing, and gives the changes that would be made.
	DryRun bool
}

// Catalog is a catalog.Catalog in Glue.
type Catalog struct {
	client  *glue.Client
	service awsapi.Service
	o       Options
}

// New makes a Catalog. Region, credentials and endpoint are in cfg; that they are right shows with the first request.
func New(cfg aws.Config, o Options) (*Catalog, error) {
	c := &Catalog{o: o, service: awsapi.Service{Name: "glue", Credentials: cfg.Credentials, Timeout: timeout}}
	for _, layer := range c.layers() {
		if name := c.database(layer); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || name == "" || len(name) > 255 {
			return nil, fault.New(fault.InvalidInput, "open catalog", "Glue database "+o.Database, "it is no name of a database that Athena takes").
				WithHint("a name has lower case letters, digits and underscores; {layer} in it stands for the layer: lake_{layer}")
		}
	}
	if cfg.Region == "" {
		return nil, fault.New(fault.InvalidInput, "open catalog", "Glue database "+o.Database, "no region is set").WithHint("set AWS_REGION to the catalog's region")
	}
	c.client = glue.NewFromConfig(cfg, func(g *glue.Options) {
		g.Retryer = retry.AddWithErrorCodes(
			retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, maxBackoff }), busyCodes...)
	})
	return c, nil
}

// layers are those that have a gate, and so published tables.
func (c *Catalog) layers() []string { return []string{"silver", "gold"} }

const layerMark = "{layer}"

func (c *Catalog) database(layer string) string {
	return strings.ReplaceAll(c.o.Database, layerMark, layer)
}

// databases are all that may hold entries.
func (c *Catalog) databases() []string {
	var all []string
	for _, layer := range c.layers() {
		all = append(all, c.database(layer))
	}
	return slices.Compact(all)
}

// place is where a table's entry is.
type place struct{ database, table string }

func (p place) String() string { return p.database + "." + p.table }

func (c *Catalog) place(fullName string) place {
	layer, name, _ := strings.Cut(strings.ToLower(fullName), ".")
	if !strings.Contains(c.o.Database, layerMark) {
		name = layer + "_" + name
	}
	return place{c.database(layer), name}
}

// Register implements catalog.Catalog.
func (c *Catalog) Register(ctx context.Context, t catalog.Table) (catalog.Change, error) {
	p := c.place(t.Name)
	if !strings.HasPrefix(t.Location, "s3://") {
		return catalog.Change{}, refused(fault.InvalidInput, "register", t.Name, "it lies at %q, not in S3", t.Location).
			WithHint("Glue shows tables in S3; give the lake an s3:// URL")
	}
	want := input(p.table, t)
	for try := 1; ; try++ {
		change, err := c.register(ctx, p, t, want)
		var lost *lostRace
		if !errors.As(err, &lost) {
			return change, err
		}
		if try == races {
			return catalog.Change{}, refused(fault.Unavailable, "register", t.Name, "others changed the entry %s %d times meanwhile (%s)", p, try, lost.code).
				WithHint("the same call may be repeated; see who else writes to this entry, a crawler perhaps")
		}
		if err := wait(ctx, try); err != nil {
			return catalog.Change{}, awsapi.Ended(ctx, call{op: "register", object: t.Name}.request())
		}
	}
}

// lostRace is an answer that says: the entry is not what it was when it was read.
type lostRace struct{ code string }

func (l *lostRace) Error() string { return "changed meanwhile: " + l.code }

// wait sleeps a random time, so that writers who met do not meet again.
func wait(ctx context.Context, try int) error {
	most := pause << min(try-1, 4)
	t := time.NewTimer(most/2 + rand.N(most/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// register looks at the entry and changes it if it must. The change says at which version of the entry it was made, so that of two writers one
// looks again.
func (c *Catalog) register(ctx context.Context, p place, t catalog.Table, want *types.TableInput) (catalog.Change, error) {
	change := catalog.Change{Table: t.Name, Entry: p.String(), Action: catalog.Unchanged}
	there, err := c.get(ctx, p, t)
	if err != nil {
		return catalog.Change{}, err
	}
	if there == nil {
		change.Action = catalog.Created
		return change, c.create(ctx, p, t, want)
	}
	if err := owned(there, p, t); err != nil {
		return catalog.Change{}, err
	}
	if newer(there, t) {
		return change, nil
	}
	change.What = differences(there, want)
	if len(change.What) == 0 {
		return change, nil
	}
	change.Action = catalog.Updated
	return change, c.update(ctx, p, t, there, want, onlyState(change.What))
}

// get gives the entry, nil when there is none.
func (c *Catalog) get(ctx context.Context, p place, t catalog.Table) (there *types.Table, err error) {
	err = c.request(ctx, call{"register", t.Name, "glue:GetTable", p.String()}, func(ctx context.Context) error {
		out, err := c.client.GetTable(ctx, &glue.GetTableInput{DatabaseName: &p.database, Name: &p.table})
		switch {
		case awsapi.AnswerOf(err).Code == codeNotFound:
			return nil
		case err != nil:
			return err
		}
		there = out.Table
		return nil
	})
	return there, err
}

func (c *Catalog) create(ctx context.Context, p place, t catalog.Table, want *types.TableInput) error {
	k := call{"register", t.Name, "glue:CreateTable", p.String()}
	if c.o.DryRun { // creating would say whether there is such a database
		k.action = "glue:GetDatabase"
		return c.request(ctx, k, func(ctx context.Context) error {
			_, err := c.client.GetDatabase(ctx, &glue.GetDatabaseInput{Name: &p.database})
			return err
		})
	}
	return c.change(ctx, k, func(ctx context.Context) error {
		_, err := c.client.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: &p.database, TableInput: want})
		return err
	}, codeExists, codeConcurrent) // perhaps by our own request whose answer was lost
}

// update replaces what differs. Glue keeps the version before, unless only the state differs: that has no past worth a look, and an account has
// room for a million versions.
func (c *Catalog) update(ctx context.Context, p place, t catalog.Table, there *types.Table, want *types.TableInput, skipArchive bool) error {
	if c.o.DryRun {
		return nil
	}
	in := &glue.UpdateTableInput{DatabaseName: &p.database, TableInput: merged(there, want), SkipArchive: &skipArchive, VersionId: there.VersionId}
	return c.change(ctx, call{"register", t.Name, "glue:UpdateTable", p.String()}, func(ctx context.Context) error {
		_, err := c.client.UpdateTable(ctx, in)
		return err
	}, codeConcurrent, codeNotFound)
}

// owned refuses an entry that is not of this lake.
func owned(there *types.Table, p place, t catalog.Table) error {
	const hint = "name another database, or remove the entry if nobody needs it (the data stays): aws glue delete-table --database-name %s --name %s"
	switch mark := there.Parameters; {
	case mark[keyTable] == "":
		at := "nowhere"
		if there.StorageDescriptor != nil && aws.ToString(there.StorageDescriptor.Location) != "" {
			at = *there.StorageDescriptor.Location
		}
		return refused(fault.InvalidInput, "register", t.Name, "there is a table %s already, which lakestep did not register; it lies at %s", p, at).
			WithHint(hint, p.database, p.table)
	case mark[keyTable] != t.Name || mark[keyLake] != t.Lake:
		return refused(fault.InvalidInput, "register", t.Name, "the entry %s is of %s in the lake %s, this one is in %s", p, mark[keyTable], mark[keyLake], t.Lake).
			WithHint("each lake needs a database of its own; "+hint, p.database, p.table)
	}
	return nil
}

// newer tells an entry that shows a later version of the same table.
func newer(there *types.Table, t catalog.Table) bool {
	version, err := strconv.ParseInt(there.Parameters[keyVersion], 10, 64)
	return err == nil && version > t.Version && there.Parameters[keyID] == t.ID
}

// Prune implements catalog.Catalog.
func (c *Catalog) Prune(ctx context.Context, d catalog.Declared) ([]catalog.Change, error) {
	var out []catalog.Change
	for _, database := range c.databases() {
		old, err := c.undeclared(ctx, database, d)
		if err != nil {
			return out, err
		}
		for _, t := range old {
			p := place{database, aws.ToString(t.Name)}
			change := catalog.Change{Table: t.Parameters[keyTable], Entry: p.String(), Action: catalog.Removed}
			if err := c.remove(ctx, p, change.Table); err != nil {
				return out, err
			}
			out = append(out, change)
		}
	}
	return out, nil
}

// undeclared lists the entries of a database that Prune removes. A database that is not there has none.
func (c *Catalog) undeclared(ctx context.Context, database string, d catalog.Declared) (old []types.Table, err error) {
	var next *string
	for {
		err := c.request(ctx, call{"prune", "pipeline " + d.Pipeline, "glue:GetTables", database}, func(ctx context.Context) error {
			out, err := c.client.GetTables(ctx, &glue.GetTablesInput{DatabaseName: &database, NextToken: next})
			switch {
			case awsapi.AnswerOf(err).Code == codeNotFound:
				next = nil
				return nil
			case err != nil:
				return err
			}
			next = out.NextToken
			for _, t := range out.TableList {
				mark := t.Parameters
				late := d.Run != "" && mark[keyRun] > d.Run
				if mark[keyTable] != "" && mark[keyPipeline] == d.Pipeline && mark[keyLake] == d.Lake && !late && !slices.Contains(d.Tables, mark[keyTable]) {
					old = append(old, t)
				}
			}
			return nil
		})
		if err != nil || aws.ToString(next) == "" {
			return old, err
		}
	}
}

func (c *Catalog) remove(ctx context.Context, p place, table string) error {
	if c.o.DryRun {
		return nil
	}
	return c.request(ctx, call{"prune", table, "glue:DeleteTable", p.String()}, func(ctx context.Context) error {
		_, err := c.client.DeleteTable(ctx, &glue.DeleteTableInput{DatabaseName: &p.database, Name: &p.table})
		if awsapi.AnswerOf(err).Code == codeNotFound { // by another, or by our own request whose answer was lost
			return nil
		}
		return err
	})
}
