package lake

import (
	"context"
	"errors"
	"slices"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// Forward commits the rows that a table's decision refused to the table they go to, unless they are there: a crash between the two
// commits is made good by whoever comes next. So is one between the two of a restore: rows that decisions refused which hold no more are
// taken out (takeBack). It may be repeated and run concurrently.
func (l *Lake) Forward(ctx context.Context, t *Table) error {
	if t.Decision == nil || t.Decision.Refused == nil {
		return nil
	}
	r := t.Decision.Refused
	for try := 0; ; try++ {
		done, err := l.forward(ctx, t.Name, r)
		var conflict *delta.ConflictError
		switch {
		case done || err != nil && !errors.As(err, &conflict):
			return err
		case try < maxForwards: // somebody else wrote there, perhaps these very rows: look again
		case err != nil:
			return err
		default:
			return fault.New(fault.Stale, "roll forward", r.Table, "others restored %s again and again while its refused rows were brought there", t.Name)
		}
	}
}

const maxForwards = 20 // looks; more means that others write there all the time

func (l *Lake) forward(ctx context.Context, from string, r *Refused) (done bool, err error) {
	target := l.Delta(r.Table)
	snap, err := target.Snapshot(ctx, delta.AsOf{})
	if errors.Is(err, delta.ErrNoTable) {
		snap, err = target.Empty(), nil
	}
	if err != nil {
		return false, err
	}
	if last, ok := snap.Txn(AppID(from)); ok && last == r.Attempt {
		return true, nil
	}
	// Nobody decides on a table before its refused rows are in. So when it has gone on since the caller looked, these are, and newer ones
	// may have taken the cursor's place. The order counts: the target was read first.
	if now, err := l.Open(ctx, from); err != nil || now.Decision == nil || now.Decision.Refused == nil || now.Decision.Refused.Attempt != r.Attempt {
		return err == nil, err
	}
	if taken, err := l.takeBack(ctx, target, snap, from, r.Attempt); taken || err != nil {
		return false, err // and look again
	}
	if len(r.Schema.Fields) == 0 { // a pointer: the files are not known any more
		return false, fault.New(fault.SourceLost, "roll forward", r.Table, "it lacks the rows that %s refused in attempt %d, and a later decision took their place", from, r.Attempt).
			WithHint("the table was changed by another program: restore it")
	}
	txn := snap.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append", "refusedBy": from}, Attempt: r.Attempt})
	if err := Evolve(target, snap, txn, r.Schema, nil); err != nil {
		return false, err
	}
	txn.Add(r.Adds...).SetTxn(AppID(from), r.Attempt).ReadNothing()
	if err := txn.VerifyFiles(ctx); err != nil {
		return false, err
	}
	_, err = txn.Commit(ctx)
	return err == nil, err
}

// Takes tells whether rows of a schema can be appended to a table, existing or not. Whoever refuses rows asks before it decides: afterwards
// it would be too late.
func (l *Lake) Takes(ctx context.Context, table string, schema delta.Schema) error {
	snap, err := l.Delta(table).Snapshot(ctx, delta.AsOf{})
	if errors.Is(err, delta.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := snap.CheckWritable(); err != nil {
		return err
	}
	if len(snap.Metadata().PartitionColumns) > 0 {
		return fault.New(fault.SchemaBroken, "write", table, "it is partitioned, and so not lakestep's").WithHint("move that table away, or name another quarantine")
	}
	if _, _, err := Widen(snap.Schema(), schema); err != nil {
		return fault.New(fault.SchemaBroken, "write", table, "%w", err).WithHint("move that table away, or name another quarantine")
	}
	return nil
}

// Evolve makes a transaction fit for rows of a schema: it creates the table with the given properties when there is none, and adds columns
// that the table lacks at the end. A column of another type is a SchemaBroken fault.
func Evolve(table *delta.Table, snap *delta.Snapshot, txn *delta.Txn, schema delta.Schema, properties map[string]string) error {
	if snap.Version() < 0 {
		meta, protocol, err := table.NewMetadata(schema, nil, properties)
		if err != nil {
			return err
		}
		txn.SetMetadata(meta).SetProtocol(protocol)
		return nil
	}
	merged, changed, err := Widen(snap.Schema(), schema)
	if err != nil || !changed {
		return err
	}
	text, err := merged.JSON()
	if err != nil {
		return fault.New(fault.Internal, "write", "schema", "%w", err)
	}
	meta := snap.Metadata()
	meta.SchemaString = text
	txn.SetMetadata(meta)
	return nil
}

// Widen gives a table's schema with the columns that only the rows have at its end. A column of another type is a SchemaBroken fault.
func Widen(table, rows delta.Schema) (_ delta.Schema, changed bool, err error) {
	merged := delta.Schema{Fields: slices.Clone(table.Fields)}
	for _, f := range rows.Fields {
		old, ok := merged.Field(f.Name)
		switch {
		case !ok:
			f.Nullable = true
			merged.Fields = append(merged.Fields, f)
			changed = true
		case old.Type.String() != f.Type.String():
			return delta.Schema{}, false, fault.New(fault.SchemaBroken, "write", "column "+f.Name, "the table has %s, the new rows have %s", old.Type, f.Type).
				WithHint("cast the column to %s, or give it another name", old.Type)
		}
	}
	return merged, changed, nil
}
