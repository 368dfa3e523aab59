package asl

// validate checks what concerns several states at once: that every transition leads to a state beside it,
// that every state can be reached, and that no name is used twice in the whole machine. Where something is wrong
// already, states that seem out of reach may only be a consequence.
func validate(m *Machine, p *problems) {
	sound := len(p.list) == 0
	seen := map[string]bool{}
	m.root.each(func(s *state) {
		if seen[s.name] {
			p.inState(s.offset, s.name, "the name is used twice; state names are unique in the whole machine")
		}
		seen[s.name] = true
	})
	validateProcessor(m.root, p, sound)
}

func validateProcessor(proc *processor, p *problems, sound bool) {
	if proc.states[proc.startAt] == nil && (sound || proc.startAt != "" && len(proc.states) > 0) {
		p.add(proc.offset, "\"StartAt\" names %q, which is no state beside it", proc.startAt)
	}
	for _, name := range proc.order {
		s := proc.states[name]
		for _, target := range s.targets() {
			if proc.states[target] == nil && (sound || target != "") {
				p.inState(s.offset, name, "it leads to %q, which is no state beside it", target)
			}
		}
		for _, inner := range s.inner() {
			validateProcessor(inner, p, sound)
		}
	}
	if !sound {
		return
	}
	reached := proc.reachable()
	for _, name := range proc.order {
		if !reached[name] {
			p.inState(proc.states[name].offset, name, "no state leads to it")
		}
	}
}

// reachable is the set of states that a walk from StartAt can enter.
func (proc *processor) reachable() map[string]bool {
	reached := map[string]bool{}
	todo := []string{proc.startAt}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		s := proc.states[name]
		if s == nil || reached[name] {
			continue
		}
		reached[name] = true
		todo = append(todo, s.targets()...)
	}
	return reached
}
