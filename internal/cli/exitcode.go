package cli

import "errors"

// HasExit reports whether an error carries an exit code.
func HasExit(err error) bool {
	var exit *exitError
	return errors.As(err, &exit)
}

// ExitCode is the code that Main ends with for an error.
func ExitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return ExitError
}
