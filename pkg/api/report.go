package api

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/report"
)

// reportTypes are the media types of a report's files, by the endings of their names.
var reportTypes = map[string]string{
	".md": "text/markdown; charset=utf-8", ".tsv": "text/tab-separated-values; charset=utf-8", ".png": "image/png",
}

// report answers with one of the files that reports are made of, as the run is now. One is made at a time: a picture of a large
// run takes a processor for a moment, which the run's leader needs.
func (c *call) report() error {
	if _, err := c.query(); err != nil {
		return err
	}
	file := c.PathValue("file")
	if !slices.Contains(report.Files(), file) {
		return problem(CodeInvalid, "file %q: it must be one of %s", file, strings.Join(report.Files(), ", "))
	}
	select {
	case c.server.drawing <- struct{}{}:
		defer func() { <-c.server.drawing }()
	case <-c.Context().Done():
		return c.Context().Err()
	}
	content, err := report.Make(file, searchOf(c.view))
	if err != nil {
		return err
	}
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer can
	c.w.Header().Set("Content-Type", reportTypes[filepath.Ext(file)])
	_, _ = c.w.Write(content) // a client that has gone needs no answer
	return nil
}

// searchOf is what reports show of a run.
func searchOf(v *coordinator.View) report.Search {
	s := v.Status()
	return report.Search{
		Run: string(s.Run), Name: v.Workflow(), Objective: v.Objective(), Status: s.Status, StopReason: s.Reason, MaxConcurrency: v.Config().Budget,
		Nodes: slices.Collect(v.Nodes()),
	}
}
