package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"autoresearch/pkg/engine"
)

// Bounds of what a request brings.
const (
	bodyMax      = 64 << 10
	submitMax    = 64 << 20 // the body of a submission
	submitTasks  = 10_000
	reasonMax    = 500
	pageDefault  = 100
	pageMax      = 1000
	treePageMax  = 10_000
	eventPageMax = 1000
)

// body reads the request's JSON into to: one value of bounded size without fields that it does not know. No body is {}.
func (c *call) body(to any, limit int64) error {
	decoder := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, limit))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(to)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more than one value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return problem(CodeInvalid, "the request's body: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// asked says who asks and why, and which version the change must meet.
func (c *call) asked(reason string) (engine.Asked, error) {
	if len(reason) > reasonMax || !utf8.ValidString(reason) {
		return engine.Asked{}, problem(CodeInvalid, "field reason: it must be text of at most %d bytes", reasonMax)
	}
	match, err := c.ifMatch()
	return engine.Asked{By: c.by, Reason: reason, Match: match}, err
}

// ifMatch reads the header If-Match: one version as it stood in an ETag, or * for any. 0 is any.
func (c *call) ifMatch() (uint64, error) {
	text := c.Header.Get("If-Match")
	if text == "" || text == "*" {
		return 0, nil
	}
	text = strings.Trim(strings.TrimPrefix(text, "W/"), `"`)
	match, err := strconv.ParseUint(text, 16, 64)
	if err != nil || match == 0 {
		return 0, problem(CodeInvalid, "header If-Match: it must be one version, as the ETag said it")
	}
	return match, nil
}

// VersionText is how the API says a version.
func VersionText(version uint64) string { return strconv.FormatUint(version, 16) }

// setVersion says which version the answer shows.
func (c *call) setVersion(version string) { c.w.Header().Set("ETag", `"`+version+`"`) }

// query reads the request's parameters and refuses those that the operation does not know.
func (c *call) query(known ...string) (url.Values, error) {
	values, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return nil, problem(CodeInvalid, "the query cannot be read: %v", err)
	}
	for name := range values {
		if !slices.Contains(known, name) {
			return nil, problem(CodeInvalid, "parameter %s is not known here; there are %s", name, strings.Join(known, ", "))
		}
	}
	return values, nil
}

// limit reads the parameter limit.
func limit(values url.Values, otherwise, most int) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, problem(CodeInvalid, "parameter limit: it must be a number from 1 to %d", most)
	}
	return n, nil
}
