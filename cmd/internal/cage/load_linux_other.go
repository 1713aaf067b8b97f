//go:build linux && !amd64 && !arm64

package cage

import (
	"fmt"
	"runtime"
)

// filterCalls can do nothing: the rules are for other processors.
func filterCalls() error {
	return fmt.Errorf("%w: no rules for %s", errMissing, runtime.GOARCH)
}
