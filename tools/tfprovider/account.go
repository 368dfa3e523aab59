package tfprovider

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Account is what stands in AWS, in memory. It outlives the processes of Terraform and the provider's servers.
type Account struct {
	ID     string
	mu     sync.Mutex
	things map[string]map[string]*thing // by type and key
	last   int                          // the last number given away
	known  map[string]bool              // names and ARNs of what is there without being a resource of the configuration
}

// External says that something with this name, id or ARN is in AWS, made by others: a resource may refer to it.
func (a *Account) External(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = true
}

func (a *Account) external(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[name]
}

// thing is a resource that was applied.
type thing struct {
	state    tftypes.Value
	values   object
	revision int
}

// NewAccount is an empty account.
func NewAccount() *Account {
	return &Account{ID: "123456789012", things: map[string]map[string]*thing{}, known: map[string]bool{}}
}

func (a *Account) next() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	return a.last
}

func (a *Account) get(typ, key string) *thing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.things[typ][key]
}

// put stores a resource. One that is new must be the only one with its key.
func (a *Account) put(typ, key string, t *thing, created bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.things[typ] == nil {
		a.things[typ] = map[string]*thing{}
	}
	if created && a.things[typ][key] != nil {
		return fmt.Errorf("%s %q exists already: another resource of the configuration, or one that was applied before, has the same name", typ, key)
	}
	a.things[typ][key] = t
	return nil
}

func (a *Account) remove(typ, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.things[typ], key)
}

// holds tells whether a resource of the type has the value in the attribute.
func (a *Account) holds(typ, attr, want string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.things[typ] {
		if text(t.values[attr]) == want {
			return true
		}
	}
	return false
}

// Objects are the resources of a type by their keys (the id, for nearly all), as they stand in the account.
func (a *Account) Objects(typ string) map[string]map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]map[string]any{}
	for key, t := range a.things[typ] {
		all[key] = maps.Clone(t.values)
	}
	return all
}

// Left lists what is still there, as "type key".
func (a *Account) Left() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for typ, things := range a.things {
		for key := range things {
			all = append(all, typ+" "+key)
		}
	}
	slices.Sort(all)
	return all
}

// Change sets an attribute of a resource behind Terraform's back: a string, bool, *big.Float, []any or map[string]any.
func (a *Account) Change(typ, key, attr string, to any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.things[typ][key]
	if t == nil {
		return fmt.Errorf("no %s %q in the account", typ, key)
	}
	values := maps.Clone(t.values)
	values[attr] = to
	state, err := value(t.state.Type(), values)
	if err != nil {
		return fmt.Errorf("%s %s: %s: %w", typ, key, attr, err)
	}
	a.things[typ][key] = &thing{state: state, values: values, revision: t.revision}
	return nil
}

// Remove deletes a resource behind Terraform's back.
func (a *Account) Remove(typ, key string) error {
	if a.get(typ, key) == nil {
		return fmt.Errorf("no %s %q in the account", typ, key)
	}
	a.remove(typ, key)
	return nil
}
