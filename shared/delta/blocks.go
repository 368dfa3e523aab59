package delta

import (
	"context"
	"fmt"
	"io"

	"github.com/lakestep/lakestep/shared/store"
)

// blockSize is what one request fetches of a checkpoint, in bytes; blockCount how many blocks are held.
const (
	blockSize  = 1 << 20
	blockCount = 64
)

// blocks reads an object at random in aligned blocks and keeps the last few, so that a Parquet file of any
// size is read in bounded memory and few requests. It is not safe for concurrent use.
type blocks struct {
	ctx    context.Context // of one read of one file
	store  store.Store
	key    string
	size   int64
	cached map[int64][]byte
	order  []int64 // oldest first
	err    error   // the first failure of the store, which Parquet code may have dressed up
}

func newBlocks(ctx context.Context, s store.Store, key string, size int64) *blocks {
	return &blocks{ctx: ctx, store: s, key: key, size: size, cached: map[int64][]byte{}}
}

// ReadAt implements io.ReaderAt.
func (b *blocks) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	n := 0
	for n < len(p) && off < b.size {
		block, err := b.block(off / blockSize)
		if err != nil {
			if b.err == nil {
				b.err = err
			}
			return n, err
		}
		c := copy(p[n:], block[off%blockSize:])
		n, off = n+c, off+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b *blocks) block(i int64) ([]byte, error) {
	if data, ok := b.cached[i]; ok {
		return data, nil
	}
	length := min(blockSize, b.size-i*blockSize)
	r, err := b.store.Open(b.ctx, b.key, store.Range{Offset: i * blockSize, Length: length})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, length)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("%s at byte %d: %w", b.key, i*blockSize, err)
	}
	if len(b.order) == blockCount {
		delete(b.cached, b.order[0])
		b.order = b.order[1:]
	}
	b.cached[i], b.order = data, append(b.order, i)
	return data, nil
}
