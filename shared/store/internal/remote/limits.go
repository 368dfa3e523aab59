// Package remote is what the adapters of object services share: writes of any length in bounded memory that are repeated until it is known
// whether they took place, and reads that go on where a connection broke.
package remote

import (
	"context"
	"math/rand/v2"
	"time"
)

// Limits bound what one operation may take. An adapter takes Default; tests shorten it.
type Limits struct {
	Attempts int           // of one request whose answer asks for another try, or was lost
	Resumes  int           // new connections for the body of one read
	Request  time.Duration // for one request and its answer without a body to read
	Stall    time.Duration // without a byte, after which a connection counts as broken
	Backoff  time.Duration // before the second attempt; it doubles, up to 32 times
	Part     int           // bytes sent in one request; an object of more is sent in parts
	Parallel int           // parts on their way at once: a write takes (Parallel + 1) x Part bytes of memory
}

// Default are the limits of the adapters: 32 MiB of memory a write, and about a quarter of an hour until a service that never answers is given up.
func Default() Limits {
	return Limits{
		Attempts: 5, Resumes: 10, Request: 2 * time.Minute, Stall: time.Minute, Backoff: 100 * time.Millisecond,
		Part: 8 << 20, Parallel: 3,
	}
}

// maxParts is the limit of S3; that of Azure is higher. At 8 MiB a part it allows objects of 78 GiB.
const maxParts = 10_000

// Within runs fn under a context that ends after the time of one request.
func (l Limits) Within(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.Request)
	defer cancel()
	return fn(ctx)
}

// wait sleeps before attempt n+1: a random part of the backoff, so that writers that were refused together do not come back together.
func (l Limits) wait(ctx context.Context, n int) error {
	most := l.Backoff << min(n-1, 5)
	t := time.NewTimer(most/2 + rand.N(most/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
