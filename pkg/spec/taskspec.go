package spec

import (
	"errors"
	"fmt"
	"math"
)

// DecodeTaskSpec reads one TaskSpec by the original's rules: priority, kind and payload have defaults; id and kind of
// another type become text as by Python's str(); priority may be a number, a numeric string or a boolean, infinite but
// not NaN or null; a payload that is not an object becomes {}; unknown keys are kept in Extra. A missing, null or
// empty id is an error. Of equal keys the last counts. The errors are *DecodeError; the result never refers to b.
func DecodeTaskSpec(b []byte) (TaskSpec, error) {
	var task TaskSpec
	err := whole(b, func(s *scanner) (err error) {
		task, err = s.taskSpec()
		return err
	})
	return task, err
}

// DecodeTaskSpecs reads a JSON list of TaskSpecs by the rules of DecodeTaskSpec. The path of an error begins with the
// index ("[3].id").
func DecodeTaskSpecs(b []byte) ([]TaskSpec, error) {
	var tasks []TaskSpec
	err := whole(b, func(s *scanner) (err error) {
		tasks, err = s.taskSpecs()
		return err
	})
	return tasks, err
}

// AppendJSON appends the spec in the original's dialect, compact: infinite priorities and the words in payloads stay
// bare. The spec must be valid (see Validate); a payload that is not an object is written as {}.
func (t TaskSpec) AppendJSON(dst []byte) []byte {
	w := writer{out: dst}
	w.taskSpec(&t)
	return w.out
}

// MarshalJSON returns the spec as strict JSON, for HTTP: NaN, Infinity and -Infinity are strings.
func (t TaskSpec) MarshalJSON() ([]byte, error) {
	w := writer{strict: true}
	w.taskSpec(&t)
	return w.out, nil
}

// UnmarshalJSON is DecodeTaskSpec; it reads what MarshalJSON wrote.
func (t *TaskSpec) UnmarshalJSON(b []byte) (err error) {
	*t, err = DecodeTaskSpec(b)
	return err
}

// Validate refuses a spec that cannot be queued or written: an empty id or one that is not (WTF-8) text, a NaN
// priority, a payload that is not one JSON object, an unknown key whose value is not JSON. Decoded specs are valid;
// those that Go code made may not be.
func (t TaskSpec) Validate() error {
	if t.ID == "" {
		return errors.New("task spec: field id: must not be empty")
	}
	if !validWTF8(string(t.ID)) {
		return fmt.Errorf("task spec %q: field id: not UTF-8", clip(t.ID))
	}
	if math.IsNaN(t.Priority) {
		return fmt.Errorf("task spec %q: field priority: NaN has no place in an order", clip(t.ID))
	}
	if err := t.Payload.check(); err != nil {
		return fmt.Errorf("task spec %q: field payload: %w", clip(t.ID), err)
	}
	for _, field := range t.Extra {
		if err := whole(field.Value, func(s *scanner) error { return s.skip(1) }); err != nil {
			return fmt.Errorf("task spec %q: field %s: %w", clip(t.ID), clip(field.Name), err)
		}
	}
	return nil
}

// WithDefaults returns the spec with an empty kind as "default" and a nil payload as {}: for specs that Go code made. A
// file may hold an empty kind of its own, which reading keeps.
func (t TaskSpec) WithDefaults() TaskSpec {
	if t.Kind == "" {
		t.Kind = KindDefault
	}
	if len(t.Payload) == 0 {
		t.Payload = Payload("{}")
	}
	return t
}

// isTaskKey reports whether name is a key that a TaskSpec writes itself.
func (t *TaskSpec) isTaskKey(name string) bool {
	switch name {
	case "id", "priority", "kind", "payload":
		return true
	}
	return name == "parent" && t.Parent != ""
}

func (s *scanner) taskSpecs() ([]TaskSpec, error) {
	tasks := []TaskSpec{}
	if err := s.expect('['); err != nil {
		return nil, err
	}
	err := s.array(1, func(index int) error {
		task, err := s.taskSpec()
		if err != nil {
			return inItem(index, err)
		}
		tasks = append(tasks, task)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

// taskDraft is a TaskSpec on its way in: the places of values that are judged at the end, -1 for a missing one, because
// of equal keys only the last counts, whatever the earlier ones hold.
type taskDraft struct {
	TaskSpec
	id, priority, kind int
	parent             []byte
}

// taskSpec passes an object and reads it as a TaskSpec.
func (s *scanner) taskSpec() (TaskSpec, error) {
	if err := s.expect('{'); err != nil {
		return TaskSpec{}, err
	}
	begin, draft := s.pos, taskDraft{id: -1, priority: -1, kind: -1}
	err := s.object(1, func(key quoted) error { return s.taskMember(&draft, key) })
	if err != nil {
		return TaskSpec{}, err
	}
	if err := s.finishTask(&draft, begin); err != nil {
		return TaskSpec{}, err
	}
	return draft.TaskSpec, nil
}

// taskMember passes the value of one key.
func (s *scanner) taskMember(draft *taskDraft, key quoted) (err error) {
	switch string(key.meaning()) {
	case "id":
		draft.id, err = s.place()
	case "priority":
		draft.priority, err = s.place()
	case "kind":
		draft.kind, err = s.place()
	case "payload":
		draft.Payload, err = s.payload()
	case "parent":
		draft.parent, err = s.copyValue()
	default:
		draft.Extra, err = s.unknown(draft.Extra, key)
	}
	return inKey(key, err)
}

// finishTask sets the fields that taskMember left to the end. begin is where the object begins.
func (s *scanner) finishTask(draft *taskDraft, begin int) error {
	id, err := s.requiredText(begin, draft.id)
	if err != nil {
		return inField("id", err)
	}
	draft.ID, draft.Kind, draft.Priority = TaskID(id), KindDefault, PriorityDefault
	if draft.kind >= 0 {
		if draft.Kind, err = s.at(draft.kind).asText(); err != nil {
			return inField("kind", err)
		}
	}
	if draft.priority >= 0 {
		if draft.Priority, err = s.at(draft.priority).priority(); err != nil {
			return inField("priority", err)
		}
	}
	if draft.Payload == nil {
		draft.Payload = Payload("{}")
	}
	return draft.finishParent()
}

// finishParent sets Parent from a string; a value of another type is an unknown key like any other.
func (d *taskDraft) finishParent() error {
	switch {
	case d.parent == nil:
		return nil
	case d.parent[0] != '"':
		d.Extra = append(d.Extra, Field{Name: "parent", Value: d.parent})
		return nil
	}
	parent, err := (&scanner{text: d.parent}).asText()
	d.Parent = TaskID(parent)
	return err
}

// requiredText reads the text of a required value at a place; it may not be missing, null or empty. begin is where the
// object begins.
func (s *scanner) requiredText(begin, start int) (string, error) {
	if start < 0 {
		return "", s.fail(begin, "is missing")
	}
	value := s.at(start)
	if value.peek() == 'n' {
		return "", s.fail(start, "must not be null")
	}
	text, err := value.asText()
	if err == nil && text == "" {
		return "", s.fail(start, "must not be empty")
	}
	return text, err
}

// payload passes the value ahead and returns it as a payload: {} when it is not an object.
func (s *scanner) payload() (Payload, error) {
	if s.peek() == '{' {
		return s.copyValue()
	}
	return Payload("{}"), s.skip(1)
}

// taskSpec writes a TaskSpec.
func (w *writer) taskSpec(t *TaskSpec) {
	w.open('{')
	w.key("id")
	w.text(string(t.ID))
	w.key("priority")
	w.float(t.Priority)
	w.key("kind")
	w.text(t.Kind)
	w.key("payload")
	w.object(t.Payload)
	if t.Parent != "" {
		w.key("parent")
		w.text(string(t.Parent))
	}
	w.extra(t.Extra, t.isTaskKey)
	w.close('}')
}

// taskSpecs writes a list of TaskSpecs.
func (w *writer) taskSpecs(tasks []TaskSpec) {
	w.open('[')
	for i := range tasks {
		w.next()
		w.taskSpec(&tasks[i])
	}
	w.close(']')
}
