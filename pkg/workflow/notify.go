package workflow

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// NotifyTimeoutDefault bounds one attempt to tell somebody.
const NotifyTimeoutDefault = 10 * time.Second

func (r *reader) notificationKeys(n *spec.Notification) keys {
	return keys{
		"webhook":      func(v *node, field string) { n.Webhook = r.webhook(v, field) },
		"webhook_env":  func(v *node, field string) { n.WebhookEnv = r.variable(v, field) },
		"webhook_file": func(v *node, field string) { n.WebhookFile = r.text(v, field) },
		"token_env":    func(v *node, field string) { n.TokenEnv = r.variable(v, field) },
		"token_file":   func(v *node, field string) { n.TokenFile = r.text(v, field) },
		"command":      func(v *node, field string) { n.Command = r.arguments(v, field) },
		"events":       func(v *node, field string) { n.Events = r.noticeEvents(v, field) },
		"timeout":      func(v *node, field string) { n.Timeout = r.duration(v, field, 100*time.Millisecond) },
		"no_progress":  func(v *node, field string) { n.NoProgress = r.duration(v, field, time.Second) },
	}
}

// notify reads the section of that name.
func (r *reader) notify(n *node, field string, f *File) {
	if n.shape != listShape {
		r.refuse(n.at, field, "%s where a list of who is told is needed, like [{webhook: \"https://...\"}]", n.what())
		return
	}
	for i, entry := range n.items {
		told, path := spec.Notification{Timeout: NotifyTimeoutDefault}, at(field, i)
		r.object(entry, path, r.notificationKeys(&told))
		if entry.shape == objectShape {
			r.validateNotification(&told, path)
		}
		f.Notify = append(f.Notify, told)
	}
}

// validateNotification checks what the keys of one entry must agree on.
func (r *reader) validateNotification(n *spec.Notification, path string) {
	var ways []string
	for _, key := range []string{"webhook", "webhook_env", "webhook_file", "command"} {
		if r.given(under(path, key)) {
			ways = append(ways, key)
		}
	}
	switch {
	case len(ways) == 0:
		r.refuseAt(path, "say who is told: webhook, webhook_env, webhook_file or command")
	case len(ways) > 1:
		r.refuseAt(under(path, ways[1]), "there is a %s already; list it as an entry of its own", ways[0])
	}
	if len(n.Command) > 0 {
		r.refuseGiven("is for a webhook; a command reads its own secrets", under(path, "token_env"), under(path, "token_file"))
	}
	if n.TokenEnv != "" && n.TokenFile != "" {
		r.refuseAt(under(path, "token_file"), "there is a token_env already")
	}
	if slices.Contains(n.Events, spec.NoticeNoProgress) && !r.given(under(path, "no_progress")) {
		r.refuseAt(under(path, "events"), "no_progress needs a time after which it is told, like no_progress: 2h")
	}
}

// webhook reads a URL. One that holds a password is refused: files are copied, shown and kept.
func (r *reader) webhook(n *node, field string) string {
	text := r.text(n, field)
	u, err := url.Parse(text)
	switch {
	case text == "":
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		r.refuse(n.at, field, "%s is no URL; write it like https://host/path", n.what())
	case u.User != nil:
		r.refuse(n.at, field, "a secret does not belong in this file; name its place by webhook_env or webhook_file")
	}
	return text
}

// variable reads the name of an environment variable.
func (r *reader) variable(n *node, field string) string {
	text := r.text(n, field)
	if strings.ContainsAny(text, "=\x00 $") {
		r.refuse(n.at, field, "%s is no name of an environment variable", n.what())
	}
	return text
}

// arguments reads a program and its arguments, which are no templates.
func (r *reader) arguments(n *node, field string) []string {
	if n.shape != listShape || len(n.items) == 0 {
		r.refuse(n.at, field, "a command is a list of at least one argument")
		return nil
	}
	argv := make([]string, 0, len(n.items))
	for i, item := range n.items {
		argv = append(argv, r.text(item, at(field, i)))
	}
	return argv
}

func (r *reader) noticeEvents(n *node, field string) []spec.NoticeEvent {
	if n.shape != listShape || len(n.items) == 0 {
		r.refuse(n.at, field, "%s where a list of events is needed", n.what())
		return nil
	}
	allowed := make([]string, len(spec.NoticeEvents))
	for i, e := range spec.NoticeEvents {
		allowed[i] = string(e)
	}
	var events []spec.NoticeEvent
	for i, item := range n.items {
		events = append(events, spec.NoticeEvent(r.choice(item, at(field, i), allowed...)))
	}
	return events
}

// Notifications returns who is told what of the run.
func (c *Command) Notifications() []spec.Notification {
	told := slices.Clone(c.file.Notify)
	for i := range told {
		told[i].Dir = c.file.Dir
	}
	return told
}
