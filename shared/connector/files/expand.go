package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxRatio is how much larger than itself a compressed file may become where that passes the page's limit: text rarely reaches it, a file
// that is made to fill a disk does.
const maxRatio = 200

// minLimit is what any compressed file may become, in bytes.
const minLimit = 64 << 20

// maxWindow is the most memory that a zstd stream may ask for, in bytes: what zstd's own program grants.
const maxWindow = 128 << 20

// codec tells how a file is compressed: by its first bytes, not its name. bad says that it is not as the stream says.
func (st stream) codec(in *bufio.Reader) (codec, bad string) {
	if st.format == "parquet" || st.format == "avro" { // they compress what they hold
		return "", ""
	}
	head, _ := in.Peek(4) // an error comes again
	found := ""
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		found = "gzip"
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}): // a frame, or one to skip
		found = "zstd"
	}
	switch st.compression {
	case "none":
		return "", ""
	case "auto", found:
		return found, ""
	}
	if len(head) == 0 { // an empty file is an empty file
		return "", ""
	}
	return "", fmt.Sprintf("the file is not compressed by %s, as the stream says", st.compression)
}

// expand writes what a compressed file holds to path: all of it, or bad says why not. No more than limit bytes are written.
func expand(ctx context.Context, in io.Reader, codec, path string, limit int64) (size int64, bad string, err error) {
	out, err := os.Create(path)
	if err != nil {
		return 0, "", err
	}
	w := &into{ctx: ctx, w: out}
	size, err = decode(w, in, codec, limit+1)
	if err := errors.Join(w.err, out.Close()); err != nil {
		return 0, "", err
	}
	switch {
	case err != nil:
		bad = broken(codec, err)
	case size > limit:
		bad = tooMuch(limit)
	default:
		return size, "", nil
	}
	return 0, bad, os.Remove(path)
}

func tooMuch(limit int64) string {
	return fmt.Sprintf("the file expands to more than %d bytes: more than a page may hold, and over %d times its size", limit, maxRatio)
}

func broken(codec string, err error) string {
	return fmt.Sprintf("the file is broken %s: %v; none of it was taken", codec, err)
}

func decode(w io.Writer, in io.Reader, codec string, limit int64) (int64, error) {
	if codec == "gzip" {
		r, err := gzip.NewReader(in)
		if err != nil {
			return 0, err
		}
		return io.Copy(w, io.LimitReader(r, limit))
	}
	r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(w, io.LimitReader(r, limit))
}

// into is a writer that tells its own errors from those of what it is given, and ends with ctx.
type into struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (o *into) Write(p []byte) (n int, err error) {
	if o.err = o.ctx.Err(); o.err == nil {
		n, o.err = o.w.Write(p)
	}
	return n, o.err
}
