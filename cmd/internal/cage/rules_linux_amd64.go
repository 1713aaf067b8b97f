package cage

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// alwaysHere are those of always that other processors don't have.
var alwaysHere = []uintptr{unix.SYS_EPOLL_WAIT}
