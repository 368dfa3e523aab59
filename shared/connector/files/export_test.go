package files

// What the tests look at from outside.

func PatternOf(s string) (Pattern, error) { p, err := parsePattern(s); return Pattern{p}, err }

type Pattern struct{ p pattern }

func (p Pattern) Prefix() string                  { return p.p.prefix() }
func (p Pattern) Match(key string) (string, bool) { return p.p.match(key) }
