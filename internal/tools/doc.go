// Package tools offers the operations on runs as tools of the Model Context Protocol, so that a language model can watch a run
// and steer it. It is a client of the API like the command line, and can do no more than that.
//
// Tools that read and tools that change are apart: those that change are marked so, ask for a reason, which is journaled with the
// name of who asked, and are not there at all in a server that is read-only. Answers are JSON, and bounded, because what a
// model reads it pays for. What experiments wrote is handed on as data; the server's instructions say that it is no more than that.
package tools
