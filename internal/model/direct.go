package model

import "context"

// Direct is a Link without faults: what the server is asked happens at once, unless it is down.
type Direct struct{ Server *Server }

// Call does it, or waits a little in vain.
func (d Direct) Call(ctx context.Context, _ string, do func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d.Server.IsDown() {
		return errNoAnswer
	}
	do()
	return nil
}

// Post does it, unless the server is down.
func (d Direct) Post(_ string, do func(), lost func()) {
	if !d.Server.IsDown() {
		do()
	} else if lost != nil {
		lost()
	}
}

// Deliver delivers.
func (d Direct) Deliver(do func()) { do() }

// Read reports whether the server is up.
func (d Direct) Read(context.Context) bool { return !d.Server.IsDown() }

// Gone is never needed: the process is this one.
func (d Direct) Gone(func()) {}
