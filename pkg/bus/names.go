package bus

import (
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// The names of every stream, bucket and subject. Names that come from users are encoded with spec.EncodeName first.
const (
	// StreamTasks is the doorbell: dispatched tasks that nobody has picked up, of all runs. Memory storage: it holds
	// nothing that the leader cannot publish again.
	StreamTasks = "AR_TASKS"
	// StreamJournalPrefix + run is a run's truth.
	StreamJournalPrefix = "AR_JOURNAL_"
	// StreamResultsPrefix + run holds results on their way.
	StreamResultsPrefix = "AR_RESULTS_"
	// StreamRejectedPrefix + run holds what was rejected, for people to look at.
	StreamRejectedPrefix = "AR_REJECTED_"
	// StreamLogsPrefix + run holds what a run's attempts write to standard output and error.
	StreamLogsPrefix = "AR_LOGS_"
	// BucketStatePrefix + run is the key-value mirror.
	BucketStatePrefix = "AR_STATE_"
	// BucketArtifacts is the object store of payloads and results that are too large for a message, of all runs.
	BucketArtifacts = "AR_ARTIFACTS"
	// BucketFiles is the object store of the runs' workdirs.
	BucketFiles = "AR_FILES"
	// BucketOutputPrefix + run is the object store of what a run's attempts leave besides their results.
	BucketOutputPrefix = "AR_OUTPUT_"
	// BucketLease holds who leads each run.
	BucketLease = "AR_LEASE"
	// BucketRuns holds the runs that coordinators without a workflow of their own serve.
	BucketRuns = "AR_RUNS"
	// BucketNotices holds how far people were told of each run.
	BucketNotices = "AR_NOTICES"

	subjectTask    = "ar.task."
	subjectResult  = "ar.result."
	subjectJournal = "ar.journal."
	subjectUplink  = "ar.up."
	subjectControl = "ar.ctl."
	subjectLead    = "ar.lead."
	subjectReject  = "ar.rejected."
	subjectLog     = "ar.log."
	subjectDemand  = "ar.demand."

	inboxPrefix = "_INBOX_"

	// UplinkAllSubject is what leaders subscribe to.
	UplinkAllSubject = subjectUplink + ">"
	// DemandAllSubject is where leaders hear what the runs want.
	DemandAllSubject = subjectDemand + "*"
	// ControlAllSubject reaches every worker.
	ControlAllSubject = subjectControl + "all"
	// TaskAllSubject is the doorbell stream's subject space.
	TaskAllSubject = subjectTask + ">"
)

// TaskSubject is where one attempt's doorbell message lives: ar.task.<class>.<run>.<task>.<attempt>.
func TaskSubject(class string, run spec.RunName, task spec.TaskID, attempt uint32) string {
	return subjectTask + spec.EncodeName(class) + "." + spec.EncodeName(string(run)) + "." +
		spec.EncodeName(string(task)) + "." + strconv.FormatUint(uint64(attempt), 10)
}

// BatchSubject is where a message with several dispatches of a run lives: ar.task.<class>.<run>.~.<unique>. No task's name is
// encoded as "~".
func BatchSubject(class string, run spec.RunName, unique string) string {
	return subjectTask + spec.EncodeName(class) + "." + spec.EncodeName(string(run)) + ".~." + unique
}

// TaskClassSubject is the filter of a class's consumer.
func TaskClassSubject(class string) string { return subjectTask + spec.EncodeName(class) + ".>" }

// ResultSubject is where a worker publishes a run's results: ar.result.<run>.<name>, or ar.result.<run>.<group>.<name>.
func ResultSubject(run spec.RunName, worker spec.WorkerID) string {
	return subjectResult + spec.EncodeName(string(run)) + "." + workerTokens(worker)
}

// workerTokens are the last tokens of a worker's subjects: its name, after its group if it has one. Permissions pin the
// group, so that nobody speaks for a worker of another one.
func workerTokens(worker spec.WorkerID) string {
	group, name := worker.Split()
	if group == "" {
		return spec.EncodeName(name)
	}
	return spec.EncodeName(group) + "." + spec.EncodeName(name)
}

// ResultWorker returns the worker whose subject this is, as SubjectWorker does.
func ResultWorker(subject string) spec.WorkerID {
	_, tokens, _ := strings.Cut(strings.TrimPrefix(subject, subjectResult), ".")
	return SubjectWorker(tokens)
}

// SubjectWorker returns the worker that the last tokens of a subject name; the tokens themselves where they hold a hash, or
// are none that this project makes. IsFrom knows.
func SubjectWorker(tokens string) spec.WorkerID {
	group, name, grouped := strings.Cut(tokens, ".")
	worker := spec.WorkerID(plainToken(tokens))
	if grouped {
		worker = spec.WorkerOf(plainToken(group), plainToken(name))
	}
	if workerTokens(worker) != tokens {
		return spec.WorkerID(tokens)
	}
	return worker
}

func plainToken(token string) string {
	if text, ok := spec.DecodeName(token); ok {
		return text
	}
	return token
}

// IsFrom reports whether a message whose subject names from may say that it is of the claimed worker.
func IsFrom(from, claimed spec.WorkerID) bool {
	return from == SubjectWorker(workerTokens(claimed))
}

// ResultRunSubject is the subject space of a run's results stream.
func ResultRunSubject(run spec.RunName) string {
	return subjectResult + spec.EncodeName(string(run)) + ".>"
}

// JournalSubject is the one subject of a run's journal.
func JournalSubject(run spec.RunName) string { return subjectJournal + spec.EncodeName(string(run)) }

// UplinkSubject is where a worker speaks to the leaders.
func UplinkSubject(worker spec.WorkerID) string {
	return subjectUplink + workerTokens(worker)
}

// InboxPrefix is where answers to a worker come: workers of one group share what they may read.
func InboxPrefix(worker spec.WorkerID) string { return inboxPrefix + workerTokens(worker) }

// ControlSubject is where leaders speak to a worker.
func ControlSubject(worker spec.WorkerID) string {
	return subjectControl + workerTokens(worker)
}

// LeadSubject is answered by a run's leader, and by a candidate while it loads. "No responders" there is the fast sign
// that nobody leads.
func LeadSubject(run spec.RunName) string { return subjectLead + spec.EncodeName(string(run)) }

// DemandSubject is where a run's leader tells what the run wants.
func DemandSubject(run spec.RunName) string { return subjectDemand + spec.EncodeName(string(run)) }

// JournalStream names the stream of a run's journal.
func JournalStream(run spec.RunName) string {
	return StreamJournalPrefix + spec.EncodeName(string(run))
}

// ResultsStream names the stream of a run's results.
func ResultsStream(run spec.RunName) string {
	return StreamResultsPrefix + spec.EncodeName(string(run))
}

// RejectedSubject is the one subject of what a run rejected.
func RejectedSubject(run spec.RunName) string { return subjectReject + spec.EncodeName(string(run)) }

// RejectedStream names the stream of what a run rejected.
func RejectedStream(run spec.RunName) string {
	return StreamRejectedPrefix + spec.EncodeName(string(run))
}

// LogSubject is where a worker publishes a part of the output of an attempt:
// ar.log.<run>.<group>.<worker>.<task>.<attempt>.<part>, where no group is "=", so that one pattern fits all.
func LogSubject(run spec.RunName, worker spec.WorkerID, task spec.TaskID, attempt uint32, part LogPart) string {
	group, name := worker.Split()
	return subjectLog + spec.EncodeName(string(run)) + "." + spec.EncodeName(group) + "." + spec.EncodeName(name) + "." +
		spec.EncodeName(string(task)) + "." + strconv.FormatUint(uint64(attempt), 10) + "." + string(part)
}

// logTaskSubject matches the output of all attempts of a task, logAttemptSubject that of one.
func logTaskSubject(run spec.RunName, task spec.TaskID) string {
	return subjectLog + spec.EncodeName(string(run)) + ".*.*." + spec.EncodeName(string(task)) + ".*.*"
}

func logAttemptSubject(run spec.RunName, task spec.TaskID, attempt uint32) string {
	return subjectLog + spec.EncodeName(string(run)) + ".*.*." + spec.EncodeName(string(task)) + "." +
		strconv.FormatUint(uint64(attempt), 10) + ".*"
}

// logRunSubject is the subject space of a run's output.
func logRunSubject(run spec.RunName) string { return subjectLog + spec.EncodeName(string(run)) + ".>" }

// logNames returns the worker and the attempt of a subject of the output.
func logNames(subject string) (worker spec.WorkerID, attempt uint32) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != logTokens {
		return "", 0
	}
	n, err := strconv.ParseUint(tokens[logTokens-2], 10, 32)
	if err != nil {
		return "", 0
	}
	return spec.WorkerOf(plainToken(tokens[logTokens-5]), plainToken(tokens[logTokens-4])), uint32(n)
}

// logTokens is how many tokens a LogSubject has.
const logTokens = 8

// LogsStream names the stream of what a run's attempts write.
func LogsStream(run spec.RunName) string { return StreamLogsPrefix + spec.EncodeName(string(run)) }

// ObjectStream names the stream of an object store.
func ObjectStream(bucket string) string { return "OBJ_" + bucket }

// OutputBucket names the object store of what a run's attempts leave.
func OutputBucket(run spec.RunName) string { return BucketOutputPrefix + spec.EncodeName(string(run)) }

// StateBucket names the bucket of a run's mirror.
func StateBucket(run spec.RunName) string { return BucketStatePrefix + spec.EncodeName(string(run)) }
