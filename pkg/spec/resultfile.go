package spec

// DecodeResultFile reads the file an experiment writes: {"metrics": {...}, "children": [...], "output": {...},
// "failure": {...}, "cost": 0.25}, each key optional and null the same as missing. Metrics are numbers, NaN and infinities included;
// other types are an error that names the metric. The cost is a number that CostOf takes. Children follow the rules of DecodeTaskSpec. A failure follows those
// of DecodeFailureRecord, but a missing kind is job_failed and a missing phase job. Unknown keys are ignored. The
// errors are *DecodeError; the fields of TaskResult that the file does not hold are zero.
func DecodeResultFile(b []byte) (TaskResult, error) {
	var result TaskResult
	err := whole(b, func(s *scanner) error {
		if err := s.expect('{'); err != nil {
			return err
		}
		return s.object(1, func(key quoted) error { return inKey(key, s.resultMember(&result, key)) })
	})
	if err != nil {
		return TaskResult{}, err
	}
	return result, nil
}

// resultMember passes the value of one key.
func (s *scanner) resultMember(r *TaskResult, key quoted) (err error) {
	name := string(key.meaning())
	if s.peek() == 'n' {
		return s.nullMember(r, name)
	}
	switch name {
	case "metrics":
		r.Metrics, err = s.metrics()
	case "children":
		r.Children, err = s.taskSpecs()
	case "output":
		if err = s.expect('{'); err == nil {
			r.Output, err = s.copyValue()
		}
	case "cost":
		r.Cost, err = s.cost()
	case "failure":
		var record FailureRecord
		record, err = s.failure(true)
		r.Failure = &record
	default:
		err = s.skip(1)
	}
	return err
}

// nullMember passes a null, which unsets what an equal key before it set.
func (s *scanner) nullMember(r *TaskResult, name string) error {
	switch name {
	case "metrics":
		r.Metrics = nil
	case "children":
		r.Children = nil
	case "output":
		r.Output = nil
	case "cost":
		r.Cost = 0
	case "failure":
		r.Failure = nil
	}
	return s.skip(1)
}

// metrics passes an object of numbers.
func (s *scanner) metrics() (map[string]float64, error) {
	if err := s.expect('{'); err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	err := s.object(1, func(key quoted) (err error) {
		metrics[key.text()], err = s.metric()
		return inKey(key, err)
	})
	return metrics, err
}

// cost passes an amount.
func (s *scanner) cost() (Cost, error) {
	start := s.pos
	units, err := s.metric()
	if err != nil {
		return 0, err
	}
	cost, err := CostOf(units)
	if err != nil {
		return 0, s.fail(start, "%v", err)
	}
	return cost, nil
}

// metric passes a number; booleans and numeric strings are none.
func (s *scanner) metric() (float64, error) {
	switch start := s.pos; s.peek() {
	case '{', '[', '"', 't', 'f', 'n':
		return 0, s.fail(start, "must be a number, not %s", s.typeName())
	}
	return s.float()
}

// EncodeResultFile returns the result file of r in the original's dialect, compact, with a newline at the end: its
// metrics in order of their names, its children, output, failure and cost. The last three are left out when there is
// none.
func EncodeResultFile(r TaskResult) []byte {
	var w writer
	w.open('{')
	w.key("metrics")
	w.open('{')
	for _, name := range sortedKeys(r.Metrics) {
		w.key(name)
		w.float(r.Metrics[name])
	}
	w.close('}')
	w.key("children")
	w.taskSpecs(r.Children)
	if len(r.Output) > 0 {
		w.key("output")
		w.object(r.Output)
	}
	if r.Failure != nil {
		w.key("failure")
		w.failure(r.Failure)
	}
	if r.Cost > 0 {
		w.key("cost")
		w.float(r.Cost.Units())
	}
	w.close('}')
	return append(w.out, '\n')
}
