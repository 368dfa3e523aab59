package dml

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// change is what happens to the rows of a table, by place: every operation but a plain append comes down to it. The queries are over
// temporary tables, and may run more than once.
type change struct {
	*Table
	snap    *delta.Snapshot // as it is; _file counts its files
	after   *delta.Snapshot // with the metadata as it will be
	schema  delta.Schema    // of the rows
	inserts string          // SELECT of new rows
	checks  []check         // that inserts may break
	updates string          // temporary table: _file, _pos, and the row that takes the place
	deletes string          // temporary table: _file, _pos
	whole   []int           // files that go with all their rows, unread
	erasure bool            // say of each file which one it was made from: see ReplacesTag
	kept    string          // temporary table of inserts that are read twice
}

// outcome is what a change came to.
type outcome struct {
	plan                       *Plan
	inserted, updated, deleted int64 // rows; of files that go unread only those whose number is known
	copied                     int64 // rows written anew as they were
	rewritten                  int64 // files
}

// ReplacesTag is the tag of a file that an erasure made from another, with that one's path as in the log: whoever has not read the old
// file yet reads the new one in its place.
const ReplacesTag = "lakestep.replaces"

// changeFolder is where the change data feed's files are (protocol, "Change Data Files").
const changeFolder = "_change_data"

// touch is what happens in a file.
type touch struct {
	file             int
	updates, deletes int64
}

// run writes the change's files.
func (c *change) run(ctx context.Context) (*outcome, error) {
	o := &outcome{plan: &Plan{}}
	touched, err := c.touched(ctx)
	if err != nil {
		return nil, err
	}
	whole := slices.Clone(c.whole)
	var partly []touch
	for _, f := range touched {
		o.updated, o.deleted = o.updated+f.updates, o.deleted+f.deletes
		if live, known := liveRows(c.snap.Files()[f.file]); known && f.updates == 0 && f.deletes == live {
			whole = append(whole, f.file)
		} else {
			partly = append(partly, f)
		}
	}
	feed := isTrue(c.snap.Metadata(), "delta.enableChangeDataFeed") && len(partly) > 0 // else adds and removes are the feed
	defer func() { c.drop(c.kept) }()
	if err := c.insert(ctx, feed, o); err != nil {
		return nil, err
	}
	for _, n := range whole {
		o.plan.Removes = append(o.plan.Removes, c.snap.Files()[n])
	}
	for _, n := range c.whole {
		live, _ := liveRows(c.snap.Files()[n])
		o.deleted += live
	}
	if err := c.mark(ctx, partly, o); err != nil {
		return nil, err
	}
	if feed {
		return o, c.feed(ctx, touched, o)
	}
	return o, nil
}

// touched finds the files that hold a changed row.
func (c *change) touched(ctx context.Context) ([]touch, error) {
	var out []touch
	updates, deletes := "SELECT NULL::BIGINT AS _file, true AS _update WHERE false", "SELECT NULL::BIGINT, false WHERE false"
	if c.updates != "" {
		updates = "SELECT _file, true AS _update FROM " + c.updates
	}
	if c.deletes != "" {
		deletes = "SELECT _file, false FROM " + c.deletes
	}
	rows, err := c.Session.Query(ctx, fmt.Sprintf(
		"SELECT _file, count(*) FILTER (_update), count(*) FILTER (NOT _update) FROM (%s UNION ALL %s) GROUP BY _file ORDER BY _file",
		updates, deletes))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t touch
		if err := rows.Scan(&t.file, &t.updates, &t.deletes); err != nil {
			return nil, fault.New(fault.Internal, "change", c.Delta.Prefix(), "%w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// insert writes the new rows. With a feed they are read twice, and so kept: two runs of somebody's query may differ.
func (c *change) insert(ctx context.Context, feed bool, o *outcome) error {
	if c.inserts == "" {
		return nil
	}
	query := checked(c.inserts, c.checks, c.schema)
	if feed {
		c.kept = c.temp("inserts")
		if err := c.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", c.kept, query)); err != nil {
			return broken(err, c.Delta.Prefix(), c.checks)
		}
		c.inserts = "SELECT * FROM " + c.kept
		query = c.inserts
	}
	adds, err := c.Session.Write(ctx, c.target(c.after, c.schema), query)
	if err != nil {
		return broken(err, c.Delta.Prefix(), c.checks)
	}
	o.inserted, o.plan.Adds = sumRows(adds), append(o.plan.Adds, adds...)
	return nil
}

// mark takes the changed rows out of their files: by deletion vectors where the table has them, else by writing the files anew. So is an
// erasure done in any case: behind a vector the rows would still be there.
func (c *change) mark(ctx context.Context, partly []touch, o *outcome) error {
	var rewrite, vectors []touch
	for _, f := range partly {
		// A vector needs the number of the file's physical rows.
		if _, known := liveRows(c.snap.Files()[f.file]); known && !c.erasure && isTrue(c.snap.Metadata(), "delta.enableDeletionVectors") {
			vectors = append(vectors, f)
		} else {
			rewrite = append(rewrite, f)
		}
	}
	for _, f := range rewrite {
		if err := c.rewrite(ctx, f, o); err != nil {
			return err
		}
	}
	if len(vectors) == 0 {
		return nil
	}
	if err := c.vectors(ctx, vectors, o); err != nil || c.updates == "" {
		return err
	}
	updated := fmt.Sprintf("SELECT * EXCLUDE (_file, _pos) FROM %s WHERE _file IN (%s)", c.updates, numbers(vectors))
	adds, err := c.Session.Write(ctx, c.target(c.after, c.schema), updated)
	o.plan.Adds = append(o.plan.Adds, adds...)
	return err
}

// rewrite writes one file anew, with its updated rows in place of the old ones and without the deleted ones.
func (c *change) rewrite(ctx context.Context, f touch, o *outcome) error {
	old := c.snap.Files()[f.file]
	relation, err := c.rows(ctx, c.snap, c.schema, []int{f.file})
	if err != nil {
		return err
	}
	updates, gone := "", c.places([]touch{f})
	if c.updates != "" {
		updates = fmt.Sprintf(" UNION ALL BY NAME SELECT * EXCLUDE (_file) FROM %s WHERE _file = %d", c.updates, f.file)
	}
	target := c.target(c.after, c.schema)
	target.Ordered = true
	adds, err := c.Session.Write(ctx, target, fmt.Sprintf(
		"SELECT * FROM (SELECT t.* EXCLUDE (_file) FROM %s t ANTI JOIN (%s) USING (_pos)%s) ORDER BY _pos", relation, gone, updates))
	if err != nil {
		return err
	}
	if c.erasure {
		for i := range adds {
			adds[i].Tags = map[string]string{ReplacesTag: old.Path}
		}
	}
	written := sumRows(adds)
	if before, known := liveRows(old); known && before-f.deletes != written {
		return fault.New(fault.Internal, "rewrite", old.Path, "of %d rows %d are deleted, and %d were written anew", before, f.deletes, written)
	}
	o.plan.Adds, o.plan.Removes = append(o.plan.Adds, adds...), append(o.plan.Removes, old)
	o.copied, o.rewritten = o.copied+written-f.updates, o.rewritten+1
	return nil
}

// vectors writes the deletion vectors of files: what was deleted before and what is now.
func (c *change) vectors(ctx context.Context, touched []touch, o *outcome) error {
	sets := make([]*delta.RowSet, len(touched))
	byFile := map[int]*delta.RowSet{}
	for i, f := range touched {
		old, err := c.Delta.DeletedRows(ctx, c.snap.Files()[f.file].DeletionVector)
		if err != nil {
			return err
		}
		sets[i] = old.Union(nil)
		byFile[f.file] = sets[i]
	}
	rows, err := c.Session.Query(ctx, c.places(touched))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var pos int64
		var file int
		if err := rows.Scan(&pos, &file); err != nil {
			return fault.New(fault.Internal, "change", c.Delta.Prefix(), "%w", err)
		}
		if byFile[file].Contains(uint64(pos)) {
			return fault.New(fault.InvalidInput, "change", c.snap.Files()[file].Path, "row %d would be changed twice", pos).
				WithHint("an expression of SET must give one value, not several rows as unnest does")
		}
		byFile[file].Add(uint64(pos))
	}
	if err := rows.Err(); err != nil {
		return fault.New(fault.Internal, "change", c.Delta.Prefix(), "%w", err)
	}
	var kept []*delta.RowSet
	var files []delta.Add
	for i, f := range touched {
		old := c.snap.Files()[f.file]
		if n, _ := numRows(old); sets[i].Len() == uint64(n) { // every row was updated
			o.plan.Removes = append(o.plan.Removes, old)
			continue
		}
		kept, files = append(kept, sets[i]), append(files, old)
	}
	written, err := c.Delta.WriteDeletionVectors(ctx, c.Attempt(), kept)
	if err != nil {
		return err
	}
	for i, dv := range written {
		o.plan.Vectors = append(o.plan.Vectors, Vector{files[i], dv})
	}
	return nil
}

// places is a query for _pos and _file of the rows that leave their places in the files.
func (c *change) places(touched []touch) string {
	query := "SELECT NULL::BIGINT AS _pos, NULL::BIGINT AS _file WHERE false"
	for _, table := range []string{c.updates, c.deletes} {
		if table != "" {
			query += fmt.Sprintf(" UNION ALL SELECT _pos, _file FROM %s WHERE _file IN (%s)", table, numbers(touched))
		}
	}
	return query
}

// feed writes the change data: new rows, deleted ones, and updated ones before and after.
func (c *change) feed(ctx context.Context, touched []touch, o *outcome) error {
	files := slices.Clone(c.whole)
	for _, f := range touched {
		files = append(files, f.file)
	}
	slices.Sort(files)
	relation, err := c.rows(ctx, c.snap, c.schema, files)
	if err != nil {
		return err
	}
	columns := engine.Idents(names(c.schema))
	query := fmt.Sprintf("SELECT %s, CAST(NULL AS VARCHAR) AS %s FROM %s WHERE false", columns, ChangeType, relation)
	add := func(kind, from string) {
		query += fmt.Sprintf(" UNION ALL SELECT %s, '%s' FROM %s", columns, kind, from)
	}
	if c.inserts != "" {
		add("insert", "("+c.inserts+")")
	}
	if c.updates != "" {
		add("update_postimage", c.updates)
		add("update_preimage", fmt.Sprintf("%s SEMI JOIN %s USING (_file, _pos)", relation, c.updates))
	}
	if c.deletes != "" {
		add("delete", fmt.Sprintf("%s SEMI JOIN %s USING (_file, _pos)", relation, c.deletes))
	}
	if len(c.whole) > 0 {
		gone, err := c.rows(ctx, c.snap, c.schema, c.whole)
		if err != nil {
			return err
		}
		add("delete", gone)
	}
	target := c.target(c.after, c.schema)
	target.Folder = changeFolder
	target.Schema.Fields = append(slices.Clone(c.schema.Fields), delta.Field{Name: ChangeType, Type: delta.String, Nullable: true})
	adds, err := c.Session.Write(ctx, target, query)
	if err != nil {
		return err
	}
	for _, a := range adds {
		o.plan.CDC = append(o.plan.CDC, delta.CDC{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size})
	}
	return nil
}

func numbers(touched []touch) string {
	list := make([]string, len(touched))
	for i, f := range touched {
		list[i] = fmt.Sprint(f.file)
	}
	return strings.Join(list, ", ")
}

func names(s delta.Schema) []string {
	out := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = f.Name
	}
	return out
}

// numRows is the number of a file's rows, deleted ones included, where its writer said it.
func numRows(a delta.Add) (int64, bool) {
	stats, ok := delta.ParseStats(a.Stats)
	return stats.NumRecords, ok
}

// liveRows is the number of a file's rows that are not deleted.
func liveRows(a delta.Add) (int64, bool) {
	n, ok := numRows(a)
	if a.DeletionVector != nil {
		n -= a.DeletionVector.Cardinality
	}
	return n, ok
}

// sumRows is the number of rows of files that were just written, which all say it.
func sumRows(adds []delta.Add) int64 {
	var n int64
	for _, a := range adds {
		rows, _ := numRows(a)
		n += rows
	}
	return n
}
