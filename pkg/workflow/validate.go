package workflow

import (
	"slices"

	"autoresearch/pkg/spec"
)

// complete sets the defaults that depend on other sections.
func (f *File) complete() {
	if f.Proposer == nil && len(f.Space) > 0 {
		f.Proposer = &Proposer{Children: ChildrenDefault, Ahead: aheadUnset}
	}
	p := f.Proposer
	if p == nil {
		return
	}
	if p.Ahead == aheadUnset {
		p.Ahead = f.MaxConcurrency
	}
	if p.Kind == "" {
		p.Kind = f.proposalKind()
	}
	if p.BuiltIn() && p.Strategy == "" {
		p.Strategy = StrategyMutate
		if f.Objective.Metric == "" {
			p.Strategy = StrategyRandom
		}
	}
}

// proposalKind returns the kind of proposals where the file does not say it; "" when it cannot be told.
func (f *File) proposalKind() string {
	switch {
	case len(f.Initial) > 0:
		return f.Initial[0].Kind
	case len(f.Kinds) == 1:
		return f.Kinds[0].Name
	}
	return ""
}

// kind returns how tasks of a kind are run: as listed, else as "default" is, else nil.
func (f *File) kind(name string) *Kind {
	if f.Proposer.Custom() && name == KindPropose {
		return &f.Proposer.command
	}
	var fallback *Kind
	for i := range f.Kinds {
		switch f.Kinds[i].Name {
		case name:
			return &f.Kinds[i]
		case spec.KindDefault:
			fallback = &f.Kinds[i]
		}
	}
	return fallback
}

// validate checks what several sections must agree on.
func (r *reader) validate(f *File) {
	if len(f.Kinds) == 0 {
		r.refuseAt("kinds", "at least one kind is needed: how an experiment is run")
	}
	if len(f.Initial) == 0 && f.Proposer == nil && !r.refused("initial") && !r.refused("space") {
		r.refuseAt("", "there is nothing to run: initial, space or proposer.command is needed")
	}
	r.validateObjective(f)
	r.validateInitial(f)
	r.validateProposer(f)
	r.validateTemplates(f)
}

// given reports whether the file has the field.
func (r *reader) given(field string) bool {
	_, given := r.places[field]
	return given
}

// refused reports whether something about the field itself was refused.
func (r *reader) refused(field string) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Field == field })
}

func (r *reader) validateObjective(f *File) {
	given := r.given("objective")
	if given && !r.given("objective.direction") {
		r.refuseAt("objective.direction", "say whether to minimize or maximize")
	}
	if given && !r.given("objective.metric") {
		r.refuseAt("objective.metric", "the name of the metric is needed")
	}
	if !given && f.Stop.Patience > 0 {
		r.refuseAt("stop.patience", "there is no objective whose improvement could be waited for")
	}
}

func (r *reader) validateInitial(f *File) {
	first := map[spec.TaskID]int{}
	for i, s := range f.Initial {
		path := at("initial", i)
		if earlier, twice := first[s.ID]; twice && s.ID != "" {
			r.refuseAt(under(path, "id"), "%q is also the id of initial.%d", shortened(string(s.ID)), earlier)
		} else {
			first[s.ID] = i
		}
		r.validateKind(f, under(path, "kind"), s.Kind)
	}
}

// validateKind refuses a kind that nothing says how to run.
func (r *reader) validateKind(f *File, field, kind string) {
	if kind == "" || f.kind(kind) != nil || len(f.Kinds) == 0 {
		return
	}
	names := make([]string, len(f.Kinds))
	for i, k := range f.Kinds {
		names[i] = k.Name
	}
	if meant := nearest(kind, names); meant != "" {
		r.refuseAt(field, "the kind %q is not listed in kinds; did you mean %s?", shortened(kind), meant)
		return
	}
	r.refuseAt(field, "the kind %q is not listed in kinds, nor is one named default", shortened(kind))
}

func (r *reader) validateProposer(f *File) {
	p := f.Proposer
	switch {
	case p == nil:
	case p.Custom():
		r.validateCustom(f)
	case len(f.Space) == 0:
		r.refuseAt("proposer", "there is no space to search; add one, or a command that proposes")
	case p.Strategy == StrategyMutate && f.Objective.Metric == "":
		r.refuseAt("proposer.strategy", "mutate needs an objective to tell good parents from bad")
	}
	if p.BuiltIn() {
		r.refuseGiven("needs a proposer.command", "proposer.class", "proposer.timeout")
	}
	if p != nil {
		r.validateKind(f, "proposer.kind", p.Kind)
	}
	if p.BuiltIn() && p.Kind == "" && len(f.Kinds) > 0 {
		r.refuseAt("proposer.kind", "several kinds are listed; say which one the proposals are")
	}
}

func (r *reader) validateCustom(f *File) {
	r.refuseGiven("is for the built-in proposer; a proposer.command does as it likes",
		"proposer.strategy", "proposer.children", "proposer.seed")
	if slices.ContainsFunc(f.Kinds, func(k Kind) bool { return k.Name == KindPropose }) {
		r.refuseAt("kinds."+KindPropose, "this kind is the proposer's own; choose another name")
	}
}

// refuseGiven refuses each of the fields that was given.
func (r *reader) refuseGiven(message string, fields ...string) {
	for _, field := range fields {
		if r.given(field) {
			r.refuseAt(field, "%s", message)
		}
	}
}

// validateTemplates renders every command once for each spec the file can foretell: the initial ones, a sample of the
// space, a call of the proposer.
func (r *reader) validateTemplates(f *File) {
	for i, s := range f.Initial {
		path := under(at("initial", i), "payload")
		if s.ID != "" && (s.Payload != nil || !r.given(path)) {
			r.tryTemplates(f, s, at("initial", i))
		}
	}
	if f.Proposer.Custom() {
		r.tryTemplates(f, spec.TaskSpec{ID: proposeID(1), Kind: KindPropose}, "the proposer")
	}
	if f.Proposer.BuiltIn() && len(f.Initial) == 0 && len(f.Space) > 0 && len(r.problems) == 0 {
		r.tryTemplates(f, newHistory(f).roots(1)[0], "a sample of the space")
	}
}

// tryTemplates renders the command of one spec. whose names the spec in messages.
func (r *reader) tryTemplates(f *File, s spec.TaskSpec, whose string) {
	k := f.kind(s.Kind)
	values, err := templateValues(s)
	if k == nil || err != nil {
		return // both are reported elsewhere
	}
	section := "kinds." + k.Name
	if s.Kind == KindPropose && f.Proposer.Custom() {
		section = "proposer"
	}
	for i, argument := range k.argv {
		text, err := argument.render(values)
		if err == nil && i == 0 && text == "" {
			err = errNoProgram
		}
		r.blame(at(section+".command", i), whose, err)
	}
	for _, v := range k.env {
		_, err := v.value.render(values)
		r.blame(section+".env."+v.name, whose, err)
	}
}

// blame notes what is wrong with a template, once however many specs it fails for.
func (r *reader) blame(field, whose string, err error) {
	if err != nil && !r.refused(field) {
		r.refuseAt(field, "for %s, %s", whose, err)
	}
}
