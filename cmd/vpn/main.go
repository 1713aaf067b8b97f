// Vpn is WireGuard in userspace: device, configuration tool and daemon in one
// program. See "vpn --help".
package main

import (
	"os"

	"vpn/cmd/internal/cli"
)

func main() { os.Exit(cli.Main()) }
