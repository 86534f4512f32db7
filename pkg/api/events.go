package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// The types of events.
const (
	EventChange = "change"
	EventTask   = "task"
	EventRun    = "run"
	EventLeader = "leader"
	EventGap    = "gap"
)

var eventTypes = []string{EventChange, EventTask, EventRun, EventLeader}

// eventFilter says which events are wanted.
type eventFilter struct {
	types []string
	task  spec.TaskID
}

func (f *eventFilter) wants(e *coordinator.Event) bool {
	if f.types != nil && !slices.Contains(f.types, typeOf(e)) {
		return false
	}
	switch {
	case f.task == "":
		return true
	case e.Change != nil:
		return e.Change.Task.Spec.ID == f.task
	}
	return e.Act != nil && (e.Act.Task == f.task || e.Act.Origin == f.task)
}

func typeOf(e *coordinator.Event) string {
	switch {
	case e.Act != nil:
		return EventChange
	case e.Change != nil:
		return EventTask
	case e.Meta != nil:
		return EventRun
	}
	return EventLeader
}

// events answers with a page of events, or feeds a stream of them if that is what the client accepts.
func (c *call) events() error {
	values, err := c.query("type", "task", "after", "limit")
	if err != nil {
		return err
	}
	f := &eventFilter{types: words(values["type"]), task: spec.TaskID(values.Get("task"))}
	for _, t := range f.types {
		if !slices.Contains(eventTypes, t) {
			return problem(CodeInvalid, "parameter type: %q is none of %s", t, strings.Join(eventTypes, ", "))
		}
	}
	most, err := limit(values, pageDefault, eventPageMax)
	if err != nil {
		return err
	}
	after := values.Get("after")
	if id := c.Header.Get("Last-Event-ID"); id != "" {
		after = id
	}
	p, err := positionOf(after)
	if err != nil {
		return err
	}
	if strings.Contains(c.Header.Get("Accept"), "text/event-stream") {
		if after == "" {
			p = c.view.Last()
		}
		return c.stream(f, p)
	}
	if after == "" {
		return c.newest(f, most)
	}
	return c.page(f, p, most)
}

// positionOf reads an event's id, "record.index"; "" and "0" are before all events.
func positionOf(id string) (p coordinator.Position, err error) {
	if id == "" || id == "0" {
		return p, nil
	}
	seq, index, found := strings.Cut(id, ".")
	if p.Seq, err = strconv.ParseUint(seq, 10, 63); err == nil && found {
		p.Index, err = strconv.Atoi(index)
	}
	if err != nil || !found || p.Index < 0 {
		return p, problem(CodeInvalid, "event id %q: it must be one that an event had, or 0", id)
	}
	return p, nil
}

func idText(p coordinator.Position) string { return fmt.Sprintf("%d.%d", p.Seq, p.Index) }

// newest answers with the newest events, the oldest of them first.
func (c *call) newest(f *eventFilter, most int) error {
	last := c.view.Last()
	found, _, err := c.view.Tail(c.Context(), most, f.wants)
	if err != nil {
		return err
	}
	list := EventList{Events: []Event{}, Next: idText(last)}
	for i := range found {
		list.Events = append(list.Events, eventOf(c.view, &found[i]))
		list.Next = idText(latest(last, found[i].Position))
	}
	return c.answer(list)
}

func latest(a, b coordinator.Position) coordinator.Position {
	if b.Seq > a.Seq {
		return b
	}
	return a
}

// eventsScanned bounds how many events one page looks at, so that a rare type in a long journal takes several requests
// rather than one without end.
const eventsScanned = 200_000

// page answers with the events after a position.
func (c *call) page(f *eventFilter, p coordinator.Position, most int) error {
	list := EventList{Events: []Event{}}
	for scanned := 0; len(list.Events) < most && scanned < eventsScanned; {
		found, err := c.view.Events(c.Context(), p, eventPageMax)
		if errors.Is(err, coordinator.ErrPurged) {
			list.Events = append(list.Events, Event{ID: idText(p), Type: EventGap})
		} else if err != nil {
			return err
		}
		if len(found) == 0 {
			break
		}
		for i := range found {
			if len(list.Events) == most {
				break
			}
			p = found[i].Position
			if f.wants(&found[i]) {
				list.Events = append(list.Events, eventOf(c.view, &found[i]))
			}
		}
		scanned += len(found)
	}
	list.Next, list.More = idText(p), p.Seq < c.view.Last().Seq
	return c.answer(list)
}

// How a stream of events is fed: a comment when nothing happens, so that everybody on the way knows that it lives; and an
// end with a client that takes nothing.
const (
	streamBeat  = 15 * time.Second
	streamWrite = 30 * time.Second
)

// stream feeds server-sent events until the client goes or the term ends; the client then comes back with the id of the
// last event it has, here or at the next leader.
func (c *call) stream(f *eventFilter, p coordinator.Position) error {
	s, err := c.openStream()
	if err != nil {
		return err
	}
	defer s.close()
	err = s.write(fmt.Sprintf("retry: 1000\nid: %s\n\n", idText(p)))
	for err == nil {
		if p, err = s.feed(f, p); err == nil {
			err = s.idle(p)
		}
	}
	return nil // the stream's end says all there is to say
}

// stream is one open stream of events.
type stream struct {
	call    *call
	control *http.ResponseController
}

// openStream begins to answer with server-sent events; close makes room for another stream.
func (c *call) openStream() (*stream, error) {
	select {
	case c.server.streams <- struct{}{}:
	default:
		return nil, problem(CodeBusy, "%d streams of events are open already", streamsMax)
	}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no")
	c.w.WriteHeader(http.StatusOK)
	s := &stream{call: c, control: http.NewResponseController(c.w)}
	return s, nil
}

func (s *stream) close() { <-s.call.server.streams }

func (s *stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer can
	if _, err := s.call.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// feed writes what has happened since a position.
func (s *stream) feed(f *eventFilter, p coordinator.Position) (coordinator.Position, error) {
	found, err := s.call.view.Events(s.call.Context(), p, eventPageMax)
	var text strings.Builder
	if errors.Is(err, coordinator.ErrPurged) {
		fmt.Fprintf(&text, "event: %s\ndata: {\"id\":%q,\"type\":%q}\n\n", EventGap, idText(p), EventGap)
		if len(found) == 0 {
			p = s.call.view.Last()
		}
	} else if err != nil {
		return p, err
	}
	for i := range found {
		e := &found[i]
		if p = e.Position; !f.wants(e) {
			continue
		}
		data, err := json.Marshal(eventOf(s.call.view, e))
		if err != nil {
			return p, err
		}
		fmt.Fprintf(&text, "id: %s\nevent: %s\ndata: %s\n\n", idText(p), typeOf(e), data)
	}
	if text.Len() == 0 {
		return p, nil
	}
	return p, s.write(text.String())
}

// idle waits for something to happen after a position, and says now and then that it waits.
func (s *stream) idle(p coordinator.Position) error {
	for {
		waited, err := s.call.await(p)
		if waited || err != nil {
			return err
		}
		if err := s.write(": nothing happened\n\n"); err != nil {
			return err
		}
	}
}

// await reports false when nothing happened for a while.
func (c *call) await(p coordinator.Position) (bool, error) {
	ctx, cancel := context.WithTimeout(c.Context(), streamBeat)
	defer cancel()
	err := c.view.Await(ctx, p)
	if err != nil && ctx.Err() != nil && c.Context().Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// eventOf describes an event.
func eventOf(view *coordinator.View, e *coordinator.Event) Event {
	shown := Event{ID: idText(e.Position), Type: typeOf(e), At: at(e.Wall)}
	switch {
	case e.Act != nil:
		shown.Change, shown.At = changeOf(e.Act), at(e.Act.At)
	case e.Change != nil:
		shown.Task = taskEventOf(view, e.Change)
	case e.Meta != nil:
		m := e.Meta
		shown.Run = &RunEvent{
			Status: string(m.Status), Reason: m.StopReason, Paused: m.Paused, PausedClasses: m.PausedClasses, Drained: m.Drained,
			Budget: m.Budget, ClassBudgets: m.ClassBudgets,
		}
	default:
		shown.Leader = &Term{Epoch: e.Epoch}
	}
	return shown
}

func changeOf(a *spec.Act) *Change {
	shown := &Change{
		Action: a.Kind, Task: a.Task, RetryOf: a.Origin, Class: a.Class, GPU: a.GPU, Subtree: a.Subtree, Count: a.Count, By: a.By,
		Reason: a.Reason, What: a.What,
	}
	if a.Kind == spec.ActBudget || a.Kind == spec.ActReprioritise || a.Kind == spec.ActWarn {
		value := Number(a.Value)
		shown.Value = &value
	}
	if a.Kind == spec.ActWarn {
		used := Number(a.Used)
		shown.Limit, shown.Used = a.Limit, &used
	}
	return shown
}

func taskEventOf(view *coordinator.View, change *spec.Change) *TaskEvent {
	t := change.Task
	shown := &TaskEvent{
		ID: t.Spec.ID, State: t.State.String(), Priority: Number(t.Priority), Attempt: t.Attempt, Cancelled: t.Cancelled,
	}
	if t.Lease != nil && t.State.Leased() {
		shown.Worker = t.Lease.Worker
	}
	if change.Parts&spec.PartSpec != 0 {
		shown.New, shown.Kind, shown.Parent = true, t.Spec.Kind, t.Parent
		shown.Uncounted = !view.Counted(t.Spec.Kind)
	}
	if change.Parts&spec.PartOutcome != 0 && t.Outcome != nil {
		shown.Failure = failureOf(t.Outcome.Failure)
	}
	if t.State == spec.StateCompleted {
		if row, known := view.Task(t.Spec.ID); known && !math.IsNaN(row.Score) {
			value := Number(row.Score)
			shown.Value = &value
		}
	}
	return shown
}
