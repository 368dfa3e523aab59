package secret_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

// memory is a store whose answers a test sets. A Get takes as long as delay says.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	delay  time.Duration
	gets   int
	ended  int // by their context
}

func (m *memory) Get(ctx context.Context, name string) (string, error) {
	m.mu.Lock()
	m.gets++
	value, err, delay := m.values[name], m.err, m.delay
	m.mu.Unlock()
	select {
	case <-ctx.Done():
		m.mu.Lock()
		m.ended++
		m.mu.Unlock()
		return "", fault.New(fault.Unavailable, "get secret", name, "%w", ctx.Err())
	case <-time.After(delay):
	}
	return value, err
}

func (m *memory) set(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[name] = value
}

func (m *memory) counts() (gets, ended int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gets, m.ended
}

// over makes a Resolver over m for env: and aws-secretsmanager:, with the clock of the bubble.
func over(m *memory) *secret.Resolver {
	return secret.New(secret.Options{Stores: map[string]secret.Store{secret.Env: m, secret.SecretsManager: m}, Now: time.Now})
}

// want resolves, and compares.
func want(t *testing.T, r *secret.Resolver, reference, value string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), reference)
	if err != nil || got.Reveal() != value {
		t.Errorf("%s: %q %v, want %q", reference, got.Reveal(), err, value)
	}
}

func TestRotationIsTakenUpAfterTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string]string{"A": "old"}}
		r := over(m)
		want(t, r, "env:A", "old")
		m.set("A", "new")
		time.Sleep(secret.DefaultTTL - time.Nanosecond)
		want(t, r, "env:A", "old")
		time.Sleep(time.Nanosecond)
		want(t, r, "env:A", "new")
		if gets, _ := m.counts(); gets != 2 {
			t.Error(gets)
		}
	})
}

func TestForgetTakesUpARotationAtOnce(t *testing.T) {
	m := &memory{values: map[string]string{"A": "old", "B": "b"}}
	r := over(m)
	want(t, r, "env:A", "old")
	want(t, r, "env:B", "b")
	m.set("A", "new")
	r.Forget("env:A")
	r.Forget("hunter2")
	want(t, r, "env:A", "new")
	want(t, r, "env:B", "b")
	if gets, _ := m.counts(); gets != 3 {
		t.Error(gets)
	}
}

// A request that was under way when its value was refused may bring that value once more: it is not kept.
func TestForgetDuringARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string]string{"A": "old"}, delay: time.Second}
		r := over(m)
		go want(t, r, "env:A", "old")
		synctest.Wait()
		m.set("A", "new")
		r.Forget("env:A")
		want(t, r, "env:A", "new")
		time.Sleep(time.Minute)
		want(t, r, "env:A", "new")
	})
}

// The clock was set back: what seems to come from the future is asked for again.
func TestClockGoesBack(t *testing.T) {
	m, now := &memory{values: map[string]string{"A": "old"}}, time.Unix(1e9, 0)
	r := secret.New(secret.Options{Stores: map[string]secret.Store{secret.Env: m}, Now: func() time.Time { return now }, TTL: time.Hour})
	want(t, r, "env:A", "old")
	m.set("A", "new")
	now = now.Add(-time.Second)
	want(t, r, "env:A", "new")
}

func TestConcurrentResolvesShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string]string{"db": `{"user": "u", "password": "p"}`}, delay: time.Second}
		r := over(m)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				field, value := "user", "u"
				if i%2 == 0 {
					field, value = "password", "p"
				}
				want(t, r, "aws-secretsmanager:db#"+field, value)
			})
		}
		wg.Wait()
		if gets, _ := m.counts(); gets != 1 {
			t.Errorf("%d requests", gets)
		}
	})
}

// A caller that leaves takes its request with it, but not those who share it.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string]string{"A": "a"}, delay: time.Minute}
		r := over(m)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Resolve(ctx, "env:A")
			if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "deadline") {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() { want(t, r, "env:A", "a") })
		wg.Wait()
		if gets, ended := m.counts(); gets != 2 || ended != 1 {
			t.Errorf("%d requests, %d of them ended", gets, ended)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	m := &memory{values: map[string]string{"A": "a"}, err: fault.New(fault.Throttled, "get secret", "env:A", "slow down")}
	r := over(m)
	if _, err := r.Resolve(t.Context(), "env:A"); fault.KindOf(err) != fault.Throttled {
		t.Error(err)
	}
	m.err = nil
	want(t, r, "env:A", "a")
}

func TestFields(t *testing.T) {
	m := &memory{values: map[string]string{"db": `{"user": "bob", "port": 5432, "id": 12345678901234567890, "tls": true, "Empty": "", "none": null, "more": {"a": 1}, "list": [1], "q": "a\"\u00e9"}`}}
	r := over(m)
	for field, value := range map[string]string{"user": "bob", "port": "5432", "id": "12345678901234567890", "tls": "true", "q": `a"é`} {
		want(t, r, "aws-secretsmanager:db#"+field, value)
	}
	want(t, r, "aws-secretsmanager:db", m.values["db"])
	for _, field := range []string{"User", "Empty", "none", "more", "list", "absent"} {
		_, err := r.Resolve(t.Context(), "aws-secretsmanager:db#"+field)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), field) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "bob") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A secret that is not what its reference says is not shown, nor is a part of it.
func TestRefusedValuesAreNotShown(t *testing.T) {
	for _, value := range []string{"hunter2", `"hunter2"`, `["hunter2"]`, `{"a": "hunter2"`, `{"a": hunter2}`, "7741", "null", ""} {
		r := over(&memory{values: map[string]string{"db": value}})
		_, err := r.Resolve(t.Context(), "aws-secretsmanager:db#a")
		said := fmt.Sprintf("%v %+v %#v %s", err, err, err, fault.HintOf(err))
		if fault.KindOf(err) != fault.InvalidInput || strings.Contains(said, "hunt") || strings.Contains(said, "7741") || strings.Contains(said, "'h'") {
			t.Errorf("%s: %s", value, said)
		}
	}
}

func TestRefusals(t *testing.T) {
	r := over(&memory{values: map[string]string{}})
	for reference, hint := range map[string]string{
		"hunter2":                "env:NAME",
		"env:EMPTY":              "value",
		"azure-keyvault:kv1/abc": "aws-secretsmanager, env",
	} {
		_, err := r.Resolve(t.Context(), reference)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), hint) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, hint %q", reference, err, fault.HintOf(err))
		}
	}
}
