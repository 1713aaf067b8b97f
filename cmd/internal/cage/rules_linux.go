//go:build amd64 || arm64

package cage

import (
	"slices"

	"golang.org/x/sys/unix"
)

// always are the calls that are harmless whatever is asked for, those of the
// packet paths first: a kernel older than 5.11 goes through them one by one.
var always = []uintptr{
	// The packet paths, the control socket and the pair: on descriptors that are open.
	unix.SYS_SENDMMSG, unix.SYS_RECVMSG, unix.SYS_READ, unix.SYS_WRITEV, unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT,
	unix.SYS_CLOCK_GETTIME, unix.SYS_TIMERFD_SETTIME, unix.SYS_WRITE, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_SENDTO,
	unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_CLOSE, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT,
	unix.SYS_EPOLL_CTL, unix.SYS_TIMERFD_CREATE, unix.SYS_FSTAT, unix.SYS_GETRANDOM,
	// Memory, that of keys too.
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MLOCK, unix.SYS_MUNLOCK,
	// Go's runtime: threads and their signals, time, how many processors there are.
	unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_SCHED_GETAFFINITY, unix.SYS_PREAD64,
	unix.SYS_GETTIMEOFDAY, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	// The C library's threads, where it is in use.
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_BRK,
}

// threadFlags are those that clone may be called with, and CLONE_THREAD it must:
// there are no further processes.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM |
	unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_SETTID | unix.CLONE_CHILD_CLEARTID

// options are those of sockets, by level, that may be set.
var options = []struct {
	level   int
	options []int
}{
	{unix.SOL_SOCKET, []int{unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE, unix.SO_MARK}},
	{unix.IPPROTO_IP, []int{unix.IP_PKTINFO, unix.IP_RECVTOS, unix.IP_RECVERR}},
	{unix.IPPROTO_IPV6, []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVTCLASS, unix.IPV6_RECVERR}},
	{unix.SOL_UDP, []int{unix.UDP_GRO, unix.UDP_SEGMENT}},
}

// rules are all that is allowed to the process pid, none of which may be told of
// twice.
func rules(pid int) (all []rule) {
	for _, call := range slices.Concat(always, alwaysHere) {
		all = append(all, rule{call: call})
	}
	var settable []alternative
	for _, level := range options {
		for _, option := range level.options {
			settable = append(settable, alternative{is(1, level.level), is(2, option)})
		}
	}
	return append(all,
		// Memory that is written is never run.
		rule{unix.SYS_MMAP, []alternative{{lacks(2, unix.PROT_EXEC)}}},
		rule{unix.SYS_MPROTECT, []alternative{{lacks(2, unix.PROT_EXEC)}}},
		rule{unix.SYS_CLONE, []alternative{{has(0, unix.CLONE_THREAD), lacks(0, ^threadFlags)}}},
		rule{unix.SYS_TGKILL, anyOf(0, pid)}, // one thread interrupts another
		rule{unix.SYS_KILL, anyOf(0, pid)},   // how a panic ends
		rule{unix.SYS_FCNTL, anyOf(1, unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC)},
		rule{unix.SYS_IOCTL, anyOf(1, unix.SIOCGIFINDEX)}, // the zone of an endpoint
		rule{unix.SYS_SETSOCKOPT, settable},
		rule{unix.SYS_PRCTL, []alternative{{is(0, unix.PR_SET_VMA)}, {is(0, unix.PR_SET_NO_NEW_PRIVS)}, {is(0, unix.PR_SET_DUMPABLE), is(1, 0)}}},
	)
}
