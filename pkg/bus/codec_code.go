package bus

import "autoresearch/pkg/spec"

// fieldCode writes a Code unless it is zero: b bundle, c commit.
func (w *wire) fieldCode(key string, code spec.Code) {
	if code.IsZero() {
		return
	}
	w.key(key)
	mark := w.openMap()
	w.fieldBlob("b", code.Bundle)
	fieldText(w, "c", code.Commit)
	w.closeMap(mark)
}

func (c *cursor) codeName() (code spec.Code) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "b":
			code.Bundle = c.blob()
		case "c":
			code.Commit = c.text()
		default:
			return false
		}
		return true
	})
	return code
}
