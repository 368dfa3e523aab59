package pipeline

// identifier tells whether a name is [a-z_][a-z0-9_]*, at most 63 long: safe in SQL, in paths and in ASL without quotes.
func identifier(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
