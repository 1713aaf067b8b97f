// Package erasing runs what handles secrets, and leaves none of it behind where nobody could erase it by name: on the
// stack, in registers, in what libraries allocate.
//
//	erasing.Do(func() { k.SharedSecret(p, &out) })
//
// Built with GOEXPERIMENT=runtimesecret, on Linux on amd64 and arm64, Do is Go's runtime/secret.Do: stack and registers are
// erased before it returns, also where a signal or the scheduler has put them, and what was allocated in it as soon as the
// garbage collector finds that nobody has it any more. Built otherwise, Do overwrites the stack that the function has used,
// and no more.
//
// What is secret and outlives the call lies in memory that the caller has, who erases it. Inside nothing secret is
// allocated by our own code, and little by others: each allocation costs the collector extra. Do allocates nothing itself.
package erasing
