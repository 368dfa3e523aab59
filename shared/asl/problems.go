package asl

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/fault"
)

// problems collects everything that is wrong with a definition.
type problems struct {
	list []problem
}

type problem struct {
	offset int
	text   string
}

func (p *problems) add(offset int, format string, args ...any) {
	p.list = append(p.list, problem{offset, fmt.Sprintf(format, args...)})
}

func (p *problems) inState(offset int, state, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if state != "" {
		text = fmt.Sprintf("state %q: %s", state, text)
	}
	p.list = append(p.list, problem{offset, text})
}

// fault gives all problems as one InvalidInput fault, nil when there is none. Its object is the place of the
// first; each line of its cause names its own.
func (p *problems) fault(file string, data []byte) error {
	if len(p.list) == 0 {
		return nil
	}
	sort.SliceStable(p.list, func(i, j int) bool { return p.list[i].offset < p.list[j].offset })
	var lines []string
	for _, one := range p.list {
		lines = append(lines, whereIs(file, data, one.offset)+": "+one.text)
	}
	return fault.New(fault.InvalidInput, "parse state machine", whereIs(file, data, p.list[0].offset), "%w",
		errors.New(strings.Join(lines, "\n"))).
		WithHint("correct the definition at the places listed")
}

// whereIs is file:line:column; lines and columns count from 1, columns in characters.
func whereIs(file string, data []byte, offset int) string {
	offset = min(offset, len(data))
	line := 1 + bytes.Count(data[:offset], []byte("\n"))
	column := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:offset], '\n')+1:offset])
	return fmt.Sprintf("%s:%d:%d", file, line, column)
}
