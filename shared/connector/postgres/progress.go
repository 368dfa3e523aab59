package postgres

import (
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
)

// progress is how much of a page was read.
type progress struct {
	rows, bytes int64
}

// meter adds up what several readers read, and tells the caller now and then. It is safe for concurrent use.
type meter struct {
	mu       sync.Mutex
	sum      progress
	tell     func(connector.Progress) // nil: nobody looks
	begun    time.Time
	told     time.Time
	expected int64 // rows that the page may have, about; 0: not known
}

func newMeter(r connector.Request, expected int64) *meter {
	now := time.Now()
	return &meter{tell: r.Progress, begun: now, told: now, expected: expected}
}

const tellEach = 200 * time.Millisecond

// add counts what was read more, up to a position.
func (m *meter) add(rows, bytes int64, position string, left time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.rows += rows
	m.sum.bytes += bytes
	now := time.Now()
	if m.tell == nil || now.Sub(m.told) < tellEach {
		return
	}
	m.told = now
	if left == 0 && m.expected > m.sum.rows && m.sum.rows > 0 {
		left = time.Duration(float64(now.Sub(m.begun)) * (float64(m.expected)/float64(m.sum.rows) - 1))
	}
	m.tell(connector.Progress{Rows: m.sum.rows, Bytes: m.sum.bytes, Position: position, Left: left})
}

func (m *meter) total() progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}
