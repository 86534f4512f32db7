package api

import (
	"net/http"
	"strconv"

	"autoresearch/pkg/spec"
)

// ArtifactList lists the files that the attempt which decided a task left.
type ArtifactList struct {
	Task      spec.TaskID `json:"task"`
	Attempt   uint32      `json:"attempt,omitempty"`
	Artifacts []Artifact  `json:"artifacts"`
}

// Artifact is one file. Omitted says why it was not stored; then it has no SHA256.
type Artifact struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256,omitempty"`
	Omitted string `json:"omitted,omitempty"`
}

func (c *call) listArtifacts() error {
	if _, err := c.query(); err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	list := ArtifactList{Task: row.Task.Spec.ID, Artifacts: []Artifact{}}
	if row.Task.Outcome == nil {
		return c.answer(list)
	}
	list.Attempt = row.Task.Outcome.Attempt
	kept, err := c.view.Artifacts(row.Task)
	if err != nil {
		return err
	}
	for _, a := range kept {
		shown := Artifact{Path: a.Path, Size: a.Size, Omitted: a.Omitted}
		if a.Omitted == "" {
			shown.SHA256 = a.Stored.Digest.String()
		}
		list.Artifacts = append(list.Artifacts, shown)
	}
	return c.answer(list)
}

// getArtifact answers with the bytes of a file, as an attachment: an experiment's page must not run as one of ours.
func (c *call) getArtifact() error {
	values, err := c.query("path")
	if err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	kept, err := c.view.Artifacts(row.Task)
	if err != nil {
		return err
	}
	path := values.Get("path")
	for _, a := range kept {
		if a.Path != path || path == "" {
			continue
		}
		if a.Omitted != "" {
			return problem(CodeNotKept, "artifact %q of task %q was not stored: %s", path, row.Task.Spec.ID, a.Omitted)
		}
		data, err := c.view.Artifact(c.Context(), a)
		if err != nil {
			return err
		}
		c.w.Header().Set("Content-Type", "application/octet-stream")
		c.w.Header().Set("Content-Disposition", "attachment")
		c.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		c.w.WriteHeader(http.StatusOK)
		_, _ = c.w.Write(data) // a client that has gone needs no answer
		return nil
	}
	return problem(CodeNotFound, "task %q has no artifact %q", row.Task.Spec.ID, path)
}
