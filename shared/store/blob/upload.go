package blob

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

var _ remote.Upload = (*upload)(nil)

// markName is the metadata that tells by which write an object was made.
const markName = "lakestep_put"

// upload is one write of an object.
type upload struct {
	s         *Store
	key, mark string
	id        []byte // begins the names of the write's blocks: those of all writers to a key lie side by side
	condition *blob.AccessConditions
}

func (u *upload) metadata() map[string]*string { return map[string]*string{markName: &u.mark} }

// Whole implements remote.Upload.
func (u *upload) Whole(ctx context.Context, data []byte) error {
	_, err := u.s.blob(u.key).Upload(once(ctx), streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{
		Metadata: u.metadata(), AccessConditions: u.condition,
	})
	return u.s.translate(ctx, "put", u.key, err)
}

// Start implements remote.Upload: blocks need no beginning.
func (u *upload) Start(context.Context) error { return nil }

// block is the name of block n; those of one object must all have the same length.
func (u *upload) block(n int) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(bytes.Clone(u.id), uint32(n)))
}

// Part implements remote.Upload.
func (u *upload) Part(ctx context.Context, n int, data []byte) error {
	_, err := u.s.blob(u.key).StageBlock(u.s.retries(ctx), u.block(n), streaming.NopCloser(bytes.NewReader(data)), nil)
	return u.s.translate(ctx, "put", u.key, err)
}

// Finish implements remote.Upload.
func (u *upload) Finish(ctx context.Context, n int) error {
	blocks := make([]string, n)
	for i := range blocks {
		blocks[i] = u.block(i + 1)
	}
	_, err := u.s.blob(u.key).CommitBlockList(once(ctx), blocks, &blockblob.CommitBlockListOptions{
		Metadata: u.metadata(), AccessConditions: u.condition,
	})
	return u.s.translate(ctx, "put", u.key, err)
}

// Abort implements remote.Upload: nothing can drop blocks but time.
func (u *upload) Abort(context.Context) error { return nil }

// Mine implements remote.Upload.
func (u *upload) Mine(ctx context.Context) (bool, error) {
	out, err := u.s.blob(u.key).GetProperties(u.s.retries(ctx), nil)
	if err != nil {
		return false, u.s.translate(ctx, "stat", u.key, err)
	}
	return metadataValue(out.Metadata, markName) == u.mark, nil
}
