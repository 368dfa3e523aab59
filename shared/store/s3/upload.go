package s3

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

var _ remote.Upload = (*upload)(nil)

// markName is the user metadata that tells by which write an object was made.
const markName = "lakestep-put"

// upload is one write of an object.
type upload struct {
	s           *Store
	key, mark   string
	ifNoneMatch *string

	id *string // of an upload in parts

	mu    sync.Mutex
	parts map[int]types.CompletedPart
}

// once keeps the SDK from repeating a request.
func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

func (u *upload) metadata() map[string]string { return map[string]string{markName: u.mark} }

// encryption gives the two fields for encryption by a key, empty without one.
func (u *upload) encryption() (types.ServerSideEncryption, *string) {
	if u.s.o.KMSKey == "" {
		return "", nil
	}
	return types.ServerSideEncryptionAwsKms, &u.s.o.KMSKey
}

// Whole implements remote.Upload.
func (u *upload) Whole(ctx context.Context, data []byte) error {
	err := u.put(ctx, data)
	if err != nil || u.ifNoneMatch == nil || u.s.conditions.Load() {
		return err
	}
	// Written twice, it is the same object: nobody is harmed by the question.
	switch err := u.put(ctx, data); {
	case err == nil:
		return fault.New(fault.InvalidInput, "put", u.s.object(u.key), "the service ignores If-None-Match: it wrote the object twice").
			WithHint("two writers of a table would overwrite one another there: take a service, or a version of it, that has conditional writes")
	case errors.Is(err, store.ErrExists):
		u.s.conditions.Store(true)
	}
	return nil // an answer that says nothing: the next write asks again
}

func (u *upload) put(ctx context.Context, data []byte) error {
	sse, key := u.encryption()
	_, err := u.s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &u.s.o.Bucket, Key: &u.key, Body: bytes.NewReader(data), IfNoneMatch: u.ifNoneMatch, Metadata: u.metadata(),
		ServerSideEncryption: sse, SSEKMSKeyId: key,
	}, once)
	return u.s.translate(ctx, "put", u.key, err)
}

// Start implements remote.Upload.
func (u *upload) Start(ctx context.Context) error {
	sse, key := u.encryption()
	out, err := u.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.s.o.Bucket, Key: &u.key, Metadata: u.metadata(), ServerSideEncryption: sse, SSEKMSKeyId: key,
	})
	if err != nil {
		return u.s.translate(ctx, "put", u.key, err)
	}
	u.id, u.parts = out.UploadId, map[int]types.CompletedPart{}
	return nil
}

// Part implements remote.Upload.
func (u *upload) Part(ctx context.Context, n int, data []byte) error {
	number := aws.Int32(int32(n))
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.o.Bucket, Key: &u.key, UploadId: u.id, PartNumber: number, Body: bytes.NewReader(data),
	})
	if err != nil {
		return u.s.translate(ctx, "put", u.key, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[n] = types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
	return nil
}

// Finish implements remote.Upload.
func (u *upload) Finish(ctx context.Context, n int) error {
	parts := make([]types.CompletedPart, n)
	for i := range parts {
		parts[i] = u.parts[i+1]
	}
	_, err := u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.o.Bucket, Key: &u.key, UploadId: u.id, IfNoneMatch: u.ifNoneMatch, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}, once)
	return u.s.translate(ctx, "put", u.key, err)
}

// Abort implements remote.Upload.
func (u *upload) Abort(ctx context.Context) error {
	_, err := u.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.s.o.Bucket, Key: &u.key, UploadId: u.id})
	return u.s.translate(ctx, "drop the parts of", u.key, err)
}

// Mine implements remote.Upload.
func (u *upload) Mine(ctx context.Context) (bool, error) {
	out, err := u.s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &u.s.o.Bucket, Key: &u.key})
	if err != nil {
		return false, u.s.translate(ctx, "stat", u.key, err)
	}
	return out.Metadata[markName] == u.mark, nil
}
