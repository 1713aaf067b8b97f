// Package cage takes from the process of an engine what moving packets does not
// need: landlock leaves it no file, and seccomp few system calls. What is open
// before stays open, and is all that there will ever be.
package cage
