package spec

// Rule names what something that was rejected has broken: one of a few words, for counts and filters.
type Rule string

// The rules.
const (
	RuleMalformed       Rule = "malformed"         // a message that cannot be decoded
	RuleAnotherRun      Rule = "another_run"       // a result that names another run than its stream's
	RuleForged          Rule = "forged"            // a message that speaks for another worker than its subject's
	RuleUnknownTask     Rule = "unknown_task"      // a result of a task that the run never had
	RuleForgedAttempt   Rule = "forged_attempt"    // a result of an attempt that was never dispatched
	RuleNoClaim         Rule = "no_claim"          // a result that names no claim
	RuleBadResult       Rule = "bad_result"        // a result that cannot be read
	RuleResultTooLarge  Rule = "result_too_large"  // a result over the limit, or that could not be stored
	RuleBlobMissing     Rule = "blob_missing"      // a result whose blob is not in the object store
	RuleTooManyChildren Rule = "too_many_children" // an outcome with more children than the limit, or than a record holds
	RuleBadChild        Rule = "bad_child"         // a child that breaks a rule of specs, or has its parent's id
	RuleDuplicateChild  Rule = "duplicate_child"   // a child whose id is taken by another content
	RuleChildTooLarge   Rule = "child_too_large"   // a child over the limit of its size
	RuleTooDeep         Rule = "too_deep"          // a child over the limit of the tree's depth
)
