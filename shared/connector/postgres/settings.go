package postgres

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// The modes of a stream.
const (
	modeCDC       = "cdc"
	modeWatermark = "watermark"
	modeFull      = "full"
)

// stream is what a pipeline says of one: a table, and how it is read.
type stream struct {
	name          string
	at            string // file:line:column
	mode          string
	schema, table string
	columns       []string // nil: all
	key           []string // nil: as the table has it

	// of cdc
	slot, publication string
	slotLag           int64

	// of snapshots
	parallel  int
	chunkRows int64

	// of watermark
	cursorColumn           string
	lag                    time.Duration
	hasInitial, hasEnd     bool
	initialValue, endValue string
}

const (
	defaultParallel  = 2
	defaultChunkRows = 100_000
	defaultSlotLag   = 1 << 30
)

func newStream(cfg connector.Config, name string, s connector.Settings) (stream, error) {
	st := stream{
		name: name, at: s["table"].At, mode: s.Text("mode", ""), columns: s.List("columns"), key: s.List("primary_key"),
		slotLag: s.Int("slot_lag_bytes", defaultSlotLag), parallel: max(int(s.Int("parallel", defaultParallel)), 1), chunkRows: max(s.Int("chunk_rows", defaultChunkRows), 1),
		cursorColumn: s.Text("cursor_column", ""), lag: s.Duration("lag", 0),
		hasInitial: s.Has("initial_value"), initialValue: s.Text("initial_value", ""), hasEnd: s.Has("end_value"), endValue: s.Text("end_value", ""),
	}
	refused := func(format string, args ...any) (stream, error) {
		return st, fault.New(fault.InvalidInput, "configure stream", cfg.Name+"."+name, format, args...).WithHint("see %s", st.at)
	}
	var ok bool
	if st.schema, st.table, ok = parseTable(s.Text("table", "")); !ok {
		return refused(`table %q is not written as table, schema.table or "schema"."table"`, s.Text("table", ""))
	}
	st.slot = s.Text("slot", ownName(cfg.Pipeline, cfg.Name, name))
	st.publication = s.Text("publication", ownName(cfg.Pipeline, cfg.Name, name))
	switch {
	case st.mode != modeCDC && st.mode != modeWatermark && st.mode != modeFull:
		return refused("mode %q is none of cdc, watermark and full", st.mode)
	case st.mode == modeWatermark && st.cursorColumn == "":
		return refused("mode watermark needs the key cursor_column")
	case !slotName(st.slot):
		return refused("slot %q: a slot's name is of a-z, 0-9 and _, and 63 long at most", st.slot)
	}
	return st, nil
}

// parseTable reads table, schema.table, or the same with names in double quotes. Names are taken as they stand: the server's names are in small
// letters unless they were created in quotes.
func parseTable(s string) (schema, table string, ok bool) {
	first, rest, ok := firstName(s)
	if !ok || rest == "" {
		return "public", first, ok
	}
	second, end, ok := firstName(strings.TrimPrefix(rest, "."))
	return first, second, ok && rest[0] == '.' && end == ""
}

func firstName(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '.')
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], i > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != '"' {
			return b.String(), s[i+1:], b.Len() > 0
		}
		b.WriteByte('"')
		i++
	}
	return "", "", false
}

const maxName = 63 // bytes of a name on the server

// ownName is what a stream's slot and publication are called if the pipeline gives no name: two streams never get the same.
func ownName(pipeline, source, stream string) string {
	whole := "lakestep_" + pipeline + "_" + source + "_" + stream
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, whole)
	if len(name) <= maxName {
		return name
	}
	return fmt.Sprintf("%s_%08x", name[:maxName-9], crc32.ChecksumIEEE([]byte(whole)))
}

func slotName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// value is a setting that may be a reference to a secret.
func value(ctx context.Context, cfg connector.Config, key string) (string, error) {
	v := cfg.Settings.Text(key, "")
	if !isReference(v) || cfg.Secret == nil {
		return v, nil
	}
	return cfg.Secret(ctx, v)
}

func isReference(s string) bool {
	for _, scheme := range []string{"env:", "aws-secretsmanager:", "azure-keyvault:"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}
