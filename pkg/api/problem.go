package api

import (
	"errors"
	"fmt"
	"net/http"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
)

// Code says what went wrong, for programs. The set is closed.
type Code string

// The codes.
const (
	CodeInvalid      Code = "invalid_request"
	CodeUnauthorized Code = "unauthorized"
	CodeForbidden    Code = "forbidden"
	CodeHost         Code = "host_not_allowed"
	CodeNotFound     Code = "not_found"
	CodeUnknownRun   Code = "unknown_run"
	CodeUnknownTask  Code = "unknown_task"
	CodeMethod       Code = "method_not_allowed"
	CodeDuplicate    Code = "duplicate_id"
	CodeFinished     Code = "task_finished"
	CodeNotFailed    Code = "task_not_failed"
	CodeChanged      Code = "changed"
	CodeTooLarge     Code = "too_large"
	CodeMediaType    Code = "unsupported_media_type"
	CodeInvalidTask  Code = "invalid_task"
	CodeBusy         Code = "busy"
	CodeNoLeader     Code = "no_leader"
	CodeUnreachable  Code = "leader_unreachable"
	CodeNotKept      Code = "not_kept"
	CodeInternal     Code = "internal"
	CodeNoRegistry   Code = "no_registry"
	CodeRunExists    Code = "run_exists"
	CodeRunActive    Code = "run_active"
	CodeArchived     Code = "run_archived"
	CodeBroken       Code = "run_broken"
	CodeWorkflow     Code = "invalid_workflow"
	CodeNoFiles      Code = "no_files"
)

// codes says, of each code, the HTTP status and what to do about it.
var codes = map[Code]struct {
	status int
	remedy string
}{
	CodeInvalid:      {http.StatusBadRequest, "correct the request; /api/v1/openapi.json describes it"},
	CodeUnauthorized: {http.StatusUnauthorized, "name a file with a token of the server's by --token-file, or send Authorization: Bearer TOKEN"},
	CodeForbidden:    {http.StatusForbidden, "use a token with the role operator"},
	CodeHost: {http.StatusMisdirectedRequest,
		"ask for localhost or 127.0.0.1, or let the server ask for tokens (--http-tokens)"},
	CodeNotFound:    {http.StatusNotFound, "/api/v1/openapi.json lists what there is"},
	CodeUnknownRun:  {http.StatusNotFound, "autoresearch run ls, or GET /api/v1/runs, lists the runs"},
	CodeUnknownTask: {http.StatusNotFound, "autoresearch list, or GET /api/v1/runs/{run}/tasks, lists the tasks"},
	CodeMethod:      {http.StatusMethodNotAllowed, "use a method of the Allow header"},
	CodeDuplicate:   {http.StatusConflict, "give the task another id: a submitted task never changes"},
	CodeFinished:    {http.StatusConflict, "a finished task stays as it is; retry it if it failed"},
	CodeNotFailed:   {http.StatusConflict, "only a task that failed or was cancelled can be retried"},
	CodeChanged: {http.StatusPreconditionFailed,
		"read it again, and repeat the change with the new version if it still makes sense"},
	CodeTooLarge:    {http.StatusRequestEntityTooLarge, "send less at once, and leave large data in files"},
	CodeMediaType:   {http.StatusUnsupportedMediaType, "send Content-Type: application/json"},
	CodeInvalidTask: {http.StatusUnprocessableEntity, "correct the task: a non-empty id, a priority that is a number, and a kind of the workflow"},
	CodeBusy:        {http.StatusServiceUnavailable, "try again in a moment"},
	CodeNoLeader:    {http.StatusServiceUnavailable, "try again in a moment: another coordinator is taking over"},
	CodeUnreachable: {http.StatusBadGateway,
		"let the coordinators reach each other: --http on an address of the network, with --http-tokens"},
	CodeNoRegistry: {http.StatusNotImplemented,
		"ask a coordinator that was started without --workflow: it serves the runs that are registered"},
	CodeRunExists: {http.StatusConflict, "change it with autoresearch run set, or give the new run another name"},
	CodeRunActive: {http.StatusConflict,
		"drain the run and wait until nothing is under way; then archive it, and then it may be deleted"},
	CodeArchived: {http.StatusConflict,
		"take it up again: autoresearch run archive NAME --undo, or POST /api/v1/runs/{run}/archive with \"archived\": false"},
	CodeBroken:   {http.StatusConflict, "see the coordinator's log; archive and delete the run, and create it anew"},
	CodeWorkflow: {http.StatusUnprocessableEntity, "correct the workflow file; autoresearch workflow validate checks it"},
	CodeNoFiles:  {http.StatusNotFound, "try again in half a minute: files are kept from the first snapshot on"},
	CodeNotKept: {http.StatusGone,
		"what attempts leave is kept for a time, and while there is room: --keep-artifacts and --artifacts-max of the coordinator"},
	CodeInternal: {http.StatusInternalServerError, "see the server's log"},
}

// Problem is what the server answers when it does not do what was asked, and the client's error.
type Problem struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// Error returns the message and the remedy.
func (p *Problem) Error() string { return p.Message + ": " + p.Remedy }

// Status is the HTTP status that goes with the code.
func (p *Problem) Status() int {
	if known, ok := codes[p.Code]; ok {
		return known.status
	}
	return http.StatusInternalServerError
}

// problem returns a Problem with the remedy of its code.
func problem(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Message: fmt.Sprintf(format, args...), Remedy: codes[code].remedy}
}

// NewProblem returns a Problem with the remedy of its code: for those who carry out what a Server is asked.
func NewProblem(code Code, format string, args ...any) *Problem {
	return problem(code, format, args...)
}

// sentinels are the errors of engine and coordinator that have a code.
var sentinels = []struct {
	err  error
	code Code
}{
	{engine.ErrUnknownTask, CodeUnknownTask},
	{engine.ErrFinished, CodeFinished},
	{engine.ErrChanged, CodeChanged},
	{engine.ErrDuplicateID, CodeDuplicate},
	{engine.ErrInvalidSpec, CodeInvalidTask},
	{engine.ErrTooDeep, CodeInvalidTask},
	{engine.ErrTooLarge, CodeTooLarge},
	{engine.ErrBadBudget, CodeInvalid},
	{engine.ErrNoAllowance, CodeInvalid},
	{coordinator.ErrNotLeader, CodeNoLeader},
	{coordinator.ErrNotKept, CodeNotKept},
}

// problemOf finds the code of an error; it is internal if nothing else fits.
func problemOf(err error) *Problem {
	var p *Problem
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &large):
		return problem(CodeTooLarge, "the request's body exceeds %d bytes", large.Limit)
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return problem(s.code, "%v", err)
		}
	}
	return problem(CodeInternal, "%v", err)
}
