package cage

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// alwaysHere are those of always that other processors don't have.
var alwaysHere []uintptr
