//go:build race

package tunnel

// raced says that the race detector is on, under which a sync.Pool forgets things on purpose.
const raced = true
