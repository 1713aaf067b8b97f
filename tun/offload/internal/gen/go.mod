module vpn/tun/offload/internal/gen

go 1.26.4

require github.com/mmcloughlin/avo v0.6.0

require (
	golang.org/x/mod v0.34.0 // indirect
	golang.org/x/sync v0.20.0 // indirect
	golang.org/x/tools v0.43.0 // indirect
)
