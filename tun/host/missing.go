package host

// absent returns the numbers of the entries whose effect is not there.
func absent(s *State, j *Journal) []int { return nil }
