package api

import (
	"time"

	"autoresearch/pkg/spec"
)

// Entry is what is registered of a run.
type Entry struct {
	Name    spec.RunName `json:"name"`
	Version string       `json:"version"` // of the entry; a change may ask for it
	// The rest is what RunRequest says.
	Workflow string   `json:"workflow"`
	Args     []string `json:"args,omitempty"`
	Dir      string   `json:"dir,omitempty"`
	Budget   int      `json:"budget,omitempty"`
	Weight   float64  `json:"weight"`

	Archived  bool      `json:"archived,omitempty"`
	CreatedBy string    `json:"created_by,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// ChangedBy, ChangedAt and Reason are of the last change; archiving is one.
	ChangedBy string     `json:"changed_by,omitempty"`
	ChangedAt *time.Time `json:"changed_at,omitempty"`
	Reason    string     `json:"reason,omitempty"`
}

// EntryRequest changes what is registered of a run. What is nil stays as it is.
type EntryRequest struct {
	Workflow *string   `json:"workflow,omitempty"`
	Args     *[]string `json:"args,omitempty"`
	Dir      *string   `json:"dir,omitempty"`
	Budget   *int      `json:"budget,omitempty"`
	Weight   *float64  `json:"weight,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	DryRun   bool      `json:"dry_run,omitempty"`
}

// EntryAnswer says what was changed, in words, what is registered now, and how the run is.
type EntryAnswer struct {
	Changed []string `json:"changed"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Entry   Entry    `json:"entry"`
	Run     Run      `json:"run"`
}

func (c *call) showEntry() error {
	if _, err := c.query(); err != nil {
		return err
	}
	registry, name, err := c.registryRun()
	if err != nil {
		return err
	}
	entry, err := registry.Entry(c.Context(), name)
	if err != nil {
		return err
	}
	c.setVersion(entry.Version)
	return c.answer(entry)
}

func (r *EntryRequest) check() error {
	switch {
	case r.Workflow != nil && *r.Workflow == "":
		return problem(CodeInvalid, "field workflow: the text of a workflow file is needed")
	case r.Budget != nil && *r.Budget < 0:
		return problem(CodeInvalid, "field budget: it must be 0 (what the workflow says) or more")
	case r.Weight != nil && !(*r.Weight > 0 && *r.Weight <= weightMax):
		return problem(CodeInvalid, "field weight: it must be a number above 0, at most %g", float64(weightMax))
	}
	return nil
}

// changeEntry changes what is registered of a run. It is asked of the run's leader, in whose journal it is said; of a run that
// nobody can lead any coordinator takes it, for that may mend it.
func (c *call) changeEntry() error {
	registry, name, err := c.registryRun()
	if err != nil {
		return err
	}
	var body EntryRequest
	if err := c.body(&body, runMax); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	asked, err := c.asked(body.Reason)
	if err != nil {
		return err
	}
	answer, err := registry.Change(c.Context(), name, body, asked)
	if err != nil {
		return err
	}
	answer.Run, _ = c.runNamed(name)
	c.setVersion(answer.Entry.Version)
	return c.answer(answer)
}
