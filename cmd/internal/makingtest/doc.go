// Package makingtest holds config files that the program has made against what they
// are for: a gateway, and clients behind it that reach what it reaches. Its tests need
// root and Linux.
package makingtest
