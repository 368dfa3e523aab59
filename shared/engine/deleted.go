package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// deletedRows gives a temporary table of the rows in the deletion vectors of a group's files: file (index in the group) and position. It
// spills like any table, and one vector at a time is held beside it.
func (s *Session) deletedRows(ctx context.Context, g group) (string, error) {
	counts, err := s.rowCounts(ctx, g.paths)
	if err != nil {
		return "", err
	}
	return s.positions(ctx, len(g.files), func(n int) (*delta.RowSet, error) {
		f := g.scan.Files[g.files[n]]
		rows, err := g.scan.Table.DeletedRows(ctx, f.DeletionVector)
		if err != nil {
			return nil, err
		}
		if last, ok := rows.Max(); ok && last >= counts[g.paths[n]] {
			return nil, fault.New(fault.InvalidInput, "scan", g.scan.Table.Prefix(), "file %s has %d rows, but its deletion vector %s names row %d",
				f.Path, counts[g.paths[n]], f.DeletionVector.UniqueID(), last).
				WithHint("one of the two was replaced or damaged; restore them from a backup or earlier object versions")
		}
		return rows, nil
	})
}

// Positions gives the name of a temporary table with the rows of sets: file (index of the set) and position. It spills like any table.
func (s *Session) Positions(ctx context.Context, sets []*delta.RowSet) (string, error) {
	return s.positions(ctx, len(sets), func(i int) (*delta.RowSet, error) { return sets[i], nil })
}

// positions fills the table with n sets, of which one at a time is held.
func (s *Session) positions(ctx context.Context, n int, set func(i int) (*delta.RowSet, error)) (table string, err error) {
	s.seq++
	table = fmt.Sprintf("_positions_%d", s.seq)
	if err := s.Exec(ctx, "CREATE TEMP TABLE "+table+" (file BIGINT, position BIGINT)"); err != nil {
		return "", err
	}
	err = s.conn.Raw(func(conn any) (err error) {
		a, err := duckdb.NewAppender(conn.(driver.Conn), "temp", "main", table)
		if err != nil {
			return classify(err, "fill", table)
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		for i := range n {
			rows, err := set(i)
			if err != nil {
				return err
			}
			for row := range rows.All() {
				if err := a.AppendRow(int64(i), int64(row)); err != nil {
					return classify(err, "fill", table)
				}
			}
		}
		return nil
	})
	return table, err
}

// rowCounts gives the rows of files by path.
func (s *Session) rowCounts(ctx context.Context, paths []string) (map[string]uint64, error) {
	rows, err := s.Strings(ctx, "SELECT file_name, num_rows FROM parquet_file_metadata("+exactly(paths)+")")
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for _, r := range rows {
		if counts[r[0]], err = strconv.ParseUint(r[1], 10, 64); err != nil {
			return nil, fault.New(fault.Internal, "scan", r[0], "%w", err)
		}
	}
	return counts, nil
}
