// Package blob keeps objects in a container of Azure Blob storage.
//
// Put-if-absent is one Put Blob with "If-None-Match: *"; nothing is ever renamed. An object of more than 8 MiB goes in blocks, and appears when
// they are committed, under the same condition; blocks that are never committed stay invisible, and the service drops them after a week.
//
// The SDK repeats what may be repeated; a write is repeated here, because only with a mark on the object (its metadata "lakestep_put") can
// one's own write, whose answer was lost, be told from another's.
package blob

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store in a container.
type Store struct {
	client *container.Client
	url    string // without a signature
	limits remote.Limits
}

// New opens the container of client, which holds the credentials. That there is such a container shows with the first request.
func New(client *container.Client) *Store {
	url, _, _ := strings.Cut(client.URL(), "?") // behind it may stand a signature
	return &Store{client: client, url: url, limits: remote.Default()}
}

// object names a key in messages.
func (s *Store) object(key string) string { return s.url + "/" + key }

// blob is the client of a key.
func (s *Store) blob(key string) *blockblob.Client { return s.client.NewBlockBlobClient(key) }

// retries gives ctx for a request that the SDK may repeat.
func (s *Store) retries(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries: int32(s.limits.Attempts - 1), RetryDelay: s.limits.Backoff, MaxRetryDelay: 32 * s.limits.Backoff,
	})
}

// once gives ctx for a request that the SDK must not repeat.
func once(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
}

// start checks what every operation on a key checks first.
func (s *Store) start(ctx context.Context, op, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if strings.Contains(key, `\`) || strings.HasSuffix(key, ".") || strings.Contains(key, "./") {
		return fault.New(fault.InvalidInput, op, s.object(key), "Azure takes a backslash for a slash, and drops dots at the end of a segment").
			WithHint("give the object another name")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, s.object(key), err)
	}
	return nil
}

// Open implements store.Store. An object that is replaced while it is read is an Unavailable fault when the connection breaks.
func (s *Store) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if err := store.CheckRange(key, r); err != nil {
		return nil, err
	}
	if err := s.start(ctx, "open", key); err != nil {
		return nil, err
	}
	var etag *azcore.ETag
	return remote.Open(ctx, s.limits, s.object(key), func(ctx context.Context, skip int64) (io.ReadCloser, error) {
		rest := blob.HTTPRange{Offset: r.Offset + skip}
		if r.Length > 0 {
			if rest.Count = r.Length - skip; rest.Count <= 0 {
				return io.NopCloser(strings.NewReader("")), nil
			}
		}
		out, err := s.blob(key).DownloadStream(s.retries(ctx), &blob.DownloadStreamOptions{
			Range: rest, AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: etag}},
		})
		switch {
		case isBeyondEnd(err):
			return io.NopCloser(strings.NewReader("")), nil
		case err != nil:
			return nil, s.translate(ctx, "open", key, err)
		case isFolder(out.Metadata):
			out.Body.Close()
			return nil, fmt.Errorf("open %s: %w", s.object(key), store.ErrNotFound)
		}
		etag = out.ETag
		return out.Body, nil
	})
}

// isFolder tells the entry of a folder in an account with a hierarchical namespace.
func isFolder(metadata map[string]*string) bool {
	return metadataValue(metadata, "hdi_isfolder") == "true"
}

// metadataValue looks a name up as the service does: in any case of letters.
func metadataValue(metadata map[string]*string, name string) string {
	for k, v := range metadata {
		if v != nil && strings.EqualFold(k, name) {
			return *v
		}
	}
	return ""
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (o store.Object, err error) {
	if err := s.start(ctx, "stat", key); err != nil {
		return store.Object{}, err
	}
	err = s.limits.Within(ctx, func(ctx context.Context) error {
		out, err := s.blob(key).GetProperties(s.retries(ctx), nil)
		if err != nil {
			return s.translate(ctx, "stat", key, err)
		}
		if isFolder(out.Metadata) {
			return fmt.Errorf("stat %s: %w", s.object(key), store.ErrNotFound)
		}
		o = store.Object{Key: key, Size: value(out.ContentLength), ModTime: value(out.LastModified), ETag: tag(out.ETag)}
		return nil
	})
	return o, err
}

// value is what p points to, or its zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// tag is an ETag without the quotes, which listings leave out.
func tag(e *azcore.ETag) string { return strings.Trim(string(value(e)), `"`) }

// Put implements store.Store. ErrExists means another writer's object, also when answers were lost on the way.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	if err := s.start(ctx, "put", key); err != nil {
		return err
	}
	id := uuid.New()
	u := &upload{s: s, key: key, id: id[:], mark: id.String()}
	if o.IfAbsent {
		u.condition = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
	}
	return remote.Put(ctx, s.limits, s.object(key), body, o, u)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.start(ctx, "delete", key); err != nil {
		return err
	}
	return s.limits.Within(ctx, func(ctx context.Context) error {
		_, err := s.blob(key).Delete(s.retries(ctx), nil)
		if isNotFound(err) {
			return nil
		}
		return s.translate(ctx, "delete", key, err)
	})
}

// List implements store.Store, a page of at most 5000 objects at a time. The service has no way to begin behind a key that all accounts
// know: what is before `after` is listed and passed over, as are folders and objects whose name is no store.CheckKey.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Object{}, err)
			return
		}
		var order remote.Order
		pager := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
		for pager.More() {
			page, err := s.page(ctx, prefix, pager.NextPage)
			for _, o := range page {
				if err = order.Check(s.object(prefix), o.Key); err != nil {
					break
				}
				if o.Key > after && store.CheckKey(o.Key) == nil && !yield(o, nil) {
					return
				}
			}
			if cerr := ctx.Err(); err == nil && cerr != nil {
				err = fmt.Errorf("list %s: %w", s.object(prefix), cerr)
			}
			if err != nil {
				yield(store.Object{}, err)
				return
			}
		}
	}
}

// page gives the objects of one page of a listing.
func (s *Store) page(ctx context.Context, prefix string, next func(context.Context) (container.ListBlobsFlatResponse, error)) (page []store.Object, err error) {
	err = s.limits.Within(ctx, func(ctx context.Context) error {
		out, err := next(s.retries(ctx))
		if err != nil {
			return s.translate(ctx, "list", prefix, err)
		}
		if out.Segment == nil {
			return fault.New(fault.Unavailable, "list", s.object(prefix), "an answer without a segment")
		}
		for _, b := range out.Segment.BlobItems {
			p := value(b.Properties)
			if value(p.ResourceType) != "directory" {
				page = append(page, store.Object{Key: value(b.Name), Size: value(p.ContentLength), ModTime: value(p.LastModified), ETag: tag(p.ETag)})
			}
		}
		return nil
	})
	return page, err
}
