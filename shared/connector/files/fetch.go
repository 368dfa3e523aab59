package files

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// fetched is what an item holds, as a local file.
type fetched struct {
	path string
	size int64  // of the content, where it was expanded
	bad  string // why it could not be
}

// fetch makes an item a local file and computes its digest: in place for a local store, else written to temp, as is what is compressed.
func (s *Source) fetch(ctx context.Context, st stream, it *connector.Item, temp string, limit int64) (fetched, error) {
	r, err := s.store.Open(ctx, it.Key, store.Range{})
	if err != nil {
		return fetched{}, moved(it.Key, err)
	}
	defer r.Close()
	from := newOriginal(io.LimitReader(r, it.Size+1)) // one that grows while it is read would have no end
	in, f := from.in, fetched{path: temp}
	codec, bad := st.codec(in)
	local, inPlace := s.store.(store.Local)
	switch {
	case bad != "":
		f.bad = bad
	case codec != "":
		f.size, f.bad, err = expand(ctx, in, codec, temp, max(limit, minLimit, it.Size*maxRatio))
	case inPlace:
		f.path, err = local.Path(it.Key)
	default:
		err = save(in, temp)
	}
	if err == nil {
		_, err = in.WriteTo(io.Discard) // the digest is of all of it
	}
	switch {
	case ctx.Err() != nil:
		return f, fault.New(fault.Unavailable, "fetch", it.Key, "%w", ctx.Err())
	case from.err != nil:
		return f, fault.New(fault.Unavailable, "fetch", it.Key, "%w", from.err)
	case err != nil:
		return f, fault.New(fault.Internal, "fetch", it.Key, "%w", err)
	case from.n != it.Size:
		return f, changed(it.Key)
	}
	it.SHA256 = hex.EncodeToString(from.digest.Sum(nil))
	return f, nil
}

// original is an item's content as it is stored.
type original struct {
	in     *bufio.Reader // to read it by
	r      io.Reader
	n      int64
	digest hash.Hash
	err    error // why it cannot be read
}

func newOriginal(r io.Reader) *original {
	o := &original{r: r, digest: sha256.New()}
	o.in = bufio.NewReaderSize(o, 1<<20)
	return o
}

// Read is for in.
func (o *original) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.n += int64(n)
	o.digest.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		o.err = err
	}
	return n, err
}

func save(in *bufio.Reader, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = in.WriteTo(f)
	return errors.Join(err, f.Close())
}

// verify tells that no item changed since it was listed: what was read in place is what the digest says.
func (s *Source) verify(ctx context.Context, items []connector.Item) error {
	for _, it := range items {
		o, err := s.store.Stat(ctx, it.Key)
		if err != nil {
			return moved(it.Key, err)
		}
		if o.Size != it.Size || o.ETag != it.ETag {
			return changed(it.Key)
		}
	}
	return nil
}

// moved makes a file that is gone one that changed: the step looks again.
func moved(key string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return changed(key)
	}
	return err
}

// reopen opens an item's local file, which may be gone where it is read in place.
func reopen(key, path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, changed(key)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "read", key, "%w", err)
	}
	return f, nil
}

func changed(key string) error {
	return fault.New(fault.Unavailable, "read", key, "the file changed while it was read").
		WithHint("write landing files under another name (.name or _name) and rename them when they are complete")
}
