package delta

import (
	"context"
)

func (t *Table) afterCommit(ctx context.Context, version int64, config map[string]string) error {
	return nil
}
