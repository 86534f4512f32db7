package spec

// DecodeAnalysisResult reads one AnalysisResult; every key is optional, unknown ones are kept in Extra. The errors are
// *DecodeError.
func DecodeAnalysisResult(b []byte) (AnalysisResult, error) {
	var result AnalysisResult
	err := whole(b, func(s *scanner) error {
		if err := s.expect('{'); err != nil {
			return err
		}
		return s.object(1, func(key quoted) error { return inKey(key, s.analysisMember(&result, key)) })
	})
	if err != nil {
		return AnalysisResult{}, err
	}
	return result, nil
}

// AppendJSON appends the result in the original's dialect, compact.
func (r AnalysisResult) AppendJSON(dst []byte) []byte {
	w := writer{out: dst}
	w.analysis(&r)
	return w.out
}

// MarshalJSON returns the result as strict JSON: NaN, Infinity and -Infinity are strings.
func (r AnalysisResult) MarshalJSON() ([]byte, error) {
	w := writer{strict: true}
	w.analysis(&r)
	return w.out, nil
}

// UnmarshalJSON is DecodeAnalysisResult.
func (r *AnalysisResult) UnmarshalJSON(b []byte) (err error) {
	*r, err = DecodeAnalysisResult(b)
	return err
}

// analysisMember passes the value of one key.
func (s *scanner) analysisMember(r *AnalysisResult, key quoted) (err error) {
	switch string(key.meaning()) {
	case "structured":
		r.Structured, err = s.valueOrNull()
	case "duration":
		r.Duration, err = s.floatOrNull()
	case "improved":
		r.Improved, err = s.truth()
	case "failure":
		r.Failure, err = s.failureOrNull()
	default:
		r.Extra, err = s.unknown(r.Extra, key)
	}
	return err
}

func isAnalysisKey(name string) bool {
	switch name {
	case "structured", "duration", "improved", "failure":
		return true
	}
	return false
}

// analysis writes an AnalysisResult.
func (w *writer) analysis(r *AnalysisResult) {
	w.open('{')
	w.key("structured")
	w.raw(r.Structured, "null")
	w.key("duration")
	w.floatOrNull(r.Duration)
	w.key("improved")
	w.bool(r.Improved)
	w.key("failure")
	w.failureOrNull(r.Failure)
	w.extra(r.Extra, isAnalysisKey)
	w.close('}')
}
