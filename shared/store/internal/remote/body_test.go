package remote_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

const content = "0123456789abcdefghij"

// cutting opens content, and cuts each connection after some bytes with err; opens counts them.
func cutting(after int, err error, opens *int) remote.Opener {
	return func(_ context.Context, skip int64) (io.ReadCloser, error) {
		*opens++
		rest := content[skip:]
		if len(rest) <= after {
			return io.NopCloser(strings.NewReader(rest)), nil
		}
		return io.NopCloser(io.MultiReader(strings.NewReader(rest[:after]), iotest.ErrReader(err))), nil
	}
}

func TestOpenGoesOnWhereAConnectionBroke(t *testing.T) {
	for _, err := range []error{io.ErrUnexpectedEOF, syscall.ECONNRESET} {
		opens := 0
		r, oerr := remote.Open(t.Context(), short(), "k", cutting(6, err, &opens))
		if oerr != nil {
			t.Fatal(oerr)
		}
		b, rerr := io.ReadAll(r)
		if rerr != nil || string(b) != content || opens != 4 {
			t.Errorf("%v: read %q in %d connections, %v", err, b, opens, rerr)
		}
	}
}

func TestOpenGivesUp(t *testing.T) {
	opens := 0
	r, err := remote.Open(t.Context(), short(), "k", cutting(1, io.ErrUnexpectedEOF, &opens))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); fault.KindOf(err) != fault.Unavailable || string(b) != content[:4] || opens != 4 {
		t.Errorf("read %q in %d connections, %v", b, opens, err)
	}
}

// A body that is wrong, not broken off, is not read around.
func TestOpenKeepsToAWrongBody(t *testing.T) {
	opens, wrong := 0, errors.New("checksum did not match")
	r, err := remote.Open(t.Context(), short(), "k", cutting(6, wrong, &opens))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, wrong) || opens != 1 {
		t.Errorf("%d connections, %v", opens, err)
	}
}

// hanging never answers until its connection is cut.
type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) { <-h.ctx.Done(); return 0, h.ctx.Err() }

func TestOpenCutsAStalledConnection(t *testing.T) {
	opens := 0
	start := time.Now()
	r, err := remote.Open(t.Context(), short(), "k", func(ctx context.Context, skip int64) (io.ReadCloser, error) {
		if opens++; opens == 1 {
			return io.NopCloser(io.MultiReader(strings.NewReader(content[:5]), hanging{ctx})), nil
		}
		return io.NopCloser(strings.NewReader(content[skip:])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != content || opens != 2 || time.Since(start) > 5*time.Second {
		t.Errorf("read %q in %d connections, %v, %v", b, opens, err, time.Since(start))
	}
	_, err = remote.Open(t.Context(), short(), "k", func(ctx context.Context, _ int64) (io.ReadCloser, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if fault.KindOf(err) != fault.Unavailable || errors.Is(err, context.Canceled) {
		t.Errorf("a service that never answers: %v", err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, err := remote.Open(ctx, short(), "k", func(ctx context.Context, _ int64) (io.ReadCloser, error) {
		return io.NopCloser(hanging{ctx}), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOrder(t *testing.T) {
	o := remote.Order{After: "a"}
	for _, k := range []string{"b", "b/c", "c"} {
		if err := o.Check("s3://b/", k); err != nil {
			t.Error(err)
		}
	}
	for _, k := range []string{"c", "b"} {
		if err := o.Check("s3://b/", k); fault.KindOf(err) != fault.Internal || fault.HintOf(err) == "" {
			t.Error(err)
		}
	}
}
