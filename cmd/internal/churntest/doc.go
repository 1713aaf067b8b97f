// Package churntest plays what befalls tunnels in months, within minutes or hours:
// real devices in network namespaces, under `vpn device` and under `vpn up`, whose
// peers come and go, whose links go down and up, who roam, are reloaded, restarted
// and killed, and rekey every five seconds. All the while numbered datagrams go
// through each tunnel: none may be lost that the churn does not explain. Between the
// rounds it looks at each process: its goroutines, descriptors and memory may not
// grow. It has no code of its own to import; scripts/soak --churn runs it for long.
package churntest
