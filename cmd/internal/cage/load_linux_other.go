//go:build linux && !amd64 && !arm64

package cage

import (
	"fmt"
	"runtime"
)

// prepareFilter can do nothing: the rules are for other processors.
func prepareFilter() (load func() error) {
	return func() error { return fmt.Errorf("%w: no rules for %s", errMissing, runtime.GOARCH) }
}
