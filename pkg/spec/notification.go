package spec

import "time"

// NoticeEvent names what people are told of a run. The values stand in workflow files and in what is sent: never rename them.
type NoticeEvent string

// The events that notices tell of.
const (
	NoticeNewBest    NoticeEvent = "new_best"    // an experiment ended better than all before it
	NoticeStopped    NoticeEvent = "stopped"     // the run has stopped, by a rule of its own or because nothing is left
	NoticeBreaker    NoticeEvent = "breaker"     // the run's breaker stopped it
	NoticeBudget     NoticeEvent = "budget"      // four fifths of a limit of the run are used
	NoticeNoProgress NoticeEvent = "no_progress" // no experiment has completed for a time
)

// NoticeEvents are all of them, in the order in which people are told of them.
var NoticeEvents = []NoticeEvent{NoticeNewBest, NoticeStopped, NoticeBreaker, NoticeBudget, NoticeNoProgress}

// Notification says who is told what of a run: a webhook, or a command on the coordinator's machine. Secrets are named here,
// never held.
type Notification struct {
	// Webhook is a URL, WebhookEnv the environment variable and WebhookFile the file that hold it. At most one of them is set.
	Webhook, WebhookEnv, WebhookFile string
	// TokenEnv and TokenFile are where the bearer token for the webhook is; none by default.
	TokenEnv, TokenFile string
	// Command is a program with its arguments, which reads the notice on standard input; empty where there is a webhook.
	Command []string
	// Dir is where the command runs, and what relative files start from.
	Dir string
	// Events are those it is told of; all of them when empty.
	Events []NoticeEvent
	// Timeout bounds each attempt to tell it.
	Timeout time.Duration
	// NoProgress is for how long no experiment has completed when it is told so; 0 for never.
	NoProgress time.Duration
}

// Local reports whether it runs or reads something on the coordinator's machine.
func (n *Notification) Local() bool {
	return len(n.Command) > 0 || n.WebhookFile != "" || n.TokenFile != ""
}

// Announcer is a Workflow that says who is to be told what of its run.
type Announcer interface {
	Notifications() []Notification
}
