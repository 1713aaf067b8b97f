package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// flagError says in our words what is wrong with an option.
func flagError(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		return fmt.Errorf("there is no option %s%s", dashes, unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return fmt.Errorf("--%s has no value", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		wanted := map[string]string{
			"bool":     "neither true nor false",
			"duration": "not a time such as 30s or 2m",
			"uint16":   "not a number from 0 to 65535",
		}[invalid.GetFlag().Value.Type()]
		if wanted != "" {
			return fmt.Errorf("--%s %q is %s", invalid.GetFlag().Name, invalid.GetValue(), wanted)
		}
	}
	return err
}
