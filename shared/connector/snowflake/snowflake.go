// Package snowflake is the connector for tables, views and queries of Snowflake, read whole or by a cursor column.
//
// A page is one SELECT whose bounds were computed first, so that no value of the cursor column is cut in two; its result comes as Arrow
// chunks, several at once, each turned record by record into the port's types. Nothing starts or stops a warehouse here: Snowflake resumes it
// for a query and suspends it afterwards, as it was told to.
package snowflake

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// source reads the streams of one account, as one user.
type source struct {
	cfg     connector.Config
	set     settings
	streams map[string]stream
	db      *sql.DB         // sessions that are idle, and new ones
	base    *http.Transport // its connections
	retries int             // of a request, by the driver
	patience
}

// patience is how long is waited for what may come yet.
type patience struct {
	login time.Duration // between attempts to log in, together
	pause time.Duration // before a chunk is asked for again, at first
	after time.Duration // at most, when the other side says for how long
}

var (
	_ connector.Source   = (*source)(nil)
	_ connector.Explorer = (*source)(nil)
)

// New makes a source of what the configuration says. It does not reach for the network: that comes with the first question.
func New(_ context.Context, cfg connector.Config) (connector.Source, error) {
	silence()
	set, err := parseSettings(cfg)
	if err != nil {
		return nil, err
	}
	s := &source{cfg: cfg, set: set, streams: map[string]stream{}, base: transport(), retries: 5,
		patience: patience{login: 30 * time.Second, pause: time.Second, after: 30 * time.Second}}
	for name := range cfg.Streams {
		if s.streams[name], err = parseStream(cfg, set, name); err != nil {
			return nil, err
		}
	}
	s.db = sql.OpenDB(dialer{s})
	s.db.SetMaxIdleConns(maxIdle)
	return s, nil
}

// silence turns the driver's own log off, which goes to stderr and has links in it: what happened is in the errors, and those are looked
// through for secrets. "off" alone leaves half of it on.
var silence = sync.OnceFunc(func() {
	log := gosnowflake.GetLogger()
	_ = log.SetLogLevel("panic")
	_ = log.SetLogLevel("off")
	log.SetOutput(io.Discard)
})

// Close ends the sessions.
func (s *source) Close() error {
	err := s.db.Close()
	s.base.CloseIdleConnections()
	if err != nil {
		return fault.New(fault.Unavailable, "close", s.cfg.Name, "%s", scrub(err))
	}
	return nil
}

func (s *source) stream(name string) (stream, error) {
	st, ok := s.streams[name]
	if !ok {
		return stream{}, fault.New(fault.InvalidInput, "read stream", name, "no such stream")
	}
	return st, nil
}

// Pending tells how much lies beyond a position.
func (s *source) Pending(ctx context.Context, name string, seen connector.Position) (connector.Backlog, error) {
	st, err := s.stream(name)
	if err != nil {
		return connector.Backlog{}, err
	}
	if st.cursor == "" {
		return s.pendingWhole(ctx, st, seen)
	}
	return s.pendingRows(ctx, st, seen)
}

// Next gives the next page.
func (s *source) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	st, err := s.stream(r.Stream)
	if err != nil {
		return connector.Page{}, err
	}
	switch {
	case st.cursor == "" && r.Window != nil:
		return connector.Page{}, fault.New(fault.InvalidInput, "read stream", r.Stream, "a stream of mode full has no cursor column, so no window of it can be read").
			WithHint("refresh the table as a whole, or give the stream mode watermark (%s)", st.at)
	case st.cursor == "":
		return s.nextWhole(ctx, st, r)
	case r.Window != nil:
		return s.window(ctx, st, r)
	}
	return s.nextRows(ctx, st, r)
}
