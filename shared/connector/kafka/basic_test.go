package kafka

import (
	"encoding/csv"
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
)

func readBad(t testing.TB, files []string) (out []connector.Bad) {
	t.Helper()
	for _, path := range files {
		f, err := os.Open(path)
		must(t, err)
		lines, err := csv.NewReader(f).ReadAll()
		must(t, err)
		f.Close()
		for _, line := range lines {
			out = append(out, connector.Bad{Key: line[0], Text: line[2], Error: line[3]})
		}
	}
	return out
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s:\n%s\nwant\n%s", what, g, w)
	}
}

// What each message brings beside its value.
func TestColumnsOfAMessage(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(1)
	l.send(
		&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(`{"id":1}`), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("x\"y")}, {Key: "b", Value: []byte{0xff}}, {Key: "a"}}},
		&kgo.Record{Topic: topic, Key: []byte("k")},
		&kgo.Record{Topic: topic, Value: []byte(`{"id":2}`)},
		&kgo.Record{Topic: topic, Key: []byte{0xff, 0}, Value: []byte(`{"id":3}`)},
	)
	load := newLoader(t, l.config(topic, "json"))
	load.all()
	equal(t, "_op", load.column("_op"), "[upsert delete upsert upsert]")
	equal(t, "_topic", load.column("_topic")[0], topic)
	equal(t, "_partition", load.column("_partition"), "[0 0 0 0]")
	equal(t, "_offset", load.column("_offset"), "[0 1 2 3]")
	equal(t, "_key", load.column("_key"), "[k k NULL /wA=]")
	equal(t, "_headers", load.column("_headers"), `[[["a","x\"y"],["b","/w=="],["a",null]] NULL NULL NULL]`)
	equal(t, "_schema_id", load.column("_schema_id"), "[NULL NULL NULL NULL]")
	equal(t, "id", load.column("id"), "[1 NULL 2 3]")
	if more, err := load.step(t.Context()); more || err != nil || load.pages != 1 {
		t.Errorf("behind the end: %v %v, %d pages", more, err, load.pages)
	}
}

// A load that ends behind every page goes on where it was.
func TestPages(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	topic := l.topic(3)
	for round := range 3 {
		l.send(numbers(topic, 3, round*10, 10)...)
	}
	for _, c := range []struct {
		limit connector.Limit
		pages int
	}{{connector.Limit{}, 1}, {connector.Limit{Rows: 1}, 30}, {connector.Limit{Rows: 7}, 5}, {connector.Limit{Rows: 29}, 2}, {connector.Limit{Rows: 30}, 1},
		{connector.Limit{Bytes: 500}, 4}, {connector.Limit{Bytes: 1}, 30}} {
		load := newLoader(t, l.config(topic, "json"))
		load.limit = c.limit
		load.all()
		load.holds(0, 30)
		equal(t, fmt.Sprintf("pages with %+v", c.limit), load.pages, c.pages)
	}
}
