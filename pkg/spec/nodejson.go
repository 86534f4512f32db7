package spec

// DecodeHypothesisNode reads one node of the hypothesis tree: node_id and name are required, the rest has defaults, the
// status is not checked, unknown keys are kept in Extra. The errors are *DecodeError.
func DecodeHypothesisNode(b []byte) (HypothesisNode, error) {
	var node HypothesisNode
	err := whole(b, func(s *scanner) (err error) {
		node, err = s.node()
		return err
	})
	return node, err
}

// DecodeTree reads engine/tree.json: a list of nodes. The path of an error begins with the index ("[3].node_id").
func DecodeTree(b []byte) ([]HypothesisNode, error) {
	nodes := []HypothesisNode{}
	err := whole(b, func(s *scanner) error {
		if err := s.expect('['); err != nil {
			return err
		}
		return s.array(1, func(index int) error {
			node, err := s.node()
			if err != nil {
				return inItem(index, err)
			}
			nodes = append(nodes, node)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

// EncodeTree returns engine/tree.json: two spaces of indent a level and a newline at the end.
func EncodeTree(nodes []HypothesisNode) []byte {
	w := writer{indent: 2}
	w.open('[')
	for i := range nodes {
		w.next()
		w.node(&nodes[i])
	}
	w.close(']')
	return append(w.out, '\n')
}

// AppendJSON appends the node in the original's dialect, compact.
func (n HypothesisNode) AppendJSON(dst []byte) []byte {
	w := writer{out: dst}
	w.node(&n)
	return w.out
}

// MarshalJSON returns the node as strict JSON: NaN, Infinity and -Infinity are strings.
func (n HypothesisNode) MarshalJSON() ([]byte, error) {
	w := writer{strict: true}
	w.node(&n)
	return w.out, nil
}

// UnmarshalJSON is DecodeHypothesisNode.
func (n *HypothesisNode) UnmarshalJSON(b []byte) (err error) {
	*n, err = DecodeHypothesisNode(b)
	return err
}

// nodeDraft is a node on its way in; see taskDraft.
type nodeDraft struct {
	HypothesisNode
	id, name int
}

// node passes an object and reads it as a HypothesisNode.
func (s *scanner) node() (HypothesisNode, error) {
	if err := s.expect('{'); err != nil {
		return HypothesisNode{}, err
	}
	begin, draft := s.pos, nodeDraft{id: -1, name: -1}
	draft.Status, draft.Spec, draft.Children = StatusQueued, Payload("{}"), []string{}
	err := s.object(1, func(key quoted) error { return inKey(key, s.nodeMember(&draft, key)) })
	if err != nil {
		return HypothesisNode{}, err
	}
	if draft.NodeID, err = s.requiredText(begin, draft.id); err != nil {
		return HypothesisNode{}, inField("node_id", err)
	}
	if draft.Name, err = s.requiredText(begin, draft.name); err != nil {
		return HypothesisNode{}, inField("name", err)
	}
	return draft.HypothesisNode, nil
}

// nodeMember passes the value of one key.
func (s *scanner) nodeMember(n *nodeDraft, key quoted) (err error) {
	switch string(key.meaning()) {
	case "node_id":
		n.id, err = s.place()
	case "name":
		n.name, err = s.place()
	case "parent_id":
		n.ParentID, err = s.textOrNull()
	case "commit":
		n.Commit, err = s.textOrNull()
	case "spec":
		n.Spec, err = s.payload()
	case "status":
		n.Status, err = s.asText()
	case "job_id":
		n.JobID, err = s.textOrNull()
	case "launched_at":
		n.LaunchedAt, err = s.floatOrNull()
	case "result":
		n.Result, err = s.valueOrNull()
	case "children":
		n.Children, err = s.texts()
	case "priority":
		n.Priority, err = s.priority()
	case "duration":
		n.Duration, err = s.floatOrNull()
	case "failure":
		n.Failure, err = s.failureOrNull()
	default:
		n.Extra, err = s.unknown(n.Extra, key)
	}
	return err
}

// floatOrNull reads a number (see lenientFloat); null is nil.
func (s *scanner) floatOrNull() (*float64, error) {
	if s.peek() == 'n' {
		return nil, s.skip(1)
	}
	f, err := s.lenientFloat()
	return &f, err
}

// valueOrNull reads any value as text; null is nil.
func (s *scanner) valueOrNull() ([]byte, error) {
	if s.peek() == 'n' {
		return nil, s.skip(1)
	}
	return s.copyValue()
}

// failureOrNull reads a FailureRecord; null is nil.
func (s *scanner) failureOrNull() (*FailureRecord, error) {
	if s.peek() == 'n' {
		return nil, s.skip(1)
	}
	record, err := s.failure(false)
	return &record, err
}

// texts reads a list of texts.
func (s *scanner) texts() ([]string, error) {
	if err := s.expect('['); err != nil {
		return nil, err
	}
	list := []string{}
	err := s.array(1, func(index int) error {
		text, err := s.asText()
		if err != nil {
			return inItem(index, err)
		}
		list = append(list, text)
		return nil
	})
	return list, err
}

func isNodeKey(name string) bool {
	switch name {
	case "node_id", "name", "parent_id", "commit", "spec", "status", "job_id", "launched_at", "result", "children",
		"priority", "duration", "failure":
		return true
	}
	return false
}

// node writes a HypothesisNode.
func (w *writer) node(n *HypothesisNode) {
	w.open('{')
	w.key("node_id")
	w.text(n.NodeID)
	w.key("name")
	w.text(n.Name)
	w.key("parent_id")
	w.textOrNull(n.ParentID)
	w.key("commit")
	w.textOrNull(n.Commit)
	w.key("spec")
	w.object(n.Spec)
	w.key("status")
	w.text(n.Status)
	w.key("job_id")
	w.textOrNull(n.JobID)
	w.key("launched_at")
	w.floatOrNull(n.LaunchedAt)
	w.key("result")
	w.raw(n.Result, "null")
	w.key("children")
	w.texts(n.Children)
	w.key("priority")
	w.float(n.Priority)
	w.key("duration")
	w.floatOrNull(n.Duration)
	w.key("failure")
	w.failureOrNull(n.Failure)
	w.extra(n.Extra, isNodeKey)
	w.close('}')
}

// texts writes a list of texts.
func (w *writer) texts(list []string) {
	w.open('[')
	for _, text := range list {
		w.next()
		w.text(text)
	}
	w.close(']')
}
