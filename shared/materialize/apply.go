package materialize

import (
	"context"
	"fmt"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// change is what happens to the rows of a table, as queries: new rows, and rows that take the place of one (_file, _pos).
type change struct {
	inserts string // columns of the table
	updates string // _file, _pos and the columns of the table
}

const changeType = "_change_type"

// apply writes the files of a change: a new one for inserts, and each file that holds an updated row anew.
func (j *Job) apply(ctx context.Context, c change, r *Result) error {
	inserts, updates := j.temp("inserts"), j.temp("updates")
	for _, q := range []string{
		fmt.Sprintf("CREATE TEMP VIEW %s AS %s", inserts, c.inserts), // read once or twice, and on the first load as large as the table
		fmt.Sprintf("CREATE TEMP TABLE %s AS %s", updates, c.updates),
	} {
		if err := j.Session.Exec(ctx, q); err != nil {
			return err
		}
	}
	var touched []int64
	rows, err := j.Session.Query(ctx, fmt.Sprintf("SELECT _file, count(*) FROM %s GROUP BY _file ORDER BY _file", updates))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var file, n int64
		if err := rows.Scan(&file, &n); err != nil {
			return err
		}
		touched, r.Updated = append(touched, file), r.Updated+n
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := j.Session.Row(ctx, "SELECT count(*) FROM "+inserts, &r.Inserted); err != nil {
		return err
	}
	if r.Adds, err = j.Session.Write(ctx, j.Target, "SELECT * FROM "+inserts); err != nil {
		return err
	}
	if n := written(r.Adds); n != r.Inserted {
		return fault.New(fault.Internal, "write", j.Table.Name, "%d new rows, written %d", r.Inserted, n)
	}
	for _, file := range touched {
		if err := j.rewrite(ctx, file, updates, r); err != nil {
			return err
		}
	}
	if len(touched) == 0 {
		return nil // a commit of adds only is its own feed: every row of them is an insert
	}
	return j.feed(ctx, inserts, updates, r)
}

// rewrite writes one file of the table anew, with its updated rows in place of the old ones.
func (j *Job) rewrite(ctx context.Context, file int64, updates string, r *Result) error {
	old := j.Table.Snap.Files()[file]
	sc := j.Table.Scan(j.Table.Snap, engine.Files([]delta.Add{old}))
	sc.Schema, sc.Position = j.Schema, true
	relation, err := j.Session.Relation(ctx, sc)
	if err != nil {
		return err
	}
	adds, err := j.Session.Write(ctx, j.Target, fmt.Sprintf(
		"SELECT t.* EXCLUDE (_file, _pos) FROM %[1]s t ANTI JOIN (SELECT _pos FROM %[2]s WHERE _file = %[3]d) USING (_pos) UNION ALL BY NAME SELECT * EXCLUDE (_file, _pos) FROM %[2]s WHERE _file = %[3]d",
		relation, updates, file))
	if err != nil {
		return err
	}
	if before, known := rows(old); known && before != written(adds) {
		return fault.New(fault.Internal, "rewrite", old.Path, "the file has %d rows, written anew %d", before, written(adds))
	}
	r.Adds, r.Removes = append(r.Adds, adds...), append(r.Removes, old)
	return nil
}

// rows is the number of rows of a file, where its writer said it.
func rows(a delta.Add) (int64, bool) {
	stats, ok := delta.ParseStats(a.Stats)
	return stats.NumRecords, ok
}

// written is the number of rows of files that were just written, which all say it.
func written(adds []delta.Add) int64 {
	var n int64
	for _, a := range adds {
		r, _ := rows(a)
		n += r
	}
	return n
}

// feed writes the change data: what was inserted, and each updated row before and after.
func (j *Job) feed(ctx context.Context, inserts, updates string, r *Result) error {
	target, err := j.target(ctx)
	if err != nil {
		return err
	}
	t := j.Target
	t.Folder = "_change_data"
	t.Schema.Fields = append(t.Schema.Fields[:len(t.Schema.Fields):len(t.Schema.Fields)], delta.Field{Name: changeType, Type: delta.String, Nullable: true})
	adds, err := j.Session.Write(ctx, t, fmt.Sprintf(`
		SELECT *, 'insert' AS _change_type FROM %[1]s
		UNION ALL BY NAME SELECT * EXCLUDE (_file, _pos), 'update_postimage' AS _change_type FROM %[2]s
		UNION ALL BY NAME SELECT t.* EXCLUDE (_file, _pos), 'update_preimage' AS _change_type FROM %[3]s t SEMI JOIN %[2]s u ON t._file = u._file AND t._pos = u._pos`,
		inserts, updates, target))
	if err != nil {
		return err
	}
	for _, a := range adds {
		r.CDC = append(r.CDC, delta.CDC{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size})
	}
	return nil
}
