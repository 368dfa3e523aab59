package snowflake

import (
	"fmt"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// instant is a timestamp as the server sends it.
type instant struct {
	seconds int64 // since 1970 in UTC; of TIMESTAMP_NTZ, which has no zone, as if it were of UTC
	nanos   int64 // 0 to 999,999,999
	offset  int   // of its zone from UTC, in minutes; of TIMESTAMP_TZ
}

func (t instant) time() time.Time { return time.Unix(t.seconds, t.nanos).UTC() }

// The layouts of timestamps as text: without a zone, and with one.
const (
	plainLayout = "2006-01-02 15:04:05.000000000"
	zoneLayout  = "2006-01-02 15:04:05.000000000-07:00"
)

// text is all of a timestamp of that kind.
func (t instant) text(kind string) string {
	switch kind {
	case "timestamp_ntz":
		return t.time().Format(plainLayout)
	case "timestamp_tz":
		return t.time().In(time.FixedZone("", t.offset*60)).Format(zoneLayout)
	}
	return t.time().Format(zoneLayout)
}

// timestamps gives microseconds in UTC. What has more digits than that stands in texts, and is NULL in values.
func timestamps(col arrow.Array, c column) (values, texts arrow.Array, err error) {
	at, err := instants(col, c)
	if err != nil {
		return nil, nil, err
	}
	b := array.NewTimestampBuilder(spoolAllocator, spool.Timestamp.(*arrow.TimestampType))
	b.Reserve(col.Len())
	var odd *array.StringBuilder
	for i := range col.Len() {
		t, ok := at(i)
		switch {
		case !ok:
			b.UnsafeAppendBoolToBitmap(false)
		case t.nanos%1000 == 0:
			b.UnsafeAppend(arrow.Timestamp(t.seconds*1_000_000 + t.nanos/1000))
		default:
			b.UnsafeAppendBoolToBitmap(false)
			if odd == nil {
				odd = array.NewStringBuilder(spoolAllocator)
			}
			for odd.Len() < i {
				odd.AppendNull()
			}
			odd.Append(t.text(c.kind))
		}
		if ok && (t.seconds > maxSeconds || t.seconds < -maxSeconds) {
			return nil, nil, fmt.Errorf("a timestamp of second %d", t.seconds)
		}
	}
	if odd == nil {
		return b.NewArray(), nil, nil
	}
	for odd.Len() < col.Len() {
		odd.AppendNull()
	}
	return b.NewArray(), odd.NewArray(), nil
}

const maxSeconds = math.MaxInt64/1_000_000 - 1

// instants gives the values of a column of timestamps; not ok is NULL. They come as a number in units of the scale, or as a structure of
// seconds and nanoseconds where that number could be too large. TIMESTAMP_TZ has the minutes of its zone, plus a day, behind either.
func instants(col arrow.Array, c column) (func(i int) (t instant, ok bool), error) {
	if a, ok := col.(*array.Int64); ok && c.kind != "timestamp_tz" && c.scale >= 0 && c.scale <= 9 {
		return func(i int) (instant, bool) {
			if a.IsNull(i) {
				return instant{}, false
			}
			return scaled(a.Value(i), c.scale), true
		}, nil
	}
	s, ok := col.(*array.Struct)
	if !ok {
		return nil, unexpected(col, c)
	}
	fields := s.NumField()
	zoned := c.kind == "timestamp_tz"
	if zoned {
		fields--
	}
	epoch, ok := s.Field(0).(*array.Int64)
	if !ok || fields != 1 && fields != 2 {
		return nil, unexpected(col, c)
	}
	fraction, zone := &array.Int32{}, &array.Int32{}
	if fields == 2 {
		fraction, ok = s.Field(1).(*array.Int32)
	}
	if zoned && ok {
		zone, ok = s.Field(s.NumField() - 1).(*array.Int32)
	}
	if !ok {
		return nil, unexpected(col, c)
	}
	return func(i int) (t instant, ok bool) {
		if s.IsNull(i) || epoch.IsNull(i) {
			return instant{}, false
		}
		if fields == 2 {
			if t = (instant{seconds: epoch.Value(i), nanos: int64(fraction.Value(i))}); t.nanos < 0 {
				t.seconds, t.nanos = t.seconds-1, t.nanos+1e9
			}
		} else {
			t = scaled(epoch.Value(i), c.scale)
		}
		if zoned {
			t.offset = int(zone.Value(i)) - 24*60
		}
		return t, true
	}, nil
}

// scaled reads a number in units of 10^-scale seconds. It rounds down, also before 1970.
func scaled(v int64, scale int) instant {
	unit := int64(math.Pow10(scale))
	seconds, rest := v/unit, v%unit
	if rest < 0 {
		seconds, rest = seconds-1, rest+unit
	}
	return instant{seconds: seconds, nanos: rest * int64(math.Pow10(9-scale))}
}

// times are the texts of TIME, which comes as a number in units of its scale: the port has no type for it.
func times(col arrow.Array, c column) (arrow.Array, error) {
	var at func(i int) instant
	switch a := col.(type) {
	case *array.Int64:
		at = func(i int) instant { return scaled(a.Value(i), c.scale) }
	case *array.Int32:
		at = func(i int) instant { return scaled(int64(a.Value(i)), c.scale) }
	case *array.Time64: // of the driver, which leaves the number as it is
		at = func(i int) instant { return scaled(int64(a.Value(i)), c.scale) }
	default:
		return nil, unexpected(col, c)
	}
	b := array.NewStringBuilder(spoolAllocator)
	b.Reserve(col.Len())
	for i := range col.Len() {
		if col.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(at(i).time().Format("15:04:05.999999999"))
	}
	return b.NewArray(), nil
}
