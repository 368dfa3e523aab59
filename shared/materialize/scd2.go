package materialize

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// scd2 keeps versions: a row of an unknown key, or one later than the key's current version and different in a tracked column, becomes
// the current version and closes the one before. Rows that are not later than the current version are stale; later ones without a tracked
// difference are accepted and change nothing. Where the table before has decided which row of a sequence value counts, that row takes the
// current version's place: it corrects it.
func (j *Job) scd2(ctx context.Context, r *Result) error {
	d := j.Declare
	key := d.UniqueKey
	if d.History == pipeline.AllVersions {
		key = append(slices.Clone(key), d.SequenceBy)
	}
	latest, superseded, err := j.latest(ctx, key)
	if err != nil {
		return err
	}
	current := j.temp("current")
	target, err := j.target(ctx)
	if err != nil {
		return err
	}
	if err := j.To.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT * FROM %s WHERE %s", current, target, IsCurrent)); err != nil {
		return err
	}
	versions, err := j.versions(ctx, latest, current)
	if err != nil {
		return err
	}
	seq := engine.Ident(d.SequenceBy)
	keys := equal("l", "c", d.UniqueKey)
	older := fmt.Sprintf("l.%[1]s <= c.%[1]s", seq)
	corrected := "SELECT * FROM " + current + " WHERE false"
	if j.Decided {
		same := fmt.Sprintf("l.%[1]s = c.%[1]s", seq)
		older = fmt.Sprintf("(l.%[1]s < c.%[1]s OR (%[2]s AND %[3]s))", seq, same, j.keeps("c", "l"))
		corrected = fmt.Sprintf("SELECT l.*, c.* EXCLUDE (%s) FROM %s l JOIN %s c ON %s WHERE %s AND NOT %s",
			engine.Idents(j.modelColumns()), latest, current, keys, same, j.keeps("c", "l"))
	}
	stale := fmt.Sprintf("SELECT l.* FROM %s l JOIN %s c ON %s WHERE %s", latest, current, keys, older)
	if err := j.totals(ctx, r, superseded, stale); err != nil {
		return err
	}
	first := fmt.Sprintf("SELECT %s, min(%s) AS _from FROM %s GROUP BY ALL", engine.Idents(d.UniqueKey), seq, versions)
	return j.replace(ctx, dml.Replace{
		Inserts: "SELECT " + engine.Idents(names(j.Schema)) + " FROM " + versions,
		Updates: fmt.Sprintf("SELECT c.* REPLACE (v._from AS %s, false AS %s) FROM %s c JOIN (%s) v ON %s UNION ALL BY NAME %s",
			ValidTo, IsCurrent, current, first, equal("c", "v", d.UniqueKey), corrected),
	}, r)
}

// versions makes the temporary table of new versions, complete with surrogate key, valid_to and is_current.
func (j *Job) versions(ctx context.Context, latest, current string) (string, error) {
	d := j.Declare
	seq := engine.Ident(d.SequenceBy)
	changed := make([]string, len(d.TrackedColumns))
	for i, c := range d.TrackedColumns {
		// The version before is the row before of the same key, else the current version of the table.
		changed[i] = fmt.Sprintf("CASE WHEN _first THEN c.%[1]s ELSE _before.%[1]s END IS DISTINCT FROM l.%[1]s", engine.Ident(c))
	}
	surrogate := ""
	if d.SurrogateKey != "" {
		highest, err := j.target(ctx)
		if err != nil {
			return "", err
		}
		surrogate = fmt.Sprintf("(SELECT coalesce(max(%[1]s), 0) FROM %[2]s) + row_number() OVER (ORDER BY %[3]s) AS %[1]s,",
			engine.Ident(d.SurrogateKey), highest, engine.Idents(append(slices.Clone(d.UniqueKey), d.SequenceBy)))
	}
	versions, keys := j.temp("versions"), engine.Idents(d.UniqueKey)
	model := prefixed("l", j.modelColumns())
	query := fmt.Sprintf(`
		WITH later AS (
			SELECT l.*, lag(l) OVER w AS _before, lag(1) OVER w IS NULL AS _first
			FROM (SELECT %[1]s FROM %[2]s l LEFT JOIN %[3]s c ON %[4]s WHERE c.%[5]s IS NULL OR l.%[5]s > c.%[5]s) l
			WINDOW w AS (PARTITION BY %[6]s ORDER BY l.%[5]s)),
		kept AS (
			SELECT %[1]s FROM later l LEFT JOIN %[3]s c ON %[4]s
			WHERE (_first AND c.%[5]s IS NULL) OR %[7]s)
		SELECT %[8]s *, lead(%[5]s) OVER n AS %[9]s, lead(%[5]s) OVER n IS NULL AS %[10]s
		FROM kept WINDOW n AS (PARTITION BY %[11]s ORDER BY %[5]s)`,
		model, latest, current, equal("l", "c", d.UniqueKey), seq, prefixed("l", d.UniqueKey), strings.Join(changed, " OR "),
		surrogate, ValidTo, IsCurrent, keys)
	return versions, j.To.Session.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", versions, query))
}
