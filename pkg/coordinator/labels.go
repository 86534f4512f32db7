package coordinator

import (
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// tellClasses tells a worker which classes of the run it may serve because it has the labels that they require: those that it
// does not list yet. The answer may be lost; the next heartbeat asks again.
func (t *term) tellClasses(u *bus.Uplink) {
	if !u.Full || u.Leaving || len(u.Labels) == 0 {
		return
	}
	lists := func(class string) bool {
		return slices.ContainsFunc(u.Slots, func(s spec.ClassSlots) bool { return s.Class == class })
	}
	unserved := slices.DeleteFunc(t.classes(), func(class string) bool {
		return lists(class) || !lists(spec.BaseClass(class)) || !spec.ClassMatches(class, u.Labels)
	})
	if len(unserved) == 0 {
		return
	}
	l := t.leader
	err := l.ports.uplinks.Answer(u.Worker, bus.Answer{Version: bus.MessageVersion, Run: l.run, Epoch: l.epoch, Classes: unserved})
	if err != nil {
		l.log.Debug("tell a worker of classes", "worker", u.Worker, "err", err)
	}
}
