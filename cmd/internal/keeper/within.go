package keeper

import (
	"fmt"
	"os"
	"slices"
)

// EnvHook tells a hook which of the file's it is, such as PostUp.
const EnvHook = "VPN_HOOK"

// Within refuses what would wait for ever: this process was started by a hook of that
// link, of one of those kinds, and what it is to ask the link's keeper for comes
// after the hook. No kinds are all.
func Within(name, command string, kinds ...string) error {
	kind := os.Getenv(EnvHook)
	if kind == "" || os.Getenv("INTERFACE") != name || len(kinds) > 0 && !slices.Contains(kinds, kind) {
		return nil
	}
	return hint(fmt.Errorf("\"vpn %s %s\" would wait for the %s hook of %s that it was started by", command, name, kind, name),
		"what the file says is done around the hook; what is to differ from it, the hook changes with \"wg set\" and \"ip\"")
}
