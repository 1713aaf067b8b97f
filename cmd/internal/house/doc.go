// Package house holds the test that keeps the repository's architecture what
// ARCHITECTURE.md says it is: who imports whom, which packages stay pure, which
// names stand at the top. It has no code of its own to import.
package house
