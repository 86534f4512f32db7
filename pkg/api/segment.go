package api

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"autoresearch/pkg/spec"
)

// base64Mark begins a segment that holds an id in base64url.
const base64Mark = "~"

// Segment returns a task's id as one segment of a path. Ids of letters, digits, "-", "_" and inner dots stand as they are.
// Every other id is "~" and its base64url form: there are servers and browsers on the way that would read a percent-encoded
// slash or dot as one of their own.
func Segment(id spec.TaskID) string {
	text := string(id)
	if plain(text) {
		return text
	}
	return base64Mark + base64.RawURLEncoding.EncodeToString([]byte(text))
}

func plain(text string) bool {
	if text == "" || text == "." || text == ".." {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.'
	}) < 0
}

// idOf reads a segment of a path that the server has percent-decoded already.
func idOf(segment string) (spec.TaskID, error) {
	encoded, isBase64 := strings.CutPrefix(segment, base64Mark)
	if !isBase64 {
		return spec.TaskID(segment), nil
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(text) == 0 {
		return "", problem(CodeInvalid, "path segment %q: after %s must stand the id in base64url", segment, base64Mark)
	}
	return spec.TaskID(text), nil
}

// taskPath is the path of a task below /api/v1.
func taskPath(run spec.RunName, id spec.TaskID, action string) string {
	path := fmt.Sprintf("/runs/%s/tasks/%s", runSegment(run), Segment(id))
	if action != "" {
		path += "/" + action
	}
	return path
}

// runSegment returns a run's name as one segment of a path, by the rules of Segment.
func runSegment(run spec.RunName) string { return url.PathEscape(Segment(spec.TaskID(run))) }
