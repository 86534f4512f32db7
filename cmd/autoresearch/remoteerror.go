package main

import (
	"errors"
	"net"
)

// isUnreachable reports whether an error says that nobody answered.
func isUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}
