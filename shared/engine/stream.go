package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/lakestep/lakestep/shared/fault"
)

// lineQuote stands around lines that DuckDB would else take for comments; it does not occur in JSON.
const lineQuote = '\x01'

// WriteLines writes the texts of a query's only column as lines, while they come: memory holds a few of them, whatever their number. They must
// not hold control characters; JSON does not.
func (s *Session) WriteLines(ctx context.Context, query string, w io.Writer) error {
	return s.stream(ctx, query, fmt.Sprintf("HEADER false, DELIMITER '\x02', QUOTE '%[1]c', ESCAPE '%[1]c'", lineQuote), withoutQuotes{w})
}

// WriteCSV writes a query's rows as RFC 4180 says, with a header, while they come. A NULL is an empty field, an empty text is "".
func (s *Session) WriteCSV(ctx context.Context, query string, w io.Writer) error {
	return s.stream(ctx, query, "HEADER true", w)
}

// stream copies what DuckDB writes into a pipe. The driver would hold a whole result in memory.
func (s *Session) stream(ctx context.Context, query, options string, w io.Writer) error {
	r, pipe, err := os.Pipe()
	if err != nil {
		return fault.New(fault.Unavailable, "write", "rows", "%w", err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r)
		copied <- errors.Join(err, r.Close()) // closed, it ends the query
	}()
	err = s.Exec(ctx, fmt.Sprintf("COPY (\n%s\n) TO '/dev/fd/%d' (FORMAT csv, USE_TMP_FILE false, %s)", query, pipe.Fd(), options))
	_ = pipe.Close()
	if failed := <-copied; failed != nil {
		return fault.New(fault.Unavailable, "write", "rows", "%w", failed)
	}
	return err
}

// withoutQuotes leaves out lineQuote.
type withoutQuotes struct{ w io.Writer }

func (q withoutQuotes) Write(p []byte) (int, error) {
	for start := 0; start < len(p); {
		end := start
		for end < len(p) && p[end] != lineQuote {
			end++
		}
		if n, err := q.w.Write(p[start:end]); err != nil {
			return start + n, err
		}
		start = end + 1
	}
	return len(p), nil
}
