package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/local"
)

// screen is a terminal of some height that knows line feeds, "up n lines" and "clear the line", and scrolls.
type screen struct {
	height int
	lines  []string // all that were ever begun; the last height are visible
	at     int
}

var sequence = regexp.MustCompile(`\x1b\[(\d+)(A|K)|\n|[^\x1b\n]+`)

func (s *screen) write(t *testing.T, text string) {
	t.Helper()
	for _, m := range sequence.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		switch {
		case m[0] == "\n":
			s.at++
		case m[2] == "A":
			s.at = max(s.at-n, len(s.lines)-s.height, 0)
		case m[2] == "K":
			s.lines[s.at] = ""
		default:
			s.lines[s.at] += m[0]
		}
		for len(s.lines) <= s.at {
			s.lines = append(s.lines, "")
		}
	}
	if strings.Contains(strings.Join(s.lines, ""), "\x1b") {
		t.Fatalf("an unknown sequence: %q", text)
	}
}

// A live display draws over itself: at the end every table stands there once, in its last state, and no line is wider than the terminal.
func TestLiveDisplay(t *testing.T) {
	for _, height := range []int{40, 8} {
		t.Run(fmt.Sprint(height), func(t *testing.T) {
			var out bytes.Buffer
			p := &progress{w: &out, live: true, width: 60, height: height, rows: map[string]*progressRow{}, done: make(chan struct{}), started: time.Now()}
			term := &screen{height: height, lines: []string{""}}
			show := func() {
				p.draw()
				term.write(t, out.String())
				out.Reset()
			}
			at := time.Unix(0, 0)
			const tables = 12
			for i := range tables {
				name := fmt.Sprintf("silver.a_table_with_a_long_name_%02d", i)
				item := []asl.Frame{{Item: name}}
				in, _ := json.Marshal(map[string]string{"table": name})
				p.observe(local.Event{Kind: local.TaskStarted, Step: "silver", Time: at, Raw: in})
				show()
				result, _ := json.Marshal(stepResult{Table: name, Status: "staged", Read: 1_234_567, Quarantined: 8})
				e := local.Event{Kind: local.TaskFinished, Step: "silver", Time: at.Add(time.Second), Raw: result, Path: item}
				if i == tables-1 {
					e.Raw, e.Err = nil, errors.Join(fault.New(fault.SchemaBroken, "check", name, "no"))
				}
				p.observe(e)
				show()
			}
			visible := term.lines[max(0, len(term.lines)-height):]
			for _, l := range visible {
				if len([]rune(l)) >= 60 {
					t.Errorf("%d letters: %q", len([]rune(l)), l)
				}
			}
			screenful := strings.Join(visible, "\n")
			for i := max(0, tables-height+3); i < tables; i++ {
				if n := strings.Count(screenful, fmt.Sprintf("long_name_%02d", i)); n != 1 {
					t.Errorf("table %d is there %d times:\n%s", i, n, screenful)
				}
			}
			if len(term.lines) > tables+3 {
				t.Errorf("%d lines have scrolled away", len(term.lines)-height)
			}
			if !strings.Contains(screenful, "failed") || strings.Contains(screenful, "...") {
				t.Errorf("last state:\n%s", screenful)
			}
		})
	}
}
