// Package s3 keeps objects in a bucket of Amazon S3, or of another service that speaks its protocol.
//
// Put-if-absent is a PUT with "If-None-Match: *": the service must honour it. S3 does in all buckets but directory buckets (whose listings
// have no order either); a service that ignores the header would let two writers of a Delta log overwrite one another, so the first such write
// of a Store is repeated, and must be refused. An object of more than
// 8 MiB goes in parts, and appears when the last of them is there; the parts of a writer that died stay, invisible, until a lifecycle rule of
// the bucket drops them (AbortIncompleteMultipartUpload).
//
// The SDK repeats what may be repeated; a write is repeated here, because only with a mark on the object (its metadata "lakestep-put") can
// one's own write, whose answer was lost, be told from another's.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

var _ store.Store = (*Store)(nil)

// Options say which bucket, and how it is spoken to.
type Options struct {
	Bucket string
	// PathStyle puts the bucket into the path of the URL and not into its host, as most services other than S3 want it.
	PathStyle bool
	// KMSKey has objects encrypted with this key (id, alias or ARN) of the Key Management Service; "": as the bucket has it.
	KMSKey string
}

// Store is a store.Store in a bucket.
type Store struct {
	client *s3.Client
	o      Options
	limits remote.Limits

	conditions atomic.Bool // the service is known to honour If-None-Match
}

// hushed is an error of the SDK about credentials without what a credential process printed, which may be credentials.
func hushed(err error) error {
	const quoted = "process output"
	if before, _, found := strings.Cut(err.Error(), quoted); found {
		return errors.New(before + quoted)
	}
	return err
}

// New opens a bucket. The region, the credentials and the endpoint are in cfg; that there are credentials is checked, that there is a bucket
// shows with the first request.
func New(ctx context.Context, cfg aws.Config, o Options) (*Store, error) {
	s := &Store{o: o, limits: remote.Default()}
	if o.Bucket == "" || strings.ContainsAny(o.Bucket, "/?#") {
		return nil, fault.New(fault.InvalidInput, "open store", s.object(""), "%q is no bucket", o.Bucket).WithHint("s3://BUCKET/FOLDER")
	}
	if strings.HasSuffix(o.Bucket, "--x-s3") {
		return nil, fault.New(fault.InvalidInput, "open store", s.object(""), "it is a directory bucket, whose listings have no order").
			WithHint("keep tables in a general purpose bucket")
	}
	if cfg.Region == "" {
		return nil, fault.New(fault.InvalidInput, "open store", s.object(""), "no region is set").WithHint("set AWS_REGION to the bucket's region")
	}
	err := s.limits.Within(ctx, func(ctx context.Context) error {
		if cfg.Credentials == nil {
			return fmt.Errorf("there are none")
		}
		_, err := cfg.Credentials.Retrieve(ctx)
		return err
	})
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open store", s.object(""), "credentials: %w", hushed(err)).
			WithHint("set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached")
	}
	s.client = s3.NewFromConfig(cfg, func(so *s3.Options) {
		so.UsePathStyle = o.PathStyle
		so.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = s.limits.Attempts, 32*s.limits.Backoff
		})
		so.DisableLogOutputChecksumValidationSkipped = true // objects of other writers may have none
	})
	return s, nil
}

// object names a key in messages.
func (s *Store) object(key string) string { return "s3://" + s.o.Bucket + "/" + key }

// start checks what every operation on a key checks first.
func (s *Store) start(ctx context.Context, op, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
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
	var etag *string
	return remote.Open(ctx, s.limits, s.object(key), func(ctx context.Context, skip int64) (io.ReadCloser, error) {
		rest := r
		rest.Offset += skip
		if r.Length > 0 {
			if rest.Length -= skip; rest.Length <= 0 {
				return io.NopCloser(strings.NewReader("")), nil
			}
		}
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: &key, Range: httpRange(rest), IfMatch: etag})
		if isBeyondEnd(err) {
			return io.NopCloser(strings.NewReader("")), nil
		}
		if err != nil {
			return nil, s.translate(ctx, "open", key, err)
		}
		etag = out.ETag
		return out.Body, nil
	})
}

// httpRange is the header's value; nil for a whole object.
func httpRange(r store.Range) *string {
	switch {
	case r.Length > 0 && r.Offset <= math.MaxInt64-r.Length:
		return aws.String(fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1))
	case r.Offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", r.Offset))
	}
	return nil
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (o store.Object, err error) {
	if err := s.start(ctx, "stat", key); err != nil {
		return store.Object{}, err
	}
	err = s.limits.Within(ctx, func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.o.Bucket, Key: &key})
		if err != nil {
			return s.translate(ctx, "stat", key, err)
		}
		o = store.Object{Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}
		return nil
	})
	return o, err
}

// Put implements store.Store. ErrExists means another writer's object, also when answers were lost on the way.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	if err := s.start(ctx, "put", key); err != nil {
		return err
	}
	u := &upload{s: s, key: key, mark: uuid.NewString()}
	if o.IfAbsent {
		u.ifNoneMatch = aws.String("*")
	}
	return remote.Put(ctx, s.limits, s.object(key), body, o, u)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.start(ctx, "delete", key); err != nil {
		return err
	}
	return s.limits.Within(ctx, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: &key})
		if isNotFound(err) {
			return nil
		}
		return s.translate(ctx, "delete", key, err)
	})
}

// List implements store.Store, a page of 1000 objects at a time. Objects that are no store.CheckKey, such as the "folder/" of the console, are
// passed over. ModTime has whole seconds, as in Stat.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Object{}, err)
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.o.Bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
		if after != "" {
			in.StartAfter = &after
		}
		order := remote.Order{After: after}
		for {
			page, next, err := s.page(ctx, in)
			for _, o := range page {
				if err = order.Check(s.object(prefix), o.Key); err != nil {
					break
				}
				if store.CheckKey(o.Key) == nil && !yield(o, nil) {
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
			if next == nil {
				return
			}
			in.ContinuationToken = next
		}
	}
}

// page gives one page of a listing and the token of the next, nil after the last.
func (s *Store) page(ctx context.Context, in *s3.ListObjectsV2Input) (page []store.Object, next *string, err error) {
	err = s.limits.Within(ctx, func(ctx context.Context) error {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return s.translate(ctx, "list", aws.ToString(in.Prefix), err)
		}
		for _, c := range out.Contents {
			key := aws.ToString(c.Key)
			if out.EncodingType == types.EncodingTypeUrl { // asked for because keys may hold what XML cannot; not every service does it
				if key, err = url.QueryUnescape(key); err != nil {
					return fault.New(fault.Internal, "list", s.object(aws.ToString(in.Prefix)), "key %q: %w", aws.ToString(c.Key), err)
				}
			}
			page = append(page, store.Object{
				Key: key, Size: aws.ToInt64(c.Size), ModTime: aws.ToTime(c.LastModified).Truncate(time.Second), ETag: aws.ToString(c.ETag),
			})
		}
		if aws.ToBool(out.IsTruncated) {
			next = out.NextContinuationToken
		}
		return nil
	})
	return page, next, err
}
